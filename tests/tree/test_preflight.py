# SPDX-License-Identifier: GPL-3.0-or-later
"""preflight on real Debian trees: silence where they would boot, and the one finding that is
true where they would not.
"""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.boot_images import KernelFacts
from guest_hooks.formats import initrd
from guest_hooks.machine import block_devices
from guest_hooks.machine.dpkg import kernel_packages
from guest_hooks.machine.image_reading import read_initrd, read_kernel
from guest_hooks.machine.root import Root
from guest_hooks.targets import TARGETS
from tests.support import images
from tests.support.debian_layouts import (
    LAYOUTS,
    OTHER_KERNELS,
    Layout,
    debian,
)
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball
from tests.support.outside_guest import OutsideGuest, snapshot


def kernel_facts(tree: OutsideGuest) -> tuple[KernelFacts, KernelFacts]:
    """What is known of Debian's kernel by dpkg's sums and its configuration; and by unpacking
    it, without those sums.
    """
    (image,) = (
        path
        for path in (tree.top / "boot").glob("vmlinuz-*")
        if not path.name.endswith(OTHER_KERNELS)
    )
    root = Root(str(tree.top))
    told = read_kernel(root, f"/boot/{image.name}")
    names = kernel_packages(root, image.name.removeprefix("vmlinuz-"))
    sums = [tree.top / f"var/lib/dpkg/info/{name}.md5sums" for name in names]
    for file in sums:
        file.rename(file.with_suffix(".hidden"))
    read = read_kernel(root, f"/boot/{image.name}")
    for file in sums:
        file.with_suffix(".hidden").rename(file)
    return told, read


