# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole sync of real Debian trees on each layout of disks: what is installed, what GRUB reads
of it, that it is done once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from guest_hooks.formats import pvh_bridge, second_stage
from guest_hooks.formats.moddep import EMBEDDED
from guest_hooks.machine import disks, mkimage
from guest_hooks.machine.root import Root
from guest_hooks.model import Choices, Mode
from guest_hooks.sync import recipe
from guest_hooks.targets import TARGETS
from tests.support import images, libxenguest
from tests.support.debian_tree import Kind, Suite, tarball, unpack
from tests.support.outside_guest import ALL, FILES, Outcome, OutsideGuest, outside_guest, snapshot

GRUB_VERSIONS = {Suite.BOOKWORM: "2.06-", Suite.TRIXIE: "2.12-"}
GRUB_FILE = {"x86_64-xen": "--is-x86_64-xen-domu", "i386-xen": "--is-i386-xen-pae-domu"}
IN_BOOT = (
    "/boot/grub/grub.cfg",
    *(f"/boot/xen/{name}" for names in FILES.values() for name in names),
    *(
        f"/boot/grub/{name}/{file}"
        for name in TARGETS
        for file in ("core.elf", "normal.mod", "moddep.lst")
    ),
)
"""What GRUB may read."""
NAMES = tuple(name for names in FILES.values() for name in names)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One disk: the root's file system, the partition table or none, and the type of an own
    /boot or none.
    """

    suite: Suite
    fs_type: str
    table: str = ""
    boot: str = ""
    subvolume: bool = False


# Not the full product: every value of one column meets every value of each other column.
LAYOUTS = [
    Layout(suite=Suite.BOOKWORM, fs_type="ext4"),
    Layout(suite=Suite.TRIXIE, fs_type="ext4", table="gpt", boot="ext4"),
    Layout(suite=Suite.BOOKWORM, fs_type="ext4", table="mbr", boot="xfs"),
    Layout(suite=Suite.TRIXIE, fs_type="xfs"),
    Layout(suite=Suite.BOOKWORM, fs_type="xfs", table="mbr"),
    Layout(suite=Suite.TRIXIE, fs_type="xfs", boot="btrfs"),
    Layout(suite=Suite.BOOKWORM, fs_type="btrfs", table="gpt", boot="btrfs"),
    Layout(suite=Suite.TRIXIE, fs_type="btrfs", table="mbr"),
    Layout(suite=Suite.BOOKWORM, fs_type="btrfs", boot="ext4"),
    Layout(suite=Suite.TRIXIE, fs_type="btrfs", subvolume=True),
    Layout(suite=Suite.BOOKWORM, fs_type="btrfs", subvolume=True),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A tree after its first sync; `in_grub` is /boot as GRUB names it on its file system."""

    tree: OutsideGuest
    layout: Layout
    outcome: Outcome
    in_grub: str

    def expect_grub_to_read(self, *paths: str) -> None:
        """Cut the power now: GRUB reads of each path (below /boot) exactly what stands there."""
        given = self.tree.disk.given
        on_disk = images.Copy(boot=given.boot, has_own_boot=False)
        for path in paths:
            assert (
                on_disk.cat(path.replace("/boot", self.in_grub, 1))
                == self.tree.path(path).read_bytes()
            ), path


@contextmanager
def subvolume_tree(directory: Path, suite: Suite) -> Iterator[OutsideGuest]:
    """A tree whose `/` is the subvolume `@` of a btrfs."""
    with images.disk(directory, "btrfs", size=600 * images.MIB) as disk:
        images.tool("btrfs", "subvolume", "create", str(disk.top / "@"))
        images.tool("umount", str(disk.top))
        with images.mounted(disk.root, disk.top, options="subvol=@"):
            unpack(tarball(suite, Kind.MINIMAL), disk.top)
            (disk.top / "etc/fstab").write_text(f"UUID={disk.root.uuid} / btrfs subvol=@ 0 0\n")
            yield OutsideGuest(disk=disk, suite=suite)
        images.tool("mount", disk.root.device, str(disk.top))


