# SPDX-License-Identifier: GPL-3.0-or-later
"""How a guest is booted in a container of systemd-nspawn: its tree, our .deb, a disk for /boot.

It is no Xen guest, so drop-ins set the units' conditions aside and the configuration names the
target. Kernel and clock are the machine's, so it is as quick as the machine.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

from tests.support import cgroup2, images, loops
from tests.support.debian_package import host
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball, unpack
from tests.support.nspawn_guest import DISK, ROOT_DISK, SETTING, TARGET, Guest, write

BOOT_SIZE = 160 * images.MIB
CONFIG = f'targets = ["{TARGET}"]\nupdate_grub = false\n'
NO_CONDITIONS = "[Unit]\nConditionVirtualization=\n"
GRUB_CFG = """\
set timeout=0
menuentry "Debian" {{
    search --no-floppy --fs-uuid --set=root {uuid}
    linux /vmlinuz-{version} root=/dev/xvda ro
    initrd /initrd.img-{version}
}}
"""
MOUNT_BOOT = f"""\
[Unit]
DefaultDependencies=no
Before=local-fs.target xen-guest-bootloader.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=ln -sfn {DISK} @LOOP@
@LINKS@ExecStart=mount {DISK} /boot
[Install]
WantedBy=local-fs.target
"""
# nspawn leaves all of /proc and /sys to be written, as udev and the guest's disk need it: its first
# program keeps nothing of that but what is the guest's own.
FIRST = "/sbin/first"
FIRST_PROGRAM = f"""\
#!/bin/sh
set -e
mount --bind /proc/sys /proc/sys
mount --bind {SETTING} {SETTING}
mount --options remount,bind,ro /proc/sys
[ ! -e /proc/sysrq-trigger ] || mount --bind /dev/null /proc/sysrq-trigger
mount --bind /sys/devices/virtual/block /sys/devices/virtual/block
for place in /sys /sys/*; do
    ! mountpoint --quiet "$place" || mount --options remount,bind,ro "$place"
done
exec /lib/systemd/systemd
"""
WITH_UDEV = ("systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket")
READ_ONLY_SYS = "[Unit]\nConditionPathIsReadWrite=\n"
# What would touch the machine's own kernel settings and devices, or wait for hardware.
MASKED = (
    "systemd-sysctl.service",
    "systemd-modules-load.service",
    "systemd-binfmt.service",
    "systemd-udev-trigger.service",
    "systemd-udev-settle.service",
    "kmod-static-nodes.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-kernel-config.mount",
    "sys-fs-fuse-connections.mount",
    "systemd-networkd.service",
    "systemd-timesyncd.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "dpkg-db-backup.timer",
    "xen-guest-bootloader-audit.timer",
)


@contextmanager
def booted(
    work: Path,
    deb: Path,
    *,
    suite: Suite = Suite.BOOKWORM,
    root_mib: int = 0,
    config: str = CONFIG,
    network: bool = False,
) -> Iterator[Guest]:
    """Make and boot a guest in `work`; nothing of it is left at the end.

    The first `BOOT_SIZE` bytes of `work / "disk.img"` are its /boot. `root_mib`: what follows there
    is its root, `ROOT_DISK`, of that size, so that GRUB's tools find it. `network`: it has the
    machine's.
    """
    tree, image = work / "tree", work / "disk.img"
    tree.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(BOOT_SIZE + root_mib * images.MIB)
    with ExitStack() as stack:
        stack.callback(image.unlink)
        stack.callback(shutil.rmtree, tree)
        options = [] if network else ["--private-network"]
        links = ""
        if root_mib:
            root = stack.enter_context(_root_disk(image, tree, root_mib))
            options.append(f"--bind={root}:{ROOT_DISK}")
            links = f"ExecStart=ln -sfn {ROOT_DISK} {root}\n"
        unpack(tarball(suite, Kind.FULL), tree)
        _chroot(tree, deb)
        version = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        uuid = str(uuid4())
        write(tree / "boot/grub/grub.cfg", GRUB_CFG.format(uuid=uuid, version=version))
        # Without checksums of metadata its UUID can be changed while it is mounted.
        features = ("-O", "^metadata_csum", "-U", uuid)
        loop = stack.enter_context(loops.attached(image, length=BOOT_SIZE))
        host("mke2fs", "-q", "-t", "ext4", *features, "-d", str(tree / "boot"), loop)
        shutil.rmtree(tree / "boot")
        (tree / "boot").mkdir()
        _prepare(tree, MOUNT_BOOT.replace("@LOOP@", loop).replace("@LINKS@", links), config)
        log = work / "log"
        name = f"service-guest-{os.getpid()}"
        # An older systemd takes the version of control groups that the machine has.
        own_group = [] if suite in RELEASES else stack.enter_context(cgroup2.group(name))
        nspawn = subprocess.Popen(
            [
                *own_group,
                "systemd-nspawn",
                "--quiet",
                "--kill-signal=SIGRTMIN+3",
                f"--directory={tree}",
                "--register=no",
                "--keep-unit",
                "--console=pipe",
                f"--machine={name}",
                "--capability=all",
                f"--bind={loop}:{DISK}",
                *options,
                FIRST,
            ],
            stdin=subprocess.DEVNULL,
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "1"},
        )
        guest = Guest(tree, Path(loop), nspawn, log)
        stack.callback(guest.stop)
        guest.ready()
        yield guest


@contextmanager
def _root_disk(image: Path, tree: Path, mib: int) -> Iterator[str]:
    """What follows /boot on the disk `image` as the root, mounted on `tree`; the loop device."""
    with loops.attached(image, start=BOOT_SIZE, length=mib * images.MIB) as loop:
        host("mke2fs", "-q", "-t", "ext4", loop)
        host("mount", loop, str(tree))
        try:
            yield loop
        finally:
            host("umount", str(tree))


def _prepare(tree: Path, mount_boot: str, config: str) -> None:
    units = tree / "etc/systemd/system"
    write(tree / "etc/fstab", "")
    write(tree / "etc/hostname", "guest\n")
    write(tree / "etc/cloud/cloud-init.disabled", "")
    write(tree / "etc/xen-guest-bootloader/conf.d/test.toml", config)
    write(units / "mount-boot.service", mount_boot)
    for unit in ("xen-guest-bootloader.service", "xen-guest-bootloader-sync.service"):
        write(units / f"{unit}.d/10-no-xen.conf", NO_CONDITIONS)
    for unit in WITH_UDEV:
        write(units / f"{unit}.d/10-read-only.conf", READ_ONLY_SYS)
    write(tree / FIRST.lstrip("/"), FIRST_PROGRAM)
    (tree / FIRST.lstrip("/")).chmod(0o755)
    wants = units / "local-fs.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / "mount-boot.service").symlink_to("../mount-boot.service")
    for unit in MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")


def _chroot(tree: Path, deb: Path) -> None:
    shutil.copy(deb, tree / "root")
    script = (
        f'cd / && mount -t proc proc "{tree}/proc" && exec chroot "{tree}" dpkg --install'
        f' "/root/{deb.name}"'
    )
    host(
        "unshare",
        "--mount",
        "--pid",
        "--fork",
        "--",
        "env",
        "-i",
        "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
        "sh",
        "-c",
        script,
    )
