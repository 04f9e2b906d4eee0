# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest is upgraded from bookworm to trixie while the watcher runs, and its power is cut.

For each change of what /boot was given, the whole disk is copied as a power cut of that moment
would leave it, root and /boot, and judged by preflight, for PV and for PVH. The first, the last and
ten in between are then started on a real Xen as PV, each with its own root. Minutes of apt, so
`make reliability` runs it.
"""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from tests.support import images, nspawn_boot, one_moment, xen_guest, xen_lab
from tests.support.checkout import CHECKOUT
from tests.support.nspawn_boot import BOOT_SIZE
from tests.support.nspawn_guest import ROOT_DISK, Guest, write
from tests.support.xen_dom0 import Dom0, prepare
from tests.support.xen_lab import GuestRun

TARGETS = ("x86_64-xen", "i386-xen_pvh")
CUTS = 10
AT_ONCE = 6
"""Guests of one start of Xen: each has two disks, and QEMU has room for 25."""
MEMORY = 512
"""MiB; the vmlinux of trixie's kernel has 58."""
LOADED = "Loading initial ramdisk"
"""What GRUB says when it has the kernel in memory as a PV guest's."""
ROOT_MIB = 6000
VOLUME = 14000 * images.MIB
"""For the disk, and all that is written to it while copies share its data; sparse."""
UPGRADE = (
    "sed -i s/bookworm/trixie/g /etc/apt/sources.list; apt-get update &&"
    " apt-get -y -o Dpkg::Options::=--force-confold full-upgrade > /var/log/upgrade 2>&1;"
    " echo $? > /root/upgraded"
)
LONGEST = 3600.0
PREFLIGHT = """\
set -e
mount -o loop "$1" "$3"
mount -o loop,ro,noload "$2" "$3/boot"
exec "$4" -m guest_hooks --root "$3" preflight --json --target "$5" --target "$6"
"""
"""Linux replays the journal of the root that it mounts; GRUB reads /boot without."""


class Cuts:
    """Copies of the disk, of each change of /boot one, each judged by preflight as soon as it is
    made; `kept` are some of them, at even distances, the first and the last among them.
    """

    def __init__(self, guest: Guest, disk: Path) -> None:
        self.guest = guest
        self.disk = disk
        self.taken = 0
        self.kept: list[Path] = []
        self.faults: list[str] = []
        self._every = 1
        self._changed = ""
        self._waiting: queue.Queue[Path | None] = queue.Queue()
        self._judge = threading.Thread(target=self._judge_all)
        self._judge.start()

    def take(self, now: float) -> None:
        """Copy what the disk was given, as a power cut at `now` seconds would leave it."""
        changed = _writes(self.guest.disk)
        if changed == self._changed:
            return
        self._changed = changed
        name = f"cut-{self.taken}-after-{now:.0f}s.img"
        self._waiting.put(one_moment.clone(self.disk, self.disk.with_name(name)))
        self.taken += 1

    def close(self) -> None:
        """Wait until all are judged."""
        self._waiting.put(None)
        self._judge.join()

    def _judge_all(self) -> None:
        number, last = 0, None
        while (cut := self._waiting.get()) is not None:
            answer = preflight(cut)
            if not answer.get("will_boot"):
                words = [finding["message"] for finding in answer.get("findings", ())] or [
                    str(answer)
                ]
                self.faults.append(f"{cut.stem}: {'; '.join(words)}")
            if last:
                self._keep(number - 1, last)
            number, last = number + 1, cut
        if last:
            self.kept.append(last)

    def _keep(self, number: int, cut: Path) -> None:
        if number % self._every:
            cut.unlink()
            return
        self.kept.append(cut)
        if len(self.kept) > 2 * CUTS:
            for path in self.kept[1::2]:
                path.unlink()
            self.kept, self._every = self.kept[::2], 2 * self._every


def _writes(device: Path) -> str:
    """How many writes the device has been given (Linux: Documentation/block/stat.rst)."""
    return Path("/sys/class/block", device.name, "stat").read_text().split()[4]


def _parts(cut: Path) -> tuple[Path, Path]:
    """The root and the /boot of a copy, each a disk of its own."""
    return (
        one_moment.clone(cut, cut.with_suffix(".root"), start=BOOT_SIZE),
        one_moment.clone(cut, cut.with_suffix(".boot"), length=BOOT_SIZE),
    )


