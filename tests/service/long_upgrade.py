# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest is upgraded from bookworm to trixie while the watcher runs, and its power is cut.

Each change of what /boot's disk was given is copied as a power cut of that moment would leave it,
and judged by preflight, for PV and for PVH. The first, the last and ten in between are then started
on a real Xen as PV. Minutes of apt, so `make reliability` runs it.
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

from tests.support import nspawn_boot, xen_guest, xen_lab
from tests.support.checkout import CHECKOUT
from tests.support.nspawn_guest import ROOT_DISK, Guest, write
from tests.support.xen_dom0 import Dom0, prepare
from tests.support.xen_lab import GuestRun

TARGETS = ("x86_64-xen", "i386-xen_pvh")
CUTS = 10
MEMORY = 512
"""MiB; the vmlinux of trixie's kernel has 58."""
LOADED = "Loading initial ramdisk"
"""What GRUB says when it has the kernel in memory as a PV guest's."""
ROOT_MIB = 6000
UPGRADE = (
    "sed -i s/bookworm/trixie/g /etc/apt/sources.list; apt-get update &&"
    " apt-get -y -o Dpkg::Options::=--force-confold full-upgrade > /var/log/upgrade 2>&1"
)
LONGEST = 3600.0
PREFLIGHT = """\
set -e
mount --bind "$1" "$3"
mount -o loop,ro,noload "$2" "$3/boot"
exec "$4" -m guest_hooks --root "$3" preflight --json --target "$5" --target "$6"
"""


class Copies:
    """Copies of /boot's disk, of each change of it one, each judged by preflight as soon as it is
    made; `kept` are some of them, at even distances, the first and the last among them.
    """

    def __init__(self, guest: Guest, work: Path) -> None:
        self.guest = guest
        self.work = work
        self.taken = 0
        self.kept: list[Path] = []
        self.faults: list[str] = []
        self._every = 1
        self._changed = 0
        self._waiting: queue.Queue[tuple[float, Path] | None] = queue.Queue()
        self._judge = threading.Thread(target=self._judge_all)
        self._judge.start()

    def take(self, now: float) -> None:
        """Copy what the disk was given, as a power cut now would leave it."""
        disk = self.work / "boot.img"
        changed = disk.stat().st_mtime_ns
        if changed == self._changed:
            return
        self._changed = changed
        copy = self.work / f"copy-{self.taken}.img"
        subprocess.run(["cp", "--sparse=always", disk, copy], check=True, timeout=120)
        self.taken += 1
        self._waiting.put((now, copy))

    def close(self) -> None:
        """Wait until all are judged."""
        self._waiting.put(None)
        self._judge.join()

    def _judge_all(self) -> None:
        number, last = 0, None
        while (each := self._waiting.get()) is not None:
            now, copy = each
            answer = preflight(self.guest.tree, copy, self.work / "view")
            if not answer.get("will_boot"):
                words = [finding["message"] for finding in answer.get("findings", ())] or [
                    str(answer)
                ]
                self.faults.append(f"after {now:.0f} s: {'; '.join(words)}")
            if last:
                self._keep(number - 1, last)
            number, last = number + 1, copy
        if last:
            self.kept.append(last)

    def _keep(self, number: int, copy: Path) -> None:
        if number % self._every:
            copy.unlink()
            return
        self.kept.append(copy)
        if len(self.kept) > 2 * CUTS:
            for path in self.kept[1::2]:
                path.unlink()
            self.kept, self._every = self.kept[::2], 2 * self._every


def preflight(tree: Path, copy: Path, view: Path) -> dict[str, Any]:
    """What preflight says of the guest's tree with a copy of its /boot."""
    view.mkdir(exist_ok=True)
    words = (
        "unshare",
        "--mount",
        "sh",
        "-c",
        PREFLIGHT,
        "sh",
        tree,
        copy,
        view,
        sys.executable,
        *TARGETS,
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=600, env=env)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"said": f"{done.returncode}: {done.stdout}{done.stderr}"}
    return answer


def test_at_every_power_cut_of_a_dist_upgrade_the_guest_boots(deb: Path, tmp_path: Path) -> None:
    dom0 = prepare()
    config = f"targets = {list(TARGETS)}\n"
    root = tmp_path / "root-copy.img"
    with nspawn_boot.booted(tmp_path, deb, root_mib=ROOT_MIB, config=config, network=True) as guest:
        _made_bootable(guest)
        before = guest.syncs()
        copies = Copies(guest, tmp_path)
        start = time.monotonic()
        try:
            copies.take(0)
            guest.run(
                "systemd-run --quiet --unit=upgrade --setenv=DEBIAN_FRONTEND=noninteractive sh -c"
                f" '{UPGRADE}'"
            )
            while guest.run("systemctl is-active --quiet upgrade", check=False).returncode == 0:
                now = time.monotonic() - start
                assert now < LONGEST, guest.out("tail -n 30 /var/log/upgrade")
                copies.take(now)
                time.sleep(max(0.0, start + now + 1 - time.monotonic()))
            guest.at_rest()
            copies.take(time.monotonic() - start)
        finally:
            copies.close()
        sys.stdout.write(f"{copies.taken} copies in {time.monotonic() - start:.0f} s\n")
        sys.stdout.write(f"{guest.syncs() - before} repairs; /boot: {guest.out('ls /boot')}\n")
        assert guest.out("systemctl show -P Result upgrade || true") in ("success", "")
        assert "13" in guest.out("cat /etc/debian_version")
        guest.run("sync --file-system /")
        subprocess.run(
            ["cp", "--sparse=always", tmp_path / "root.img", root], check=True, timeout=300
        )
    assert copies.faults == []
    assert len(copies.kept) >= CUTS + 2
    _each_boots(dom0, root, copies.kept)


def _each_boots(dom0: Dom0, root: Path, copies: list[Path]) -> None:
    """Of the first, the last and ten copies in between, the second stage starts the kernel as PV;
    of the first, the last and one in the middle, Linux finds its root, too.
    """
    cuts = [copies[number * (len(copies) - 1) // (CUTS + 1)] for number in range(CUTS + 2)]
    to_linux = (cuts[0], cuts[len(cuts) // 2], cuts[-1])
    consoles = xen_lab.boot([_start(dom0, root, cut, whole=cut in to_linux) for cut in cuts])
    for cut in cuts:
        consoles[cut.stem].expect(
            "Welcome to GRUB!",
            "Chainloading .*/xen/pvboot-x86_64.elf",
            "Welcome to GRUB!",
            "Loading Linux",
            LOADED,
        )
        if cut in to_linux:
            consoles[cut.stem].expect(LOADED, "LAB-GUEST type=PV")


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


def _start(dom0: Dom0, root: Path, cut: Path, *, whole: bool) -> GuestRun:
    """A start as PV with this copy as the disk of /boot."""
    return GuestRun(
        name=cut.stem,
        disk=root,
        data=cut,
        type="pv",
        kernel=dom0.stage1("x86_64-xen"),
        memory=MEMORY,
        until=(xen_guest.CMDLINE if whole else LOADED, "grub rescue>", "grub>", "not xen image"),
        timeout=xen_guest.SECONDS,
    )
