# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernels need a copy for PV, and what becomes of the copies."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.config import PvKernels
from guest_hooks.errors import LackingError
from guest_hooks.formats import pv_kernel
from guest_hooks.model import GrubCfgStatus, KernelStatus, Mode, Start
from guest_hooks.paths import GRUB_CFG
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.row import Severity, State
from guest_hooks.survey import menu_kernels, pv_kernels
from guest_hooks.sync import kernel_copies
from guest_hooks.sync.result import Done
from tests.support import boot_tree, kernels, pv_menu
from tests.support.copies_world import PV, World

NEW, MIDDLE, OLD = boot_tree.RELEASES
PVH = {"i386-xen_pvh": True}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def codes(found: KernelStatus) -> list[tuple[str, Severity]]:
    return [(problem.code, problem.severity) for problem in found.problems]


def test_copies_are_made_once_and_found_current(world: World) -> None:
    made = world.renew()
    assert [change.path for change in made.changes] == [
        f"/boot/xen/vmlinux-{release}.gz" for release in boot_tree.RELEASES
    ]
    assert {why for change in made.changes for why in change.why} == {PvKernelProblem.MISSING}
    assert made.failures == ()
    for found in world.kernels():
        assert (found.pv, found.pvh, found.problems) == (Start.COPY, Start.ITSELF, ())
    assert world.renew() == Done()


@pytest.mark.parametrize(
    ("setting", "targets", "wanted"),
    [
        (PvKernels.AUTO, PV, True),
        (PvKernels.AUTO, PVH, False),
        (PvKernels.AUTO, {**PVH, "x86_64-xen": False}, True),
        (PvKernels.ALWAYS, PVH, True),
        (PvKernels.NEVER, PV, False),
    ],
)
def test_who_gets_copies(
    world: World, setting: PvKernels, targets: dict[str, bool], wanted: bool
) -> None:
    world.config = replace(world.config, pv_kernels=setting)
    for found in world.kernels(targets):
        assert (found.copy is not None) is wanted
        severity = Severity.ERROR if targets.get("x86_64-xen") else Severity.WARNING
        assert codes(found) == ([(PvKernelProblem.MISSING, severity)] if wanted else [])


@pytest.mark.parametrize("compression", ["xz", "gzip"])
def test_what_grub_unpacks_starts_itself(world: World, compression: str) -> None:
    world.install(NEW, compression)
    found = world.kernels()[0]
    assert (found.version, found.pv, found.copy, found.problems) == (NEW, Start.ITSELF, None, ())


def test_a_kernel_without_pv_gets_none(world: World) -> None:
    notes = {kind: value for kind, value in kernels.LINUX_NOTES.items() if kind != 1}
    elf = kernels.vmlinux(notes=notes, release=NEW)
    world.tree.write(f"boot/vmlinuz-{NEW}", kernels.bzimage(elf, "zstd", release=NEW))
    found = world.kernels()[0]
    assert (found.pv, found.copy) == (Start.NOT, None)
    assert [change.path for change in world.renew().changes] == [
        f"/boot/xen/vmlinux-{release}.gz" for release in (MIDDLE, OLD)
    ]


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        pytest.param(lambda path: path.unlink(), PvKernelProblem.MISSING, id="gone"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes()[:-5000]),
            PvKernelProblem.DAMAGED,
            id="cut-off",
        ),
        pytest.param(
            lambda path: path.write_bytes(b"\0" * 9000), PvKernelProblem.DAMAGED, id="zeros"
        ),
        pytest.param(
            lambda path: path.write_bytes(
                pv_kernel.make(kernels.bzimage(kernels.vmlinux(text_size=1 << 18), "zstd"))
            ),
            PvKernelProblem.STALE,
            id="of-another-kernel",
        ),
    ],
)
def test_a_copy_that_is_not_right_is_made_again(world: World, damage: object, code: str) -> None:
    world.renew()
    right = world.copy(NEW).read_bytes()
    assert callable(damage)
    damage(world.copy(NEW))
    assert codes(world.kernels()[0]) == [(code, Severity.ERROR)]
    (change,) = world.renew().changes
    assert (change.path, change.why) == (f"/boot/xen/vmlinux-{NEW}.gz", (code,))
    assert world.copy(NEW).read_bytes() == right


