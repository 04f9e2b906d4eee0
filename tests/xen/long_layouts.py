"""Guests of both releases on other layouts of disk, as PV and as PVH. `make test-xen` runs this, `make test` does not."""

from pathlib import Path

import pytest

from tests.support import debian_package, debian_tree, xen_guest, xen_lab
from tests.support.debian_tree import Kind, Suite
from tests.support.tree_guest import TreeGuest
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import STATUS
from tests.xen.test_boots import boots_by_second_stage


def with_an_older_kernel(tree: TreeGuest) -> None:
    """Bookworm's kernel in place of trixie's, which is packed with zstd: no GRUB up to 2.14 starts such a one in a PV guest."""
    for path in [*tree.path("/boot").glob("*-6.*"), *tree.path("/lib/modules").iterdir()]:
        tree.run("rm", "-rf", f"/{path.relative_to(tree.directory)}")
    older = debian_tree.tarball(Suite.BOOKWORM, Kind.MINIMAL, extra=xen_guest.PACKAGES)
    wanted = ["./boot/vmlinuz-*", "./boot/config-*", "./lib/modules/*", "./usr/lib/modules/*"]
    command = ["tar", "-xf", str(older), "-C", str(tree.directory), "--wildcards", "--transform=s,^./lib/,./usr/lib/,", *wanted[:3]]
    debian_package.host(*command)
    (release,) = (path.name for path in tree.path("/lib/modules").iterdir())
    tree.run("update-initramfs", "-c", "-k", release)


@pytest.mark.parametrize(
    ("suite", "fs_type", "table", "boot", "prefix"),
    [
        pytest.param(Suite.BOOKWORM, "ext4", "mbr", "", "(xen/xvda,msdos1)/boot/grub", id="bookworm-mbr-ext4"),
        pytest.param(Suite.BOOKWORM, "xfs", "gpt", "ext4", "(xen/xvda,gpt1)/grub", id="bookworm-gpt-own-boot-xfs"),
        pytest.param(Suite.BOOKWORM, "btrfs", "gpt", "", "(xen/xvda,gpt1)/boot/grub", id="bookworm-gpt-btrfs"),
        pytest.param(Suite.BOOKWORM, "xfs", "", "", "(xen/xvda)/boot/grub", id="bookworm-whole-disk-xfs"),
        pytest.param(Suite.TRIXIE, "ext4", "", "", "(xen/xvda)/boot/grub", id="trixie-whole-disk-ext4"),
        pytest.param(Suite.TRIXIE, "btrfs", "mbr", "ext4", "(xen/xvda,msdos1)/grub", id="trixie-mbr-own-boot-btrfs"),
    ],
)
def test_it_boots_as_pv_and_as_pvh(  # noqa: PLR0917
    dom0: Dom0, deb: Path, tmp_path: Path, suite: Suite, fs_type: str, table: str, boot: str, prefix: str
) -> None:
    prepare = with_an_older_kernel if suite is Suite.TRIXIE else lambda _: None
    with xen_guest.made(tmp_path, suite, deb, fs_type=fs_type, table=table, boot=boot, prepare=prepare) as guest:
        consoles = xen_lab.boot([guest.run(mode, mode, dom0, STATUS) for mode in ("pv", "pvh")])
        for mode in ("pv", "pvh"):
            boots_by_second_stage(consoles[mode], mode, prefix=prefix)


def test_trixies_own_kernel_boots_as_pvh(dom0: Dom0, deb: Path, tmp_path: Path) -> None:
    with xen_guest.made(tmp_path, Suite.TRIXIE, deb) as guest:
        consoles = xen_lab.boot([guest.run("pvh", "pvh", dom0, STATUS)])
        boots_by_second_stage(consoles["pvh"], "pvh")
