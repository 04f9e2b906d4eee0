# SPDX-License-Identifier: GPL-3.0-or-later
"""Real guests for the Xen lab: Debian trees on disk images, with the package, its hooks having
run, their own kernel and systemd.

Each runs a script that the lab gives it on a second disk, prints what it says on its console, and
powers off.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from tests.support import images
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import BOOTABLE, Kind, Suite, tarball, unpack
from tests.support.xen_dom0 import Dom0
from tests.support.xen_lab import QUICKLY, Console, Ends, GuestRun

ROOT_SIZE = 1800 * images.MIB
STAGE1_TARGETS = {"pv": "x86_64-xen", "pvh": "i386-xen_pvh"}
SECONDS = 900
"""A bound, for a whole Debian to come up and run the script under emulation on a machine that
has other work, too.
"""

CONFIG = 'targets = ["x86_64-xen", "i386-xen_pvh"]\n'
GRUB_DEFAULTS = (
    'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=hvc0 loglevel=3'
    f' systemd.show_status=no {QUICKLY}"\n'
)
# Debian's initrd of a fifth of the size: GRUB reads it and Linux unpacks it under emulation.
INITRAMFS = {
    "conf.d/lab": "MODULES=list\n",
    "modules": "xen-blkfront\next4\nxfs\nbtrfs\ncrc32c_generic\n",
}
FIRST_WORDS = """#!/bin/sh
[ "$1" = prereqs ] && exit 0
echo "LAB-GUEST type=$(cat /sys/hypervisor/guest_type)"
echo "LAB-CMDLINE $(cat /proc/cmdline) end"
for dev in /dev "$rootmnt/dev"; do
    if [ "$(dd if="$dev/xvdb" bs=4 count=1 2>/dev/null)" = bare ]; then
        echo "init=/usr/local/sbin/xen-lab" >>/conf/param.conf
        break
    fi
done
"""
"""The initrd's last script: Linux is up and its root file system mounted."""
UNIT = """[Unit]
Description=Run the lab's script {when}
DefaultDependencies=no
After=local-fs.target systemd-udev-trigger.service
{order}
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/sbin/xen-lab {when}
"""
SCRIPT = """#!/bin/sh
exec </dev/null >/dev/hvc0 2>&1
when=$1
if [ $$ = 1 ]; then
    when=bare
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin
    mount -o remount,rw /
    mount -a
fi
mkdir -p /run/lab
tar -xf /dev/xvdb -C /run/lab
[ -e "/run/lab/$when" ] || exit 0
echo "LAB-SCRIPT $when"
sh /run/lab/run
echo "LAB-GUEST-DONE $?"
sleep 0.5
[ $$ = 1 ] || exec systemctl poweroff --force --force
sync
sleep 600
"""
CMDLINE = "LAB-CMDLINE (.*) end"
"""The guest's first words: it is up, and came by what this tells."""


class When(StrEnum):
    """When a script runs: each takes a minute or more longer under emulation than the one
    before.
    """

    BARE = "bare"
    """In place of systemd."""
    EARLY = "early"
    """By systemd, before other services start."""
    LATE = "late"
    """Beside the services of a booting system."""


ORDER = {When.EARLY: "Before=sysinit.target", When.LATE: "After=basic.target"}
DONE = "LAB-GUEST-DONE 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class XenGuest:
    """One guest's disks; `disks` are in the order of xvda, xvdc, … (xvdb is the script's)."""

    suite: Suite
    disks: tuple[Path, ...]
    work: Path

    def run(
        self,
        name: str,
        mode: str,
        dom0: Dom0,
        script: str,
        *,
        when: When = When.EARLY,
        kernel: Path | None = None,
        seconds: int = SECONDS,
        **options: Any,
    ) -> GuestRun:
        """A start of this guest as `mode` (`pv`, `pvh`) that runs `script` and ends after it."""
        disk = _script_disk(script, when)
        data = self.work / f"script-{hashlib.sha256(disk).hexdigest()[:12]}.tar"
        data.write_bytes(disk)
        settings: dict[str, Any] = {"until": (DONE,), "linger": 2.0, "ends": Ends.REACHED} | options
        return GuestRun(
            name=name,
            disk=self.disks[0],
            more=self.disks[1:],
            data=data,
            type=mode,
            kernel=kernel or dom0.stage1(STAGE1_TARGETS[mode]),
            timeout=seconds,
            **settings,
        )