@contextmanager
def tree_of(layout: Layout, directory: Path) -> Iterator[OutsideGuest]:
    if layout.subvolume:
        with subvolume_tree(directory, layout.suite) as tree:
            yield tree
    else:
        with outside_guest(
            directory, layout.suite, layout.fs_type, table=layout.table, boot=layout.boot
        ) as tree:
            yield tree


def name_of(layout: Layout) -> str:
    boot, subvolume = (
        (f"boot-{layout.boot}" if layout.boot else ""),
        ("subvolume" if layout.subvolume else ""),
    )
    return "-".join(
        word
        for word in (layout.suite, layout.fs_type, layout.table or "disk", boot, subvolume)
        if word
    )


@pytest.fixture(scope="module", params=LAYOUTS, ids=name_of)
def synced(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Synced]:
    layout = request.param
    in_grub = "" if layout.boot else "/@/boot" if layout.subvolume else "/boot"
    with tree_of(layout, tmp_path_factory.mktemp("sync")) as tree:
        outcome = tree.run("sync", "--json", *ALL)
        yield Synced(tree=tree, layout=layout, outcome=outcome, in_grub=in_grub)


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[libxenguest.Oracle]:
    with libxenguest.running(tmp_path_factory.mktemp("oracle")) as running:
        yield running


def test_every_file_of_every_target_is_there_and_current(synced: Synced) -> None:
    table = synced.outcome.json
    assert table["ok"] is True
    assert table["failures"] == []
    assert synced.outcome.states() == dict.fromkeys(TARGETS, "current")
    assert {change["path"] for change in table["changed"]} >= {
        f"/boot/xen/{name}" for name in NAMES
    } | {"/boot/grub/grub.cfg"}
    assert sorted(path.name for path in synced.tree.path("/boot/xen").iterdir()) == sorted(NAMES)
    for target in table["targets"]:
        assert target["grub_version"].startswith(GRUB_VERSIONS[synced.layout.suite])


def test_each_second_stage_finds_this_file_system_and_carries_its_modules(synced: Synced) -> None:
    for name in TARGETS:
        data = synced.tree.boot_xen(FILES[name][0]).read_bytes()
        core = second_stage.read(data).core
        assert core is not None
        assert core.fs_uuid == synced.tree.disk.boot.uuid
        assert f"set prefix=($root)'{synced.in_grub}/grub'" in core.config
        there = {module.name for module in core.modules}
        lib = {path.stem for path in synced.tree.path(f"/usr/lib/grub/{name}").glob("*.mod")}
        assert {module for module in EMBEDDED if module in lib} <= there
        assert data == synced.tree.path(f"/boot/grub/{name}/core.elf").read_bytes()


def test_grub_mkimage_makes_what_grub_install_made(synced: Synced) -> None:
    """By what grub-install chose where /boot was another file system, and lay elsewhere on it."""
    root = Root(str(synced.tree.top))
    boot = disks.boot_filesystem(root)
    for name, target in TARGETS.items():
        core = synced.tree.boot_xen(FILES[name][0]).read_bytes()
        chosen = recipe.of(core, boot.modules)
        assert chosen is not None
        config = "search.fs_uuid 00000000-0000 root \nset prefix=($root)'/before'\n"
        before = replace(chosen, prefix="/before", config=config)
        assert recipe.adapted(before, boot) == chosen
        other, made = mkimage.make(root, target, [before, chosen], Choices())
        assert made == core != other


def test_the_pvh_files_belong_together(synced: Synced) -> None:
    core, copy, bridge = (synced.tree.boot_xen(name).read_bytes() for name in FILES["i386-xen_pvh"])
    assert copy == core
    assert pvh_bridge.unwrap(bridge) == core


