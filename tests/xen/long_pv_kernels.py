# SPDX-License-Identifier: GPL-3.0-or-later
"""PV guests with Debian's own kernels that no GRUB of these releases unpacks, trixie's (zstd) and
bookworm's for clouds (LZ4): each boots, or does not, as preflight had said. Nothing was done by
hand but to install the package.

One start of Xen serves all of them: each test looks at the consoles of its own.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from guest_hooks.formats import boot_provenance
from guest_hooks.machine import space
from guest_hooks.machine.root import Root
from tests.support import kernel_package, xen_guest, xen_lab
from tests.support.chroot_guest import ChrootGuest, copied
from tests.support.debian_tree import Kind, Suite
from tests.support.xen_dom0 import Dom0
from tests.support.xen_guest import CMDLINE, STATUS, When, XenGuest, answer
from tests.support.xen_lab import Console, GuestRun
from tests.xen.test_boots import boots_by_second_stage, came_by_second_stage

MEMORY = 512
"""MiB; the vmlinux of trixie's kernel has 58."""
LITTLE = 256
OLDER = "6.11.0-older"
"""Trixie's kernel again, by the name of an older one."""
TITLE = f"Advanced options for GNU/Linux>GNU/Linux, with Linux {OLDER}"
MARGIN = 6 << 20
"""Bytes that are left beside one copy; a second one has more."""
UP_TO_LINUX = ("Loading initial ramdisk", "grub>")
"""GRUB has the kernel in memory as a PV guest's, or will never have it."""


def copy_of(release: str) -> str:
    return f"/boot/xen/vmlinux-{release}.gz"


def _an_older_kernel(tree: ChrootGuest) -> None:
    for file in ("vmlinuz", "initrd.img"):
        (newest,) = tree.path("/boot").glob(f"{file}-6.12*")
        tree.path(f"/boot/{file}-{OLDER}").write_bytes(newest.read_bytes())


def _no_second_stage(tree: ChrootGuest) -> None:
    for path in tree.path("/boot/xen").glob("pv*boot-*"):
        path.unlink()


def _chosen_by_title(tree: ChrootGuest) -> None:
    tree.write("/etc/default/grub.d/older.cfg", f'GRUB_DEFAULT="{TITLE}"\n')
    tree.run("update-grub")


def _chosen_for_one_boot(tree: ChrootGuest) -> None:
    tree.write("/etc/default/grub.d/older.cfg", "GRUB_DEFAULT=saved\n")
    tree.run("update-grub")
    tree.run("grub-set-default", "0")
    tree.run("grub-reboot", TITLE)


def _a_kernel_came_and_went(tree: ChrootGuest) -> None:
    """Debian's own scripts of a kernel's package ran both times."""
    package = kernel_package.build(_without_older(tree), tree.work)
    release = kernel_package.newer_release(tree)
    tree.path("/root/kernel.deb").write_bytes(package.read_bytes())
    tree.run("dpkg", "--install", "/root/kernel.deb")
    assert tree.path(copy_of(release)).exists()
    tree.run("dpkg", "--purge", f"linux-image-{release}")
    assert not tree.path(copy_of(release)).exists()


def _without_older(tree: ChrootGuest) -> ChrootGuest:
    for file in ("vmlinuz", "initrd.img"):
        tree.path(f"/boot/{file}-{OLDER}").unlink()
    tree.run("xen-guest-bootloader", "sync")
    return tree


def _room_for_one_copy(tree: ChrootGuest) -> None:
    copies = sorted(tree.path("/boot/xen").glob("vmlinux-*.gz"))
    size = copies[0].stat().st_size
    for path in copies:
        path.unlink()
    tree.run("sync", "--file-system", "/")
    have = space.free(Root(str(tree.directory)), "/boot")
    tree.run("fallocate", "--length", str(have - size - MARGIN), "/filler")
    done = tree.run("xen-guest-bootloader", "sync", check=False)
    assert f"no copy of /boot/vmlinuz-{OLDER}" in done.stderr, done
    assert re.search(r"has no room: it needs [\d.]+ MiB, and [\d.]+ MiB are free", done.stderr)
    assert [path.name for path in tree.path("/boot/xen").glob("vmlinux-*.gz")] == [copies[1].name]


