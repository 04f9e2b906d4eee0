# SPDX-License-Identifier: GPL-3.0-or-later
"""The entries of the menu against the files and disks there are. Pure, but for the facts it is
handed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from guest_hooks.boot_images import InitrdFacts
from guest_hooks.formats.grub_menu import Boot, Choice, Entry, Menu
from guest_hooks.model import BootFilesystem, Severity
from guest_hooks.preflight.links import initrds, kernels, root_fs, stage1, unattended
from guest_hooks.preflight.links.places import Place, place
from guest_hooks.preflight.needs import Kernel, Needs
from guest_hooks.preflight.result import Certainty, Finding, Link, Step
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.kernels import InitrdProblem, KernelProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.records import dataclass, replace
from guest_hooks.volumes import BlockDevice


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """The kernels and initrds that the menu names on /boot's file system, by the guest's paths."""

    kernels: Mapping[str, Kernel]
    initrds: Mapping[str, InitrdFacts | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What entries are held against: files, /boot's file system, the disks, and what a kernel
    needs for the root an entry names.
    """

    files: Files
    boot: BootFilesystem
    devices: Sequence[BlockDevice]
    needs: Callable[[Boot], Needs]
    steps: Steps
    has_subvolume: root_fs.HasSubvolume = lambda _device, _path: None


def named_files(
    wanted: Iterable[Entry], boot: BootFilesystem, devices: Sequence[BlockDevice]
) -> tuple[dict[str, str], dict[str, str]]:
    """The kernels and the initrds that entries load from /boot's file system: GRUB's paths there,
    by the guest's.
    """
    loads = [
        entry.boot
        for entry in wanted
        if entry.boot and place(entry.boot.device, boot, devices).is_here
    ]
    kernels_of = (load.kernel for load in loads)
    initrds_of = (path for load in loads for path in load.initrds)
    return _in_guest(kernels_of, boot), _in_guest(initrds_of, boot)


def _in_guest(paths: Iterable[str], boot: BootFilesystem) -> dict[str, str]:
    return {name: path for path in paths if (name := stage1.in_guest(path, boot))}


def findings(
    menu: Menu, choice: Choice, ground: Ground
) -> tuple[tuple[Finding, ...], tuple[str, ...]]:
    """What is wrong with the entries, the default's as errors and the others' as warnings, and
    what could not be told.

    Where it can't be told which is the default, and none of them would boot, all are errors.
    """
    found: dict[tuple[str, str, str], Finding] = {}
    unknown: list[str] = []
    ordered = sorted(menu.all(), key=lambda entry: entry is not choice.entry)
    default = choice.entry if choice.is_sure else None
    rows = [
        (entry, _entry(entry, ground, unknown, is_default=entry is default)) for entry in ordered
    ]
    none_boots = menu.is_whole and all(any(finding.stops for finding in each) for _, each in rows)
    for entry, each in rows:
        is_default = entry is default or (none_boots and not choice.is_sure)
        for finding in each:
            kept = finding if is_default else replace(finding, severity=Severity.WARNING)
            what = (
                "" if finding.link in (Link.ENTRY, Link.ROOT) else finding.message
            )  # these name the entry
            found.setdefault((finding.code, finding.thing, what), kept)
    return tuple(found.values()), tuple(dict.fromkeys(unknown))


def _entry(
    entry: Entry, ground: Ground, unknown: list[str], *, is_default: bool
) -> tuple[Finding, ...]:
    files, boot, devices = ground.files, ground.boot, ground.devices
    load = entry.boot
    if unattended.is_explained(entry):
        return ()
    if load is None or entry.not_understood:
        if is_default:
            unknown.append(
                f"what the entry {entry.title!r} starts"
                f" ({entry.not_understood or 'it loads no kernel'})"
            )
        return ()
    where = place(load.device, boot, devices)
    search = _search_in_vain(entry, where, ground.steps, is_sure=bool(devices))
    path = stage1.in_guest(load.kernel, boot) if where.is_here else ""
    if nowhere := _nowhere(entry, load, where, ground.steps):
        return (*search, nowhere)
    if not path or path not in files.kernels:
        if is_default:
            unknown.append(
                f"the files of the entry {entry.title!r}, which are on another file system"
                f" ({load.device})"
            )
        return search
    about_root = root_fs.findings(
        load.arguments,
        entry.title,
        devices or _own_device(boot),
        ground.steps,
        are_all=bool(devices),
        has_initrd=bool(load.initrds),
        has_subvolume=ground.has_subvolume,
    )
    found, pairs = _loaded(load, path, ground, unknown)
    if any(each.code is InitrdProblem.NONE for each in found):
        about_root = ()  # Linux, which would look for it alone, has no driver to do so
    if not load.initrds and not root_fs.wanted(load.arguments):
        # memtest86+, iPXE: what has neither is no Linux with a root, as far as anything ends it
        return (*found, *about_root)[:1] if is_default else ()
    return initrds.as_dracut_says((*search, *found, *about_root), pairs)


