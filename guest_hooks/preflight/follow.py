# SPDX-License-Identifier: GPL-3.0-or-later
"""One boot in one mode, followed from stage 1 to the root file system."""

from functools import cached_property, partial

from guest_hooks.boot_images import InitrdFacts
from guest_hooks.config import Config, Stage1
from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_menu
from guest_hooks.formats.grub_menu import Boot
from guest_hooks.machine import boot_features
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run
from guest_hooks.model import BootFilesystem, Mode, Status, TargetStatus
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight import facts, files, signatures, tools
from guest_hooks.preflight.grub_paths import GrubPaths
from guest_hooks.preflight.host_menus import HostMenus
from guest_hooks.preflight.links import (
    entries,
    fallback,
    grub_cfg,
    legacy,
    pygrub,
    root_fs,
    root_way,
    second_stage,
    stage1,
    twins,
    unattended,
)
from guest_hooks.preflight.links.entries import Ground
from guest_hooks.preflight.needs import Needs
from guest_hooks.preflight.result import Finding, Link, Step
from guest_hooks.preflight.steps import NextStep, Steps
from guest_hooks.problems.boot import RootProblem
from guest_hooks.records import dataclass, field
from guest_hooks.targets import TARGETS
from guest_hooks.volumes import BlockDevice

FSTAB = "/etc/fstab"