@contextmanager
def made(
    directory: Path,
    suite: Suite,
    deb: Path | None,
    *,
    fs_type: str = "ext4",
    table: str = "",
    boot: str = "",
    boot_size: int = images.SIZE,
    config: str = CONFIG,
    packages: Sequence[str] = (),
    kind: Kind = Kind.MINIMAL,
    prepare: Callable[[ChrootGuest], object] = lambda _: None,
    finish: Callable[[ChrootGuest], object] = lambda _: None,
) -> Iterator[XenGuest]:
    """Make a guest; its disks are whole, unmounted images while the block runs.

    `fs_type`, `table`, `boot` and `boot_size` are those of `images.disk`; `packages` are in it
    beside `BOOTABLE`, and a tree of the kind FULL has a cloud image's kernel. `prepare` is called
    with the tree before the package is installed, `finish` after that; without a `deb`, they are
    all that is done.
    """
    with images.disk(
        directory, fs_type, size=ROOT_SIZE, table=table, boot=boot, boot_size=boot_size, keep=True
    ) as disk:
        extra = () if kind is Kind.FULL else (*BOOTABLE, *packages)
        unpack(tarball(suite, kind, extra=extra), disk.top)
        tree = ChrootGuest(disk=disk, work=directory, suite=suite, platform=Platform.PV)
        tree.write("/etc/fstab", _fstab(disk))
        tree.write("/etc/hostname", f"{suite}\n")
        tree.write("/etc/default/grub.d/lab.cfg", GRUB_DEFAULTS)
        tree.write("/usr/local/sbin/xen-lab", SCRIPT, mode=0o755)
        for when, order in ORDER.items():
            unit = f"/etc/systemd/system/xen-lab-{when}.service"
            tree.write(unit, UNIT.format(when=when, order=order))
            wants = tree.path("/etc/systemd/system/multi-user.target.wants")
            wants.mkdir(parents=True, exist_ok=True)
            (wants / Path(unit).name).symlink_to(unit)
        # A login prompt hangs up the console, and with it whatever the script has still to say.
        tree.path("/etc/systemd/system/serial-getty@hvc0.service").symlink_to("/dev/null")
        tree.write("/etc/machine-id", "0f3c1a526e0d4c8b9a413f2f5d1c7e10\n")
        tree.write("/etc/initramfs-tools/scripts/init-bottom/lab", FIRST_WORDS, mode=0o755)
        for name, text in INITRAMFS.items():
            tree.write(f"/etc/initramfs-tools/{name}", text)
        tree.run("update-initramfs", "-u")
        prepare(tree)
        if deb:
            tree.write("/etc/xen-guest-bootloader/conf.d/lab.toml", config)
            tree.path("/root/package.deb").write_bytes(deb.read_bytes())
            tree.run("dpkg", "--install", "/root/package.deb")
            tree.path("/root/package.deb").unlink()
            # As the kernel's hook leaves it on a guest: what preflight learnt of the kernel, which
            # takes minutes under emulation.
            tree.run("xen-guest-bootloader", "preflight", check=False)
        finish(tree)
        # Another process's mount namespace may keep the file system mounted after us.
        images.tool("sync", "-f", str(disk.top))
        found = dict.fromkeys((disk.root.image, disk.boot.image))
    yield XenGuest(suite=suite, disks=tuple(found), work=directory)
    for image in found:
        image.unlink()


def answer(console: Console, marker: str = "JSON") -> Any:
    """The JSON object that a script printed between lines `BEGIN-JSON` and `END-JSON`."""
    console.expect(f"BEGIN-{marker}", f"END-{marker}")
    text = console.text.partition(f"BEGIN-{marker}\n")[2].partition(f"END-{marker}")[0]
    try:
        return json.loads(text)
    except ValueError as error:
        raise AssertionError(
            f"guest {console.name}: {error} in what it printed as JSON:\n{console.text[-6000:]!r}"
        ) from None


STATUS = (
    "udevadm settle --timeout=60; echo BEGIN-JSON; xen-guest-bootloader status --json; echo"
    " END-JSON\n"
)
"""On one terminal, as a person runs it."""


def _fstab(disk: images.Disk) -> str:
    lines = [f"UUID={disk.root.uuid} / {disk.root.fs_type} defaults 0 1"]
    if disk.boot is not disk.root:
        lines.append(f"UUID={disk.boot.uuid} /boot {disk.boot.fs_type} defaults 0 2")
    return "\n".join(lines) + "\n"


def _script_disk(script: str, when: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, text in ((when, ""), ("run", script)):  # the initrd reads the first name
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