def _cut_off(tree: ChrootGuest) -> None:
    (copy,) = tree.path("/boot/xen").glob("vmlinux-6.12*.gz")
    with copy.open("r+b") as file:
        file.truncate(copy.stat().st_size // 2)


def _cut_off_and_repaired(tree: ChrootGuest) -> None:
    _cut_off(tree)
    tree.run("xen-guest-bootloader", "sync")


CHANGES: dict[str, Callable[[ChrootGuest], object]] = {
    "by-the-menu": _no_second_stage,
    "title": _chosen_by_title,
    "once": _chosen_for_one_boot,
    "removed": _a_kernel_came_and_went,
    "one-copy": _room_for_one_copy,
    "cut-off": _cut_off,
    "repaired": _cut_off_and_repaired,
}


@dataclass(slots=True)
class Story:
    """What preflight had said of each disk, the words that it expected of one that does not boot,
    and what the console of each run said.
    """

    foretold: dict[str, dict[str, Any]] = field(default_factory=dict)
    words: dict[str, str] = field(default_factory=dict)
    consoles: dict[str, Console] = field(default_factory=dict)

    def starts(self, name: str) -> str:
        """The file of the kernel that preflight's chain ends in."""
        assert self.foretold[name]["will_boot"], self.foretold[name]
        steps = " ".join(step["text"] for step in self.foretold[name]["chain"])
        return str(re.findall(r"/(?:boot/)?xen/vmlinux-(\S+)\.gz", steps)[-1])


def preflight(tree: ChrootGuest) -> dict[str, Any]:
    words = ("xen-guest-bootloader", "preflight", "--json", "--target=x86_64-xen")
    found: dict[str, Any] = json.loads(tree.run(*words, check=False).stdout)
    return found


@pytest.fixture(scope="module")
def story(dom0: Dom0, deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    found = Story()
    with ExitStack() as stack:
        make = tmp_path_factory.mktemp
        trixie = stack.enter_context(
            xen_guest.made(make("trixie"), Suite.TRIXIE, deb, prepare=_an_older_kernel)
        )
        cloud = stack.enter_context(
            xen_guest.made(
                make("cloud"),
                Suite.BOOKWORM,
                deb,
                kind=Kind.FULL,
                finish=lambda tree: found.foretold.update({"cloud": preflight(tree)}),
            )
        )
        runs = [
            _run(trixie, dom0, "first", STATUS, when=When.BARE),
            _run(trixie, dom0, "second", STATUS, when=When.BARE, mode="pvh"),
            _run(trixie, dom0, "third", "", until=UP_TO_LINUX),
            _run(trixie, dom0, "little", "", memory=LITTLE, until=(CMDLINE,)),
            _run(cloud, dom0, "cloud", "", until=(CMDLINE,)),
        ]
        for name, change in CHANGES.items():
            directory = make(name)
            with copied(trixie.disks[0], Suite.TRIXIE, directory, keep=True) as tree:
                change(tree)
                found.foretold[name] = preflight(tree)
            image = directory / "disk.img"
            stack.callback(image.unlink)
            guest = XenGuest(suite=Suite.TRIXIE, disks=(image,), work=trixie.work)
            until = (CMDLINE,) if name == "by-the-menu" else UP_TO_LINUX
            if not found.foretold[name]["will_boot"]:
                (finding,) = (each for each in found.foretold[name]["findings"] if each["stops"])
                until = ("grub>", "Failed to boot both")
                found.words[name] = finding["console"]
            runs.append(_run(guest, dom0, name, "", until=until))
            if name == "once":
                runs.append(_run(guest, dom0, "then", "", until=UP_TO_LINUX))
        found.consoles = xen_lab.boot(runs)
        yield found


def _run(
    guest: XenGuest, dom0: Dom0, name: str, script: str, *, mode: str = "pv", **options: Any
) -> GuestRun:
    return guest.run(name, mode, dom0, script, **({"memory": MEMORY} | options))


def starts_the_copy(console: Console, release: str = "6.12") -> None:
    """The second stage has this kernel in memory as a PV guest's."""
    console.expect(
        "Chainloading .*/xen/pvboot-x86_64.elf", f"Loading Linux {release}", UP_TO_LINUX[0]
    )
    console.never("not xen image", "grub>")


def test_trixie_as_pv_then_pvh_then_pv_by_debians_own_kernel(story: Story) -> None:
    """A PV boot starts the kernel's copy, a PVH boot the kernel itself."""
    boots_by_second_stage(story.consoles["first"], "pv")
    boots_by_second_stage(story.consoles["second"], "pvh")
    starts_the_copy(story.consoles["third"])
    for name in ("first", "second"):
        found = answer(story.consoles[name])
        assert found["next_boot"]["findings"] == []
        for kernel in found["kernels"]:
            assert kernel["starts"] == {"pv": "copy", "pvh": "itself"}
            assert kernel["compression"] == "zstd"
    for name in ("first", "second", "third"):
        story.consoles[name].never("not xen image", "invalid magic number")


def test_the_copy_starts_with_little_memory(story: Story) -> None:
    came_by_second_stage(story.consoles["little"], "pv")


def test_a_stage_1_that_only_reads_the_menu_starts_the_copy(story: Story) -> None:
    assert story.starts("by-the-menu").startswith("6.12")
    console = story.consoles["by-the-menu"]
    console.expect("Welcome to GRUB!", "Loading Linux", "LAB-GUEST type=PV")
    console.never("Chainloading", "not xen image")
    cmdline = re.search(CMDLINE, console.text)
    assert cmdline
    assert boot_provenance.read(cmdline[1]).via == "stage-1"


def test_bookworms_cloud_kernel(story: Story) -> None:
    assert "cloud" in story.starts("cloud")
    came_by_second_stage(story.consoles["cloud"], "pv")
    story.consoles["cloud"].never("not xen image")


def test_the_older_kernel_by_its_title(story: Story) -> None:
    assert story.starts("title") == OLDER
    starts_the_copy(story.consoles["title"], OLDER)


def test_the_older_kernel_for_one_boot_by_grub_reboot(story: Story) -> None:
    assert story.starts("once") == OLDER
    starts_the_copy(story.consoles["once"], OLDER)
    starts_the_copy(story.consoles["then"])


def test_after_a_kernel_came_and_went(story: Story) -> None:
    assert story.starts("removed").startswith("6.12")
    starts_the_copy(story.consoles["removed"])


def test_with_room_for_one_copy_the_default_has_it(story: Story) -> None:
    assert story.starts("one-copy").startswith("6.12")
    starts_the_copy(story.consoles["one-copy"])


def test_a_copy_that_is_cut_off_ends_the_boot_and_a_sync_repairs_it(story: Story) -> None:
    assert not story.foretold["cut-off"]["will_boot"]
    words = re.escape(story.words["cut-off"])
    story.consoles["cut-off"].expect("Chainloading", "Loading Linux 6.12", words)
    story.consoles["cut-off"].never("LAB-GUEST")
    assert story.starts("repaired").startswith("6.12")
    starts_the_copy(story.consoles["repaired"])
