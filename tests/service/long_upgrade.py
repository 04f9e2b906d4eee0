# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest is upgraded from bookworm to trixie while the watcher runs, and would boot at every
second of it.

Minutes of apt, so `make reliability` runs it. PVH: no GRUB of these releases loads trixie's kernels
for a PV guest.
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

from tests.support import guest_container
from tests.support.booted_guest import ROOT_DISK, Guest
from tests.support.checkout import CHECKOUT

TARGET = "i386-xen_pvh"
ROOT_MIB = 6000
UPGRADE = (
    "sed -i s/bookworm/trixie/g /etc/apt/sources.list; apt-get update &&"
    " apt-get -y -o Dpkg::Options::=--force-confold full-upgrade > /var/log/upgrade 2>&1"
)
LONGEST = 3600.0
PREFLIGHT = """\
set -e
mount --bind "$1" "$3"
mount -o loop,ro "$2" "$3/boot"
exec "$4" -m guest_hooks --root "$3" preflight --json --target "$5"
"""


class Copies:
    """Copies of /boot's disk, each judged by preflight as soon as it is made; the same bytes
    once.
    """

    def __init__(self, guest: Guest, work: Path) -> None:
        self.guest = guest
        self.work = work
        self.taken = 0
        self.judged = 0
        self.faults: list[str] = []
        self._digest = ""
        self._waiting: queue.Queue[tuple[float, Path] | None] = queue.Queue()
        self._judge = threading.Thread(target=self._judge_all)
        self._judge.start()

    def take(self, now: float) -> None:
        """Copy the disk, for a moment at rest."""
        copy = self.work / f"copy-{self.taken}.img"
        self.guest.run("fsfreeze --freeze /boot")
        try:
            subprocess.run(
                ["cp", "--sparse=always", self.work / "boot.img", copy], check=True, timeout=120
            )
        finally:
            self.guest.run("fsfreeze --unfreeze /boot")
        self.taken += 1
        digest = subprocess.run(
            ["sha256sum", copy], check=True, capture_output=True, text=True, timeout=120
        ).stdout.split()[0]
        if digest == self._digest:
            copy.unlink()
            return
        self._digest = digest
        self._waiting.put((now, copy))

    def close(self) -> None:
        """Wait until all are judged."""
        self._waiting.put(None)
        self._judge.join()

    def _judge_all(self) -> None:
        while (each := self._waiting.get()) is not None:
            now, copy = each
            answer = preflight(self.guest.tree, copy, self.work / "view")
            self.judged += 1
            if not answer.get("will_boot"):
                words = [finding["message"] for finding in answer.get("findings", ())] or [
                    str(answer)
                ]
                self.faults.append(f"after {now:.0f} s: {'; '.join(words)}")
            copy.unlink()


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
        TARGET,
    )
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=600, env=env)
    try:
        answer: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"said": f"{done.returncode}: {done.stdout}{done.stderr}"}
    return answer


def test_at_every_second_of_a_dist_upgrade_the_guest_would_boot(deb: Path, tmp_path: Path) -> None:
    config = f'targets = ["{TARGET}"]\n'
    with guest_container.booted(
        tmp_path, deb, root_mib=ROOT_MIB, config=config, network=True
    ) as guest:
        guest.run(
            f"echo '{ROOT_DISK} / ext4 defaults 0 1' > /etc/fstab; echo '/dev/xvdb /boot ext4"
            " defaults 0 2' >> /etc/fstab"
        )
        shutil.copy("/etc/resolv.conf", guest.tree / "etc/resolv.conf")
        guest.run("xen-guest-bootloader sync --adopt || { cat /boot/grub/grub.cfg; exit 1; }")
        guest.at_rest()
        before = guest.syncs()
        guest.run(
            "systemd-run --quiet --unit=upgrade --setenv=DEBIAN_FRONTEND=noninteractive sh -c"
            f" '{UPGRADE}'"
        )
        copies = Copies(guest, tmp_path)
        start = time.monotonic()
        try:
            while guest.run("systemctl is-active --quiet upgrade", check=False).returncode == 0:
                now = time.monotonic() - start
                assert now < LONGEST, guest.out("tail -n 30 /var/log/upgrade")
                copies.take(now)
                time.sleep(max(0.0, start + now + 1 - time.monotonic()))
            guest.at_rest()
            copies.take(time.monotonic() - start)
        finally:
            copies.close()
        sys.stdout.write(
            f"{copies.taken} copies in {time.monotonic() - start:.0f} s, {copies.judged} of them"
            " different\n"
        )
        sys.stdout.write(f"{guest.syncs() - before} repairs; /boot: {guest.out('ls /boot')}\n")
        assert guest.out("systemctl show -P Result upgrade || true") in ("success", "")
        assert "13" in guest.out("cat /etc/debian_version")
        assert copies.judged > 3
        assert copies.faults == []
