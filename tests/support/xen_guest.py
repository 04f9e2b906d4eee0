"""Real guests for the Xen lab: Debian trees on disk images, with the package, its hooks having run, their own kernel and systemd.

Each runs a script that the lab gives it on a second disk, prints what it says on its console, and powers off.
"""

import io
import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support import images
from tests.support.debian_tree import Kind, Suite, tarball, unpack
from tests.support.tree_guest import Platform, TreeGuest
from tests.support.xen_dom0 import Dom0
from tests.support.xen_lab import Console, Ends, GuestRun

PACKAGES = (
    "python3",
    "python3-pyudev",
    "python3-watchdog",
    "python3-pyelftools",
    "python3-systemd",
    "linux-image-amd64",
    "initramfs-tools",
    "systemd-sysv",
    "udev",
    "zstd",
)
ROOT_SIZE = 1800 * images.MIB
STAGE1_TARGETS = {"pv": "x86_64-xen", "pvh": "i386-xen_pvh"}
SECONDS = 420
"""A bound, for a whole Debian to come up and run the script under emulation on a machine that has other work, too."""

CONFIG = 'targets = ["x86_64-xen", "i386-xen_pvh"]\n'
GRUB_DEFAULTS = 'GRUB_TIMEOUT=0\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX console=hvc0 loglevel=3 systemd.show_status=no"\n'
# Debian's initrd of a fifth of the size: GRUB reads it and Linux unpacks it under emulation.
INITRAMFS = {"conf.d/lab": "MODULES=list\n", "modules": "xen-blkfront\next4\nxfs\nbtrfs\ncrc32c_generic\n"}
UNIT = """[Unit]
Description=Run the lab's script
DefaultDependencies=no
After=local-fs.target
[Service]
Type=oneshot
TimeoutStartSec=infinity
ExecStart=/usr/local/sbin/xen-lab
[Install]
WantedBy=basic.target
"""
"""Early, for all that comes later takes a minute or more under emulation; a script waits for what it wants of it."""
SCRIPT = """#!/bin/sh
exec </dev/null >/dev/hvc0 2>&1
mkdir -p /run/lab
tar -xf /dev/xvdb -C /run/lab
echo "LAB-GUEST type=$(cat /sys/hypervisor/guest_type)"
echo "LAB-CMDLINE $(cat /proc/cmdline) end"
sh /run/lab/run
echo "LAB-GUEST-DONE $?"
sleep 0.5
systemctl poweroff --force --force
"""
CMDLINE = "LAB-CMDLINE (.*) end"
"""The guest's first words: it is up, and came by what this tells."""
DONE = "LAB-GUEST-DONE 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class XenGuest:
    """One guest's disks; `disks` are in the order of xvda, xvdc, … (xvdb is the script's)."""

    suite: Suite
    disks: tuple[Path, ...]
    work: Path

    def run(
        self, name: str, mode: str, dom0: Dom0, script: str, *, kernel: Path | None = None, seconds: int = SECONDS, **options: Any
    ) -> GuestRun:
        """A start of this guest as `mode` (`pv`, `pvh`) that runs `script` and ends by itself."""
        data = self.work / f"{name}-script.tar"
        data.write_bytes(_script_disk(script))
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
    config: str = CONFIG,
    prepare: Callable[[TreeGuest], object] = lambda _: None,
) -> Iterator[XenGuest]:
    """Make a guest; its disks are whole, unmounted images while the block runs.

    `fs_type`, `table` and `boot` are those of `images.disk`. `prepare` is called with the tree before the package is installed;
    without a `deb`, it is all that is done.
    """
    with images.disk(directory, fs_type, size=ROOT_SIZE, table=table, boot=boot, boot_size=images.SIZE) as disk:
        unpack(tarball(suite, Kind.MINIMAL, extra=PACKAGES), disk.top)
        tree = TreeGuest(disk=disk, work=directory, suite=suite, platform=Platform.PV)
        tree.write("/etc/fstab", _fstab(disk))
        tree.write("/etc/hostname", f"{suite}\n")
        tree.write("/etc/default/grub.d/lab.cfg", GRUB_DEFAULTS)
        tree.write("/etc/systemd/system/xen-lab.service", UNIT)
        tree.write("/usr/local/sbin/xen-lab", SCRIPT, mode=0o755)
        wants = tree.path("/etc/systemd/system/basic.target.wants")
        wants.mkdir(parents=True, exist_ok=True)
        (wants / "xen-lab.service").symlink_to("/etc/systemd/system/xen-lab.service")
        # A login prompt hangs up the console, and with it whatever the script has still to say.
        tree.path("/etc/systemd/system/serial-getty@hvc0.service").symlink_to("/dev/null")
        for name, text in INITRAMFS.items():
            tree.write(f"/etc/initramfs-tools/{name}", text)
        tree.run("update-initramfs", "-u")
        prepare(tree)
        if deb:
            tree.write("/etc/xen-guest-bootloader/conf.d/lab.toml", config)
            tree.path("/root/package.deb").write_bytes(deb.read_bytes())
            tree.run("dpkg", "--install", "/root/package.deb")
            tree.path("/root/package.deb").unlink()
        # Another process's mount namespace may keep the file system mounted after us.
        images.tool("sync", "-f", str(disk.top))
        found = dict.fromkeys((disk.root.image, disk.boot.image))
    yield XenGuest(suite=suite, disks=tuple(found), work=directory)
    for image in found:
        image.unlink()


def answer(console: Console, marker: str = "JSON") -> Any:
    """The JSON object that a script printed between lines `BEGIN-JSON` and `END-JSON`."""
    console.expect(f"BEGIN-{marker}", f"END-{marker}")
    return json.loads(console.text.partition(f"BEGIN-{marker}\n")[2].partition(f"END-{marker}")[0].replace("\n", ""))


STATUS = "echo BEGIN-JSON; xen-guest-bootloader status --json; echo END-JSON\n"


def _fstab(disk: images.Disk) -> str:
    lines = [f"UUID={disk.root.uuid} / {disk.root.fs_type} defaults 0 1"]
    if disk.boot is not disk.root:
        lines.append(f"UUID={disk.boot.uuid} /boot {disk.boot.fs_type} defaults 0 2")
    return "\n".join(lines) + "\n"


def _script_disk(script: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        member = tarfile.TarInfo("run")
        member.size = len(script.encode())
        tar.addfile(member, io.BytesIO(script.encode()))
    return buffer.getvalue()
