# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian guest with a booted systemd and a udev of its own, in a container of systemd-nspawn;
our .deb, a disk for /boot.

It is no Xen guest, so drop-ins set the units' conditions aside and the configuration names the
target. Kernel and clock are the machine's, so it is as quick as the machine.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tests.support import cgroup2
from tests.support.debian_package import host
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball, unpack
from tests.support.waiting import until

TARGET = "x86_64-xen"
SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
BOOT_MIB = 160
ORDER_SECONDS = 120
DISK = "/dev/xvdb"
ROOT_DISK = "/dev/xvda"
QUEUE_LENGTH = Path("/proc/sys/net/unix/max_dgram_qlen")

CONFIG = f'targets = ["{TARGET}"]\nupdate_grub = false\n'
NO_CONDITIONS = "[Unit]\nConditionVirtualization=\n"
GRUB_CFG = """\
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
# What would touch the machine's own kernel settings and devices, or wait for hardware.
MASKED = (
    *(
        "systemd-sysctl.service",
        "systemd-modules-load.service",
        "systemd-binfmt.service",
        "systemd-udev-trigger.service",
    ),
    *(
        "systemd-udev-settle.service",
        "kmod-static-nodes.service",
        "dev-hugepages.mount",
        "dev-mqueue.mount",
    ),
    *(
        "sys-kernel-debug.mount",
        "sys-kernel-tracing.mount",
        "sys-kernel-config.mount",
        "sys-fs-fuse-connections.mount",
    ),
    *(
        "systemd-networkd.service",
        "systemd-timesyncd.service",
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "e2scrub_all.timer",
    ),
    *("fstrim.timer", "dpkg-db-backup.timer", "xen-guest-bootloader-audit.timer"),
)


class Guest:
    """The running guest; `tree` is its root as the machine sees it."""

    def __init__(self, tree: Path, disk: Path, nspawn: subprocess.Popen[bytes], log: Path) -> None:
        self.tree = tree
        self.disk = disk
        self._nspawn = nspawn
        self._log = log
        self.leader = 0

    def ready(self) -> None:
        """Wait until systemd has started all it starts by itself."""
        until(self._find_leader)
        self.until("systemctl is-system-running | grep -E 'running|degraded'")

    def _find_leader(self) -> bool:
        assert self._nspawn.poll() is None, self._log.read_text(errors="replace")[-4000:]
        children = (
            Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        )
        self.leader = int(children[0]) if children else 0
        return self.leader > 0 and Path(f"/proc/{self.leader}/root/run/systemd/private").exists()

    def run(
        self, script: str, *, check: bool = True, timeout: float = ORDER_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script in the guest as root; AssertionError with what it said where
        `check` fails.
        """
        done = subprocess.run(
            [
                "nsenter",
                f"--target={self.leader}",
                "--all",
                "--root",
                "--wdns=/",
                "--",
                "/bin/bash",
                "-c",
                script,
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            cwd="/",
            env={
                "PATH": "/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
                "LC_ALL": "C.UTF-8",
                "DEBIAN_FRONTEND": "noninteractive",
            },
        )
        assert done.returncode == 0 or not check, (
            f"{script}\nexit code {done.returncode}\n{done.stdout}\n{done.stderr}"
        )
        return done

    def out(self, script: str) -> str:
        """What a script prints."""
        return self.run(script).stdout.strip()

    def until(self, script: str, *, patience: float = ORDER_SECONDS) -> None:
        """Wait until `script` succeeds."""
        try:
            until(
                lambda: self.run(script, check=False).returncode == 0, patience=patience, pause=0.1
            )
        except AssertionError as error:
            told = self.run(
                "journalctl -b --no-pager -o short-monotonic -n 80; systemctl status --no-pager"
                " 'xen-guest-*'",
                check=False,
            )
            raise AssertionError(
                f"never came true: {script}\n{told.stdout[-8000:]}{told.stderr}"
            ) from error

    def at_rest(self) -> None:
        """Wait until the watcher has nothing to do and no repair runs."""
        self.until(
            'grep -q \'"phase": "quiet".*"as it was left"\''
            ' /run/xen-guest-bootloader/watch/state.json && sleep 0.7 && grep -q \'"phase":'
            ' "quiet".*"as it was left"\' /run/xen-guest-bootloader/watch/state.json'
        )

    def resident_mib(self) -> float:
        """How much memory the watcher holds."""
        return (
            int(
                self.out(
                    "grep VmRSS /proc/$(systemctl show -P MainPID xen-guest-bootloader)/status"
                ).split()[1]
            )
            / 1024
        )

    def pid(self, script: str) -> int:
        """The process whose number in the guest a script prints, as the machine numbers it."""
        wanted = self.out(script)
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                numbers = next(
                    line for line in status.read_text().splitlines() if line.startswith("NSpid:")
                ).split()[1:]
            except (OSError, StopIteration):
                continue
            if len(numbers) > 1 and numbers[-1] == wanted and self._is_inside(int(numbers[0])):
                return int(numbers[0])
        raise AssertionError(f"no process {wanted} in the guest")

    def _is_inside(self, pid: int) -> bool:
        mine, other = (os.readlink(f"/proc/{each}/ns/pid") for each in (self.leader, pid))
        return mine == other

    def service(self) -> dict[str, Any]:
        """What the watcher says of itself."""
        table: dict[str, Any] = json.loads(
            self.out("cat /run/xen-guest-bootloader/watch/state.json")
        )
        return table

    def syncs(self) -> int:
        """How many repairs have run since the guest booted."""
        self.run("journalctl --sync")
        return int(
            self.out(
                "journalctl -b -u xen-guest-bootloader-sync -o cat | grep -c '^Finished' || true"
            )
        )

    def digest(self) -> str:
        """The sha256 of the second stage."""
        return self.out(f"sha256sum {SECOND_STAGE}").split()[0]

    def repacked(self, package: str, work: Path, *, change: str, old: bytes, new: bytes) -> str:
        """A later version of an installed package, with other bytes in one file; the path of
        its .deb in the guest.
        """
        top = work / package
        for name in (self.tree / f"var/lib/dpkg/info/{package}.list").read_text().split():
            source, target = self.tree / name.lstrip("/"), top / name.lstrip("/")
            if source.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            elif source.exists():
                shutil.copy2(source, target, follow_symlinks=False)
        data = (top / change).read_bytes()
        assert old in data
        (top / change).write_bytes(data.replace(old, new))
        facts = self.out(
            "dpkg-query --show --showformat='Version: ${Version}.1\nArchitecture:"
            f" ${{Architecture}}\n' {package}"
        )
        _write(
            top / "DEBIAN/control",
            f"Package: {package}\n{facts}\nMaintainer: nobody <nobody@localhost>\nDescription:"
            " later\n",
        )
        host(
            "dpkg-deb",
            "-Znone",
            "--root-owner-group",
            "--build",
            str(top),
            str(self.tree / "root/later.deb"),
        )
        return "/root/later.deb"

    @contextmanager
    def slow_grub_install(self) -> Iterator[None]:
        """For the block, grub-install waits when it is started; at the end of the block it goes
        on.
        """
        real, waits = "/usr/sbin/grub-install.distrib", "/run/grub-install-waits"
        script = (
            f"#!/bin/sh\n: > {waits}\nwhile [ -e {waits} ]; do sleep 0.1; done\nexec {real}.kept"
            ' "$@"\n'
        )
        self.run(f"mv {real} {real}.kept")
        _write(self.tree / real.lstrip("/"), script)
        self.run(f"chmod 755 {real}")
        try:
            yield
        finally:
            self.run(f"rm -f {waits} && sleep 0.3 && mv {real}.kept {real}")

    @contextmanager
    def refused(self, pid: int, calls: str, error: str) -> Iterator[None]:
        """For the block, some system calls of one process of the guest, by its number here,
        fail with `error`.
        """
        log = self.tree.parent / f"refused-{pid}"
        command = [
            "strace",
            "-f",
            "-q",
            "-o",
            str(log),
            "-e",
            f"trace={calls}",
            "-e",
            f"inject={calls}:error={error}",
            "-p",
            str(pid),
        ]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as strace:
            try:
                until(lambda: _tracer(pid) == strace.pid)
                yield
            finally:
                strace.terminate()

    def stop(self) -> None:
        """End it at once."""
        if self.leader:
            os.kill(self.leader, signal.SIGKILL)
        else:
            self._nspawn.terminate()
        self._nspawn.wait(timeout=60)


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

    `root_mib`: its root is a disk of its own, `ROOT_DISK`, of that size, so that GRUB's tools find
    it. `network`: it has the machine's.
    """
    tree, image = work / "tree", work / "boot.img"
    tree.mkdir(parents=True)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, tree)
        options = [] if network else ["--private-network"]
        if network:  # systemd raises it at its start, for the network that it sees
            stack.callback(QUEUE_LENGTH.write_text, QUEUE_LENGTH.read_text())
        links = ""
        if root_mib:
            root = stack.enter_context(_root_disk(work / "root.img", tree, root_mib))
            options.append(f"--bind={root}:{ROOT_DISK}")
            links = f"ExecStart=ln -sfn {ROOT_DISK} {root}\n"
        unpack(tarball(suite, Kind.FULL), tree)
        _chroot(tree, deb)
        version = next((tree / "boot").glob("vmlinuz-*")).name.removeprefix("vmlinuz-")
        uuid = str(uuid4())
        _write(tree / "boot/grub/grub.cfg", GRUB_CFG.format(uuid=uuid, version=version))
        # Without checksums of metadata its UUID can be changed while it is mounted.
        features = ("-O", "^metadata_csum", "-U", uuid)
        host(
            "mke2fs",
            "-q",
            "-t",
            "ext4",
            *features,
            "-d",
            str(tree / "boot"),
            str(image),
            f"{BOOT_MIB}M",
        )
        shutil.rmtree(tree / "boot")
        (tree / "boot").mkdir()
        loop = host("losetup", "--find", "--show", str(image)).strip()
        stack.callback(host, "losetup", "--detach", loop)
        _prepare(tree, MOUNT_BOOT.replace("@LOOP@", loop).replace("@LINKS@", links), config)
        log = work / "log"
        name = f"service-guest-{os.getpid()}"
        # An older systemd takes the version of control groups that the machine has.
        own_group = [] if suite in RELEASES else stack.enter_context(cgroup2.group(name))
        nspawn = subprocess.Popen(
            [
                *own_group,
                *(
                    "systemd-nspawn",
                    "--quiet",
                    "--boot",
                    f"--directory={tree}",
                    "--register=no",
                    "--keep-unit",
                    "--console=pipe",
                ),
                *(
                    f"--machine={name}",
                    "--capability=all",
                    f"--bind={loop}:{DISK}",
                    *options,
                ),
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
    """A disk of its own for the root, mounted on `tree`; the loop device."""
    with ExitStack() as stack:
        host("mke2fs", "-q", "-t", "ext4", str(image), f"{mib}M")
        stack.callback(image.unlink)
        loop = host("losetup", "--find", "--show", str(image)).strip()
        stack.callback(host, "losetup", "--detach", loop)
        host("mount", loop, str(tree))
        stack.callback(host, "umount", str(tree))
        yield loop


def _prepare(tree: Path, mount_boot: str, config: str) -> None:
    units = tree / "etc/systemd/system"
    _write(tree / "etc/fstab", "")
    _write(tree / "etc/hostname", "guest\n")
    _write(tree / "etc/cloud/cloud-init.disabled", "")
    _write(tree / "etc/xen-guest-bootloader/conf.d/test.toml", config)
    _write(units / "mount-boot.service", mount_boot)
    for unit in ("xen-guest-bootloader.service", "xen-guest-bootloader-sync.service"):
        _write(units / f"{unit}.d/10-no-xen.conf", NO_CONDITIONS)
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


def _tracer(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("TracerPid:")))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