def test_a_kernel_replaced_under_the_same_name(world: World) -> None:
    world.renew()
    elf = kernels.vmlinux(release=NEW, text_size=200_000)
    world.tree.write(f"boot/vmlinuz-{NEW}", kernels.bzimage(elf, "zstd", release=NEW))
    assert codes(world.kernels()[0]) == [(PvKernelProblem.STALE, Severity.ERROR)]
    assert world.kernels()[0].pv is Start.COPY
    world.renew()
    assert world.kernels()[0].problems == ()


@pytest.mark.parametrize(
    "release", ["lts-6.1.0", "6.1.0.gz", "6.2.0~rc1+local", "6.1.0-56-amd64.old", "mine"]
)
def test_any_name_that_10_linux_takes_has_a_copy_of_its_own(world: World, release: str) -> None:
    """Also one of which 10_linux takes the same version as of another kernel."""
    world.install("6.1.0", "zstd")
    world.install(release, "zstd")
    world.renew()
    by_copy = {change.path for change in world.renew().changes}
    assert by_copy == set()
    assert {world.copy(name).exists() for name in ("6.1.0", release)} == {True}
    rows = {kernel.path: kernel for kernel in world.kernels()}
    assert rows[f"/boot/vmlinuz-{release}"].pv is Start.COPY
    line = f"linux {world.top}/boot/vmlinuz-{release} ro\n"
    menu = pv_menu.rewritten(line, world.top / "boot", world.top / "output").decode()
    assert f"linux {world.top}/boot/xen/vmlinux-{release}.gz ro; else\n{line}" in menu


def test_a_damaged_kernel_keeps_the_copy_that_starts_it(world: World) -> None:
    """Cut off on the disk, or not to be read: as PV the guest still boots it by its copy."""
    world.renew()
    path = f"boot/vmlinuz-{MIDDLE}"
    world.tree.write(path, (world.top / path).read_bytes()[:-9000])
    assert world.states()[MIDDLE] is State.CURRENT
    found = {kernel.version: kernel for kernel in world.kernels()}[MIDDLE]
    assert (found.pv, found.pvh, found.problems) == (Start.COPY, Start.NOT, ())
    assert kernel_copies.tidy(world.root, world.survey(), (), is_forced=False) == Done()
    world.copy(MIDDLE).write_bytes(b"no copy")
    assert world.states()[MIDDLE] is None


def test_a_failure_keeps_no_other_copy_from_being_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = pv_kernel.make

    def failing(data: bytes) -> bytes:
        if data == boot_tree.kernel(MIDDLE, "zstd"):
            raise LackingError("it fails")
        return made(data)

    monkeypatch.setattr(pv_kernel, "make", failing)
    (failure,) = world.renew().failures
    assert world.states() == {NEW: State.CURRENT, MIDDLE: State.MISSING, OLD: State.CURRENT}
    assert failure.error.message.endswith("it fails")


def test_a_removed_kernel_s_copy_goes(world: World) -> None:
    world.renew()
    (world.top / "boot/xen/vmlinux-mine.gz").write_bytes(b"an admin's own")
    world.tree.remove(f"boot/vmlinuz-{OLD}")
    made = kernel_copies.tidy(world.root, world.survey(), (), is_forced=False)
    assert [change.path for change in made.changes] == [f"/boot/xen/vmlinux-{OLD}.gz"]
    assert sorted(path.name for path in (world.top / "boot/xen").glob("vmlinux-*")) == sorted(
        [f"vmlinux-{release}.gz" for release in (NEW, MIDDLE)] + ["vmlinux-mine.gz"]
    )
    assert kernel_copies.tidy(world.root, world.survey(), (), is_forced=False) == Done()