def test_the_modules_beside_are_those_of_the_package(synced: Synced) -> None:
    for name in TARGETS:
        lib, there = (
            synced.tree.path(f"/usr/lib/grub/{name}"),
            synced.tree.path(f"/boot/grub/{name}"),
        )
        assert {path.name for path in lib.glob("*.mod")} == {
            path.name for path in there.glob("*.mod")
        }
        assert all(
            (there / path.name).read_bytes() == path.read_bytes() for path in lib.glob("*.mod")
        )


def test_an_ordinary_user_is_told_the_same_directory(
    synced: Synced, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may not ask grub-probe."""
    root = Root(str(synced.tree.top))
    told = disks.boot_filesystem(root)
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    assert disks.boot_filesystem(root).grub_dir == told.grub_dir == f"{synced.in_grub}/grub"


def test_xen_and_grub_file_accept_it(synced: Synced, oracle: libxenguest.Oracle) -> None:
    for name, target in TARGETS.items():
        path = synced.tree.boot_xen(FILES[name][0])
        assert oracle.accepts(path.read_bytes(), target.mode)
        if target.mode is Mode.PV:
            images.tool("grub-file", GRUB_FILE[name], str(path))


def test_grub_reads_all_of_it_after_a_power_cut(synced: Synced) -> None:
    synced.expect_grub_to_read(*IN_BOOT)


def test_a_second_sync_writes_nothing(synced: Synced, tmp_path: Path) -> None:
    before = snapshot(synced.tree.top, synced.tree.path("/boot"))
    assert synced.tree.writes(tmp_path / "trace", "sync", *ALL) == []
    assert snapshot(synced.tree.top, synced.tree.path("/boot")) == before


def test_what_strace_shows_of_a_sync_with_something_to_do(synced: Synced, tmp_path: Path) -> None:
    synced.tree.boot_xen("pvboot-i386.elf").unlink()
    lines = synced.tree.writes(tmp_path / "trace", "sync", "--target=i386-xen")
    assert any(line.startswith("rename") and "pvboot-i386.elf" in line for line in lines)


def test_grub_reads_the_next_ones_after_a_change(synced: Synced) -> None:
    """Other modules are wanted: every file is replaced, and GRUB reads the new bytes though
    nothing was unmounted.
    """
    before = {name: synced.tree.boot_xen(name).read_bytes() for name in NAMES}
    config = synced.tree.path("/etc/xen-guest-bootloader/config.toml")
    config.parent.mkdir()
    config.write_text('extra_modules = ["hexdump"]\n')
    stale = synced.tree.status(code=3)
    assert set(stale.states().values()) == {"stale"}
    assert set(synced.tree.sync().states().values()) == {"current"}
    assert all(synced.tree.boot_xen(name).read_bytes() != data for name, data in before.items())
    synced.expect_grub_to_read(*IN_BOOT)


def test_a_bridge_that_is_turned_off_is_gone_for_grub(synced: Synced) -> None:
    path = "/boot/xen/pvhboot-i386.linux"
    config = synced.tree.path("/etc/xen-guest-bootloader/config.toml")
    config.write_text(config.read_text() + "pvh_chainload = false\n")
    (change,) = synced.tree.sync("--target=i386-xen_pvh").json["changed"]
    assert (change["path"], change["after"], change["why"]) == (path, "", ["bridge-unwanted"])
    assert not synced.tree.path(path).exists()
    assert (
        images.Copy(boot=synced.tree.disk.given.boot, has_own_boot=False).cat(
            path.replace("/boot", synced.in_grub, 1)
        )
        is None
    )
    synced.expect_grub_to_read(*(each for each in IN_BOOT if each != path))


def test_nothing_is_left_behind(synced: Synced) -> None:
    """No temporary file in the tree, no mount, no staging directory."""
    left = [
        str(path)
        for path in synced.tree.path("/boot").rglob("*")
        if "xen-guest-bootloader" in path.name
    ]
    assert left == []
    mounted = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    inside = [point for point in mounted if point.startswith(str(synced.tree.top))]
    assert len(inside) == (2 if synced.layout.boot else 1)
    staging = Path("/run/xen-guest-bootloader")
    assert not [path for path in staging.iterdir() if path.name.startswith("staging.")]