def steps(load: Boot, kernel: Kernel | None) -> tuple[Step, ...]:
    """What the default entry loads, as the last steps of the chain."""
    packing = kernel.facts.compression if kernel and kernel.facts else ""
    text = f"{load.kernel}, packed with {packing}" if packing else load.kernel
    return (
        Step(link=Link.KERNEL, text=text, thing=load.kernel),
        Step(link=Link.INITRD, text=", ".join(load.initrds) or "none"),
        Step(link=Link.ROOT, text=f"root={root_fs.wanted(load.arguments)}"),
    )


def _own_device(boot: BootFilesystem) -> tuple[BlockDevice, ...]:
    """What is known of an image's disks."""
    return (BlockDevice(path=boot.device, type="part", fs_type=boot.fs_type, uuid=boot.fs_uuid),)


def _loaded(
    load: Boot, path: str, ground: Ground, unknown: list[str]
) -> tuple[tuple[Finding, ...], list[tuple[str, InitrdFacts | None]]]:
    """What is wrong with the kernel at `path` and the initrds that `load` names, and those
    initrds.
    """
    files = ground.files
    kernel = files.kernels[path]
    named = {stage1.in_guest(item, ground.boot): item for item in load.initrds}
    if elsewhere := named.pop("", ""):
        unknown.append(f"what is in {elsewhere}, which is on another file system")
    pairs = [(name, files.initrds[name]) for name in named if name in files.initrds]
    named[path] = load.kernel
    for name, facts in ((path, kernel.facts), *pairs):
        if facts is not None and facts.unread:
            unknown.append(f"what is inside {name}: {facts.unread} ({facts.hint})")
    here = ground.needs(load)
    found = (
        *kernels.kernel_findings(kernel, here),
        *(() if elsewhere else initrds.initrd_findings(kernel, pairs, here)),
        *kernels.modules_finding(kernel),
    )
    return tuple(_as_grub_says(each, named.get(each.thing, "")) for each in found), pairs


def _search_in_vain(
    entry: Entry, where: Place, steps: Steps, *, is_sure: bool
) -> tuple[Finding, ...]:
    key = where.missing
    if not key:
        return ()
    vain = Finding.of(
        MenuProblem.FILE_SYSTEM_MISSING,
        link=Link.ENTRY,
        thing=key,
        message=(
            f"the entry {entry.title!r} looks for the file system {key}, which this guest does not"
            " have"
        ),
        uuid=key,
        by=steps.menu(key),
    )
    return (replace(vain, certainty=Certainty.CERTAIN if is_sure else Certainty.LIKELY),)


def _nowhere(entry: Entry, load: Boot, where: Place, steps: Steps) -> Finding | None:
    """That the kernel is named in a way that leads nowhere."""
    if where.gone:
        return _no_disk(entry, where.gone, steps)
    is_path = not where.is_here or load.kernel.startswith("/")
    return None if is_path else _no_path(entry, load.kernel, steps)


def _no_path(entry: Entry, name: str, steps: Steps) -> Finding:
    """GRUB takes what does not begin at the top for a list of blocks (grub-core/kern/file.c)."""
    found = Finding.of(
        KernelProblem.MISSING,
        link=Link.KERNEL,
        thing=name,
        message=f"the entry {entry.title!r} names {name}, which does not begin with /",
        path=name,
        by=steps.menu(name),
    )
    return replace(found, console=f"error: invalid file name `{name}'.")


def _no_disk(entry: Entry, name: str, steps: Steps) -> Finding:
    message = f"the entry {entry.title!r} takes its files from ({name}), which no guest's GRUB has"
    return Finding.of(
        MenuProblem.DISK_MISSING,
        link=Link.ENTRY,
        thing=name,
        message=message,
        disk=name,
        by=steps.menu(name),
    )


def _as_grub_says(finding: Finding, path: str) -> Finding:
    """With GRUB's `path` in the console's words, where the guest has another for the thing."""
    return replace(finding, console=finding.console.replace(finding.thing, path or finding.thing))


def choice_finding(choice: Choice, menu: Menu, steps: Steps) -> tuple[Finding, ...]:
    """What is wrong with the default itself."""
    if not menu.entries and menu.is_whole:
        return (
            Finding.of(
                MenuProblem.EMPTY,
                link=Link.GRUB_CFG,
                thing="grub.cfg",
                message="grub.cfg makes a menu without entries",
                by=steps.first_entries(),
            ),
        )
    if choice.is_named or not choice.is_sure or not choice.wanted:
        return ()
    title = choice.entry.title if choice.entry else ""
    found = Finding.of(
        MenuProblem.DEFAULT_NOT_THERE,
        link=Link.ENTRY,
        thing=choice.wanted,
        message=f"the default {choice.wanted!r} names no entry: GRUB starts {title!r} instead",
        title=title,
    )
    return (replace(found, hint=steps.default(choice.wanted, found.hint)),)