def test_nothing_goes_where_only_some_targets_were_named(world: World) -> None:
    world.renew()
    world.tree.remove(f"boot/vmlinuz-{OLD}")
    found = world.survey()
    assert kernel_copies.tidy(world.root, found, ("i386-xen_pvh",), is_forced=True) == Done()


def test_never_keeps_the_copy_that_a_pv_guest_boots_by(world: World) -> None:
    world.renew()
    world.update_grub()
    world.config = replace(world.config, pv_kernels=PvKernels.NEVER)
    made = kernel_copies.tidy(world.root, world.survey(), (), is_forced=False)
    assert [change.path for change in made.changes] == [
        f"/boot/xen/vmlinux-{release}.gz" for release in sorted((MIDDLE, OLD))
    ]
    assert PvKernelProblem.KEPT in {problem.code for problem in made.unsure}
    forced = kernel_copies.tidy(world.root, world.survey(), (), is_forced=True)
    assert [change.path for change in forced.changes] == [f"/boot/xen/vmlinux-{NEW}.gz"]


def test_never_removes_all_where_the_guest_is_pvh(world: World) -> None:
    world.renew()
    world.update_grub()
    world.config = replace(world.config, pv_kernels=PvKernels.NEVER)
    made = kernel_copies.tidy(world.root, world.survey(Mode.PVH), (), is_forced=False)
    assert len(made.changes) == len(boot_tree.RELEASES)


def test_a_menu_that_starts_a_kernel_beside_its_copy_is_stale(world: World) -> None:
    script = world.tree.top / pv_kernels.SCRIPT.lstrip("/")
    script.parent.mkdir(parents=True)
    script.write_text("")
    script.chmod(0o755)
    world.tree.write(menu_kernels.PROGRAM.lstrip("/"), b"")
    current = GrubCfgStatus(path=GRUB_CFG, state=State.CURRENT)
    assert menu_kernels.with_copies(world.root, current, ()) == current
    world.renew()
    found = menu_kernels.with_copies(world.root, current, world.kernels())
    assert found.state is State.STALE
    assert [problem.code for problem in found.problems] == [MenuProblem.PV_KERNEL_NOT_LISTED]
    world.update_grub()
    assert menu_kernels.with_copies(world.root, current, world.kernels()) == current
    script.chmod(0o644)
    world.tree.write("boot/grub/grub.cfg", b"")
    assert menu_kernels.with_copies(world.root, current, world.kernels()) == current


def test_preflight_follows_a_pv_boot_to_the_copy(world: World) -> None:
    answer = world.tree.preflight()
    assert {finding.code for finding in answer.findings} == {"kernel-compression"}
    assert not answer.will_boot
    world.renew()
    assert not world.tree.preflight().will_boot
    world.update_grub()
    answer = world.tree.preflight()
    assert answer.findings == ()
    assert f"/boot/xen/vmlinux-{NEW}.gz" in str(answer.chain)
    world.copy(NEW).write_bytes(world.copy(NEW).read_bytes()[:-9000])
    answer = world.tree.preflight()
    assert [finding.thing for finding in answer.findings] == [f"/boot/xen/vmlinux-{NEW}.gz"]
    assert answer.findings[0].hint.startswith("make the copy again: xen-guest-bootloader sync")
    assert not answer.will_boot
    world.copy(NEW).unlink()
    assert not world.tree.preflight().will_boot


@pytest.mark.parametrize(
    ("versions", "newest"),
    [
        (("6.1.0-9-amd64", "6.1.0-10-amd64"), "6.1.0-10-amd64"),
        (("6.12.9+deb13-amd64", "6.1.0-44-amd64"), "6.12.9+deb13-amd64"),
        (("7.0~rc1-amd64", "7.0-amd64"), "7.0-amd64"),
    ],
)
def test_versions_are_ordered_as_10_linux_orders_them(
    versions: tuple[str, ...], newest: str
) -> None:
    assert max(versions, key=pv_kernels.version_key) == newest