@dataclass(kw_only=True)
class Way:
    """One boot in one mode, followed from the first link to the last that can be reached."""

    root: Root
    config: Config
    status: Status
    boot: BootFilesystem
    devices: tuple[BlockDevice, ...]
    memory: Memory
    mode: Mode
    run: Run
    is_default_alone: bool = False
    chain: list[Step] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    load: Boot | None = None
    is_by_host: bool = False
    checks_signatures: bool = False
    initrds: tuple[tuple[str, InitrdFacts | None], ...] = ()

    @cached_property
    def steps(self) -> Steps:
        """How this guest is repaired."""
        saved = facts.environment(self.root)[0] or {}
        return tools.steps(self.root, self.status, self.config, saved)

    @cached_property
    def paths(self) -> GrubPaths:
        """Where GRUB comes to on /boot's file system."""
        return GrubPaths(root=self.root, boot=self.boot)

    @cached_property
    def host(self) -> HostMenus:
        """The menus that a host's program reads by rules of its own."""
        names = tuple(target.path.rpartition("/")[2] for target in self.targets)
        return HostMenus(root=self.root, boot=self.boot, devices=self.devices, names=names)

    @property
    def targets(self) -> tuple[TargetStatus, ...]:
        """The verdicts on those targets that serve this mode."""
        return tuple(
            target for target in self.status.targets if TARGETS[target.target].mode is self.mode
        )

    def follow(self) -> "Way":
        """Follow every link; `chain`, `findings` and `unknown` then say what was met."""
        self._stage1()
        if not self._by_host():
            self._menu(by_second_stage=self._second_stage())
        self._twins()
        self.unknown += stage1.unknowable(self.config.stage1, self.mode)
        return self

    def follow_from_second_stage(self) -> "Way":
        """Follow what a sync may change, and of the menu's entries only that which will be
        started.
        """
        self.is_default_alone = True
        if not self._by_host():
            self._menu(by_second_stage=self._second_stage())
        return self

    def _stage1(self) -> None:
        arches = tuple(
            arch for t in self.targets if t.required for arch in TARGETS[t.target].arches[:1]
        )
        kinds = stage1.kinds(self.config.stage1, self.mode)
        paths = [path for kind in kinds for path in stage1.wanted(kind, self.mode, arches)]
        disks = facts.disks(self.root, self.boot, self.devices, paths, self.memory, run=self.run)
        for kind in kinds:
            findings: tuple[Finding, ...] = ()
            match kind:
                case Stage1.PYGRUB:
                    text = self.host.pygrub_text()
                case Stage1.GRUB_LEGACY:
                    text = self.host.legacy_text()
                case _:
                    text, findings = stage1.follow(kind, self.mode, arches, disks)
            self.chain.append(Step(link=Link.STAGE1, text=text))
            known = {(finding.code, finding.thing) for finding in self.findings}
            new = [each for each in findings if (each.code, each.thing) not in known]
            self.findings += new if kind is kinds[0] else map(stage1.unlikely, new)
        self.findings += stage1.other_menu(disks, self.findings)
        self.unknown += [f"what is on {device}, which could not be read" for device in disks.unread]
        if not self.devices:
            self.unknown.append("which other disks this guest will have, and what is on them")

    def _twins(self) -> None:
        """Another disk that looks like /boot's own to GRUB's search."""
        if not any(finding.code is RootProblem.TWICE for finding in self.findings):
            own = facts.own_devices(self.boot, self.devices)
            self.findings += twins.findings(self.boot.grub_place.fs_uuid, self.devices, own)

    def _by_host(self) -> bool:
        """Follow the menu that a host's program reads by rules of its own; whether that starts
        the guest, and not a second stage.
        """
        found: pygrub.Chosen | legacy.Started
        match self.config.stage1:
            case Stage1.PYGRUB:
                found = self.host.pygrub()
            case Stage1.GRUB_LEGACY:
                found = self.host.legacy()
                self.unknown += found.unknown
            case _:
                return False
        self.findings += found.findings
        if isinstance(found, legacy.Started) and found.is_second_stage:
            return False
        self.is_by_host = True
        if found.menu is not None and found.choice is not None:
            self._entries(found.menu, found.choice)
        return True

    def _second_stage(self) -> bool:
        """Look at the second stages; whether one of them, not stage 1, reads grub.cfg."""
        kind = stage1.kinds(self.config.stage1, self.mode)[0]
        menu = facts.menu_text(self.root) or ""
        features = boot_features.of_boot(self.boot)
        for target in self.targets:
            found = second_stage.findings(target, self.boot, self.config.modules, features)
            is_started = second_stage.is_started(target, kind, menu)
            self.findings += found if is_started else fallback.passed(found)
            self.findings += second_stage.unreached(target, kind, menu)
            if target.is_accepted:
                self.unknown.append(f"what {target.path} does: it is no second stage of ours")
            if handover := second_stage.handover(target, kind, menu):
                self.chain.append(Step(link=Link.HANDOVER, text=handover))
            self.chain.append(Step(link=Link.SECOND_STAGE, text=second_stage.text(target)))
        return any(
            second_stage.takes_over(target, kind, menu)
            for target in self.targets
            if target.required
        )

    def _menu(self, *, by_second_stage: bool) -> None:
        path = GRUB_CFG
        text = facts.menu_text(self.root)
        refused = grub_cfg.refused(self.status.grub_cfg)
        if text is None and not refused:
            if self.root.exists(path):
                self.unknown.append(f"what {path} says: it can't be read")
            else:
                self.findings.append(grub_cfg.missing(path, self.steps.menu()))
        astray = self.paths.menu_astray() if by_second_stage and text is not None else None
        if astray is not None:
            step = NextStep(words=astray.step)
            self.findings.append(grub_cfg.missing(path, step, astray.why))
        if text is None or astray is not None:
            self.findings += refused
            return
        required = [target for target in self.targets if target.required]
        self.checks_signatures = by_second_stage and any(t.checks_signatures for t in required)
        if self.checks_signatures and (found := signatures.of_menu(self.root, self.boot)):
            self.findings += found
            return
        try:
            menu = facts.menu(
                self.root,
                self.boot,
                text,
                self.mode,
                targets=[target.target for target in required],
                by_second_stage=by_second_stage,
                devices=self.devices,
            )
        except FormatError as error:
            self.unknown.append(f"which entry {path} starts: {error.message}")
            self.findings += refused
            return
        goes_on = bool(menu.refused and menu.entries)
        self.findings += grub_cfg.passed(refused) if goes_on else refused
        if refused and not goes_on:
            return
        self.findings += grub_cfg.environment(facts.environment(self.root)[1])
        choice = grub_menu.default(menu)
        self.findings += entries.choice_finding(choice, menu, self.steps)
        reader = "the second stage" if by_second_stage else "stage 1"
        count = len(list(menu.all()))
        noun = "entry" if count == 1 else "entries"
        self.chain.append(Step(link=Link.GRUB_CFG, text=f"{reader} reads {path}, {count} {noun}"))
        if not choice.is_sure and (menu.entries or not menu.is_whole):
            self.unknown.append("which entry is the default: grub.cfg decides that while it runs")
        self._tries(menu, choice)

    def _tries(self, menu: grub_menu.Menu, choice: grub_menu.Choice) -> None:
        """Follow the default entry, and those of `fallback` while one comes back to GRUB."""
        more, are_all = grub_menu.fallbacks(menu, choice)
        before, passed = self.findings, list[Finding]()
        for each in (choice, *more):
            self.findings, said = [], len(self.chain)
            goes_on, unknown = unattended.findings(menu, each, self.steps)
            self.findings += goes_on
            self.unknown += unknown
            self._entries(menu, each)
            found, self.findings = self.findings, [*before, *fallback.joined(passed, self.findings)]
            is_last = are_all and each is (choice, *more)[-1]
            if is_last or not fallback.comes_back(found, each, self.mode):
                return
            passed = fallback.passed(fallback.joined(passed, found))
            text = f"{each.way[0].title!r} fails, and GRUB goes on by fallback"
            self.chain[said:] = [Step(link=Link.ENTRY, text=text)]
        self.findings = [*before, *passed]
        self.unknown.append("to which entry GRUB falls back: that differs between its versions")

    def _entries(self, menu: grub_menu.Menu, choice: grub_menu.Choice) -> None:
        wanted = (
            (choice.entry,)
            if self.is_default_alone and choice.entry and choice.is_sure
            else tuple(menu.all())
        )
        there = files.named(self.paths, self.memory, wanted, self.devices)
        ground = Ground(
            files=there,
            boot=self.boot,
            devices=self.devices,
            needs=self._needs,
            steps=self.steps,
            has_subvolume=partial(facts.has_subvolume, self.root, run=self.run),
        )
        findings, unknown = entries.findings(menu, choice, ground)
        self.findings += findings
        self.unknown += unknown
        if choice.entry is not None:
            self.chain.append(Step(link=Link.ENTRY, text=f"the default is {choice.entry.title!r}"))
        load = self.load = choice.entry.boot if choice.entry else None
        if load is not None:
            paths = (stage1.in_guest(path, self.boot) for path in load.initrds)
            self.initrds = tuple((path, there.initrds.get(path)) for path in paths)
            kernel = there.kernels.get(stage1.in_guest(load.kernel, self.boot))
            self.chain += entries.steps(load, kernel)
            if self.checks_signatures:
                self.findings += signatures.of_boot(self.root, self.boot, load)

    def _needs(self, load: Boot) -> Needs:
        device = root_fs.find(root_fs.wanted(load.arguments), self.devices)
        way = root_way.way(device, self.root.read_text(FSTAB) or "", self.devices)
        return Needs(
            mode=self.mode,
            widths=frozenset(TARGETS[t.target].elf_class for t in self.targets if t.required),
            drivers=way.drivers,
            programs=way.programs,
            loader_is_certain=self.config.stage1
            in (
                Stage1.DEBIAN_PV,
                Stage1.OWN,
                Stage1.GRUB_LEGACY,
            ),
            by_grub=not self.is_by_host,
            running=facts.running(self.root, self.status.guest, self.mode),
            root=root_fs.wanted(load.arguments),
            steps=self.steps,
        )