def preflight(cut: Path) -> dict[str, Any]:
    """What preflight says of the guest that this copy of its disk makes."""
    root, boot = _parts(cut)
    view = cut.with_name("view")
    view.mkdir(exist_ok=True)
    words = ("unshare", "--mount", "sh", "-c", PREFLIGHT, "sh", root, boot, view, sys.executable)
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        (*words, *TARGETS), check=False, capture_output=True, text=True, timeout=600, env=env
    )
    root.unlink()
    boot.unlink()
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"said": f"{done.returncode}: {done.stdout}{done.stderr}"}
    return answer


def test_at_every_power_cut_of_a_dist_upgrade_the_guest_boots(deb: Path, tmp_path: Path) -> None:
    dom0 = prepare()
    config = f"targets = {list(TARGETS)}\n"
    with one_moment.volume(tmp_path, VOLUME) as volume:
        with nspawn_boot.booted(
            volume, deb, root_mib=ROOT_MIB, config=config, network=True
        ) as guest:
            _made_bootable(guest)
            before = guest.syncs()
            cuts = Cuts(guest, volume / "disk.img")
            start = time.monotonic()
            try:
                cuts.take(0)
                guest.run(
                    "systemd-run --quiet --unit=upgrade --setenv=DEBIAN_FRONTEND=noninteractive sh"
                    f" -c '{UPGRADE}'"
                )
                # systemd can't be asked while it is upgraded.
                ended = guest.tree / "root/upgraded"
                while not ended.exists() or not ended.read_text():
                    now = time.monotonic() - start
                    assert now < LONGEST, guest.out("tail -n 30 /var/log/upgrade")
                    cuts.take(now)
                    time.sleep(max(0.0, start + now + 1 - time.monotonic()))
                guest.at_rest()
                guest.run("sync --file-system /")
                cuts.take(time.monotonic() - start)
            finally:
                cuts.close()
            sys.stdout.write(f"{cuts.taken} copies in {time.monotonic() - start:.0f} s\n")
            sys.stdout.write(f"{guest.syncs() - before} repairs; /boot: {guest.out('ls /boot')}\n")
            assert ended.read_text() == "0\n", guest.out("tail -n 30 /var/log/upgrade")
            assert guest.out("cat /etc/debian_version").startswith("13")
        assert cuts.faults == []
        assert len(cuts.kept) >= CUTS + 2
        _each_boots(dom0, cuts.kept)


def _each_boots(dom0: Dom0, kept: list[Path]) -> None:
    """Of the first, the last and ten copies in between, the second stage starts the kernel as PV,
    and Linux finds its root.
    """
    cuts = [kept[number * (len(kept) - 1) // (CUTS + 1)] for number in range(CUTS + 2)]
    for begin in range(0, len(cuts), AT_ONCE):
        runs = [_start(dom0, cut) for cut in cuts[begin : begin + AT_ONCE]]
        for name, console in xen_lab.boot(runs).items():
            sys.stdout.write(f"{name}: {console.ends}\n")
            console.expect(
                "Welcome to GRUB!",
                "Chainloading .*/xen/pvboot-x86_64.elf",
                "Welcome to GRUB!",
                "Loading Linux",
                LOADED,
                "LAB-GUEST type=PV",
            )


def _made_bootable(guest: Guest) -> None:
    """What it lacks as a container: a mount table, the console, an initrd that says it is up."""
    guest.run(
        f"echo '{ROOT_DISK} / ext4 defaults 0 1' > /etc/fstab; echo '/dev/xvdb /boot ext4 defaults"
        " 0 2' >> /etc/fstab"
    )
    shutil.copy("/etc/resolv.conf", guest.tree / "etc/resolv.conf")
    write(guest.tree / "etc/default/grub.d/lab.cfg", xen_guest.GRUB_DEFAULTS)
    for name, text in xen_guest.INITRAMFS.items():
        write(guest.tree / "etc/initramfs-tools" / name, text)
    script = guest.tree / "etc/initramfs-tools/scripts/init-bottom/lab"
    write(script, xen_guest.FIRST_WORDS)
    script.chmod(0o755)
    guest.run("update-initramfs -u")
    guest.run("xen-guest-bootloader sync --adopt || { cat /boot/grub/grub.cfg; exit 1; }")
    guest.run("update-grub")
    guest.at_rest()


def _start(dom0: Dom0, cut: Path) -> GuestRun:
    """A start as PV of the guest that this copy of its disk makes."""
    root, boot = _parts(cut)
    return GuestRun(
        name=cut.stem,
        disk=root,
        data=boot,
        type="pv",
        kernel=dom0.stage1("x86_64-xen"),
        memory=MEMORY,
        until=(xen_guest.CMDLINE, "grub rescue>", "grub>", "not xen image"),
        timeout=xen_guest.SECONDS,
    )