@pytest.mark.parametrize(("layout", "target"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_healthy_debian_is_told_so_and_nothing_else(
    tmp_path: Path, layout: Layout, target: str
) -> None:
    with debian(tmp_path, layout, target) as tree:
        found_healthy(tree, target)


def found_healthy(tree: OutsideGuest, target: str) -> None:
    before = snapshot(tree.top)
    answer = tree.run("preflight", "--json", f"--target={target}").json
    assert snapshot(tree.top) == before
    assert answer["findings"] == []
    assert (answer["ok"], answer["will_boot"]) == (True, True)
    assert list(dict.fromkeys(step["link"] for step in answer["chain"])) == [
        "stage-1",
        *(["handover"] if TARGETS[target].bridge else []),
        "second-stage",
        "grub.cfg",
        "entry",
        "kernel",
        "initrd",
        "root",
    ]
    assert not [item for item in answer["unknown"] if "inside" in item]
    told, read = kernel_facts(tree)
    assert told == replace(read, is_verified=True)
    assert tree.run("preflight", "--json", f"--target={target}").json == answer


@pytest.mark.parametrize(
    ("layout", "packing"),
    [
        pytest.param(Layout(suite=Suite.TRIXIE), "zstd", id="trixie"),
        pytest.param(Layout(suite=Suite.BOOKWORM, kind=Kind.FULL), "lz4", id="bookworm-cloud"),
    ],
)
def test_a_kernel_of_debians_that_grub_does_not_unpack_starts_as_pv_by_its_copy(
    tmp_path: Path, layout: Layout, packing: str
) -> None:
    with debian(tmp_path, layout, "x86_64-xen") as tree:
        answer = tree.run("preflight", "--json", "--target=x86_64-xen").json
        assert (answer["will_boot"], answer["findings"]) == (True, [])
        assert "/boot/xen/vmlinux-" in str(answer["chain"])
        for copy in (tree.top / "boot/xen").glob("vmlinux-*.gz"):
            copy.unlink()
        answer = tree.run("preflight", "--json", "--target=x86_64-xen", code=3).json
        assert {(finding["code"], finding["console"]) for finding in answer["findings"]} == {
            ("kernel-compression", "error: not xen image.")
        }
        assert packing in answer["findings"][0]["message"]
        (image,) = (
            path
            for path in (tree.top / "boot").glob("vmlinuz-*")
            if not path.name.endswith(OTHER_KERNELS)
        )
        refused = subprocess.run(
            ["/usr/bin/grub-file", "--is-x86_64-xen-domu", str(image)], check=False
        ).returncode
        assert refused == 1


def test_damage_of_a_healthy_tree_is_found_and_its_repair_too(tmp_path: Path) -> None:
    with debian(tmp_path, Layout(suite=Suite.BOOKWORM), "x86_64-xen") as tree:
        found_healthy(tree, "x86_64-xen")
        (image,) = (
            path
            for path in (tree.top / "boot").glob("vmlinuz-*")
            if not path.name.endswith(OTHER_KERNELS)
        )
        release = image.name.removeprefix("vmlinuz-")
        ramdisk = tree.top / f"boot/initrd.img-{release}"
        facts = read_kernel(Root(str(tree.top)), f"/boot/{image.name}")
        assert (facts.is_verified, facts.release, facts.has_entry, facts.has_phys32_entry) == (
            True,
            release,
            True,
            True,
        )
        contents = read_initrd(Root(str(tree.top)), f"/boot/{ramdisk.name}")
        assert contents.kernels == (release,)

        whole = image.read_bytes()
        damaged = bytearray(whole)
        damaged[len(whole) // 2] ^= 0xFF
        image.write_bytes(damaged)
        assert codes(tree) == {"kernel-damaged"}
        image.write_bytes(whole)
        assert codes(tree) == set()

        whole = ramdisk.read_bytes()
        ramdisk.write_bytes(whole[: len(whole) // 2])
        assert codes(tree) == {"initrd-damaged"}
        ramdisk.write_bytes(whole)
        (tree.top / "boot/grub/grub.cfg").write_bytes(
            (tree.top / "boot/grub/grub.cfg").read_bytes()[:3000]
        )
        assert codes(tree) == {"grub-cfg-invalid"}


def codes(tree: OutsideGuest) -> set[str]:
    answer = tree.run("preflight", "--json", "--target=x86_64-xen", code=None).json
    return {finding["code"] for finding in answer["findings"] if finding["severity"] == "error"}


@pytest.mark.parametrize("suite", RELEASES)
def test_an_initrd_holds_what_lsinitramfs_says(tmp_path: Path, suite: Suite) -> None:
    with tarball(suite, Kind.FULL).open("rb") as archive:
        names = subprocess.run(
            ["tar", "--list"], stdin=archive, capture_output=True, check=True, text=True
        ).stdout.splitlines()
        (name,) = (name for name in names if name.startswith("./boot/initrd.img"))
    subprocess.run(
        ["tar", "-xf", str(tarball(suite, Kind.FULL)), "-C", str(tmp_path), name], check=True
    )
    path = tmp_path / name
    listing = subprocess.run(
        ["lsinitramfs", str(path)], capture_output=True, check=True, text=True, timeout=120
    ).stdout
    assert set(initrd.read(path.read_bytes()).names) == set(listing.splitlines())


def test_files_on_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    """GRUB's drivers read the raw device; what udev knows of it is given, for this machine has
    no udev for loop devices.
    """
    paths = ("/boot/xen/pvboot-x86_64.elf", "/xen/pvboot-x86_64.elf", "/boot/grub/grub.cfg")
    for fs_type in ("ext4", "xfs", "btrfs"):
        with images.disk(tmp_path / fs_type, fs_type) as disk:
            (disk.top / "boot/xen").mkdir(parents=True)
            (disk.top / "boot/xen/pvboot-x86_64.elf").write_bytes(b"stale")
            images.tool("umount", str(disk.top))
            assert block_devices.files_on(disk.root.device, paths) == frozenset({paths[0]})
            images.tool("mount", disk.root.device, str(disk.top))


def test_what_lsblk_says_is_understood() -> None:
    done = subprocess.run(
        ["lsblk", "--json", "--list", "--output", "PATH,TYPE"],
        capture_output=True,
        text=True,
        check=True,
    )
    there = {
        row["path"]
        for row in json.loads(done.stdout)["blockdevices"]
        if not row["path"].startswith(("/dev/loop", "/dev/zram"))
    }
    assert {device.path for device in block_devices.present()} == there
