# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian tree on a loop-mounted image, entered as the Xen guest it would be: real dpkg, apt,
hooks and GRUB, a given sysfs.
"""

import hashlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from tests.support import images, loops
from tests.support.checkout import CACHE
from tests.support.debian_tree import Kind, Suite, tarball, unpack

ENTER = Path(__file__).with_name("enter-guest")
TIMEOUT = 600
DISK_SIZE = 3 << 30
"""Bytes; sparse."""


NOTED = tuple(
    "/root/ /run/ /tmp/ /boot/ /var/cache/ /var/log/ /var/lib/apt/ /var/lib/dpkg/status"
    " /var/lib/dpkg/available /var/lib/dpkg/lock /var/lib/dpkg/diversions-old"
    " /var/lib/dpkg/triggers/".split()
)


class Platform(StrEnum):
    """What /sys/hypervisor says."""

    PV = "pv"
    PVH = "pvh"
    HVM = "hvm"
    DOM0 = "dom0"
    NONE = "none"


# properties/features: bit 2 is auto_translated_physmap, bit 11 dom0 (xen/include/public/features.h)
_FEATURES = {
    Platform.PV: "00002705",
    Platform.PVH: "00002704",
    Platform.HVM: "00002704",
    Platform.DOM0: "00002f05",
}
_GUEST_TYPES = {Platform.PV: "PV", Platform.PVH: "PVH", Platform.HVM: "HVM", Platform.DOM0: "PV"}


def hypervisor_files(platform: Platform) -> dict[str, str]:
    """The files below /sys/hypervisor on one platform, as Linux 6.1 shows them; none off Xen."""
    if platform is Platform.NONE:
        return {}
    return {
        "type": "xen\n",
        "guest_type": f"{_GUEST_TYPES[platform]}\n",
        "uuid": "5d2b2a2e-8f5e-4a3e-9d5c-0d8d3a0c5b11\n",
        "version/major": "4\n",
        "version/minor": "17\n",
        "version/extra": ".5\n",
        "properties/capabilities": (
            "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 \n"
        ),
        "properties/features": f"{_FEATURES[platform]}\n",
    }


@dataclass(slots=True)
class ChrootGuest:
    """One guest on its mounted `disk`; `work` holds what belongs to it outside, and `platform`
    and `environment` may be changed.
    """

    disk: images.Disk
    work: Path
    suite: Suite
    platform: Platform = Platform.PV
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def directory(self) -> Path:
        """Where its tree is mounted."""
        return self.disk.top

    def run(
        self,
        *command: str,
        check: bool = True,
        stdin: str = "",
        env: Mapping[str, str] | None = None,
        timeout: float = TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the guest as root, with both outputs kept; raises AssertionError
        with them where `check` fails.
        """
        done = subprocess.run(
            self.command(*command),
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            env=self._environment() | dict(env or {}),
            timeout=timeout,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"{command} exited {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            )
        return done

    def shell(
        self, script: str, *, check: bool = True, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the guest."""
        return self.run("/bin/sh", "-c", script, check=check, env=env)

    def command(self, *command: str) -> list[str]:
        """The command of the host that runs `command` in the guest."""
        return [str(ENTER), str(self.directory), str(self._hypervisor()), *command]

    def apt(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run apt-get in the guest, on package lists that are fetched once and kept."""
        if not any((self.apt_cache / "lists").glob("*_Packages*")):
            self.run("apt-get", "update", env={"GUEST_APT": str(self.apt_cache)})
        return self.run(
            "apt-get",
            "-y",
            "--allow-downgrades",
            *arguments,
            check=check,
            env={"GUEST_APT": str(self.apt_cache)},
        )

    @property
    def apt_cache(self) -> Path:
        """Where this suite's package lists and downloaded packages are kept."""
        return CACHE / "apt" / self.suite

    def status(self) -> dict[str, Any]:
        """What `xen-guest-bootloader status --json` says."""
        found: dict[str, Any] = json.loads(
            self.run("xen-guest-bootloader", "status", "--json", check=False).stdout
        )
        return found

    def states(self) -> dict[str, str]:
        """The state of each target, and of grub.cfg."""
        status = self.status()
        return {each["target"]: each["state"] for each in status["targets"]} | {
            "grub.cfg": status["grub_cfg"]["state"]
        }

    def assert_right(self) -> None:
        """All is as it should be, and what GRUB would read after a power cut now is what status
        speaks of.
        """
        status = self.status()
        assert status["ok"], status
        given = self.disk.given
        assert given.cat("/boot/grub/grub.cfg") == self.read("/boot/grub/grub.cfg")
        for file in [file for target in status["targets"] for file in target["files"]]:
            data = given.cat(file["path"])
            assert data is not None, f"GRUB finds no {file['path']}"
            assert hashlib.sha256(data).hexdigest() == file["sha256"]

    @contextmanager
    def cloned(self) -> Iterator[Self]:
        """A guest on a copy of this disk, whose file system has a new UUID, as whoever clones a
        disk should give it.
        """
        image, top = self.work / "clone.img", self.work / "clone"
        images.tool("fsfreeze", "--freeze", str(self.directory))
        try:
            images.tool("cp", "--sparse=always", str(self.disk.root.image), str(image))
        finally:
            images.tool("fsfreeze", "--unfreeze", str(self.directory))
        images.tool("e2fsck", "-fy", "-E", "journal_only", str(image))
        images.tool("e2fsck", "-fp", str(image))
        images.tool("tune2fs", "-U", "random", str(image))
        top.mkdir()
        with loops.attached(image) as device:
            uuid = images.tool(
                "blkid", "--probe", "--output", "value", "--match-tag", "UUID", device
            )
            filesystem = replace(self.disk.root, image=image, device=device, uuid=uuid)
            with images.mounted(filesystem, top):
                disk = replace(self.disk, top=top, root=filesystem, boot=filesystem)
                yield replace(self, disk=disk)

    def snapshot(self) -> dict[str, str]:
        """Every file and directory with its mode, owner and content, but for logs and what dpkg
        and apt note for themselves.
        """
        found = {}
        for where, directories, files in os.walk(self.directory):
            inner = where.removeprefix(str(self.directory))
            found.update(
                {
                    f"{inner}/{name}": _described(Path(where, name))
                    for name in (*directories, *files)
                }
            )
            directories[:] = [
                name for name in directories if not f"{inner}/{name}/".startswith(NOTED)
            ]
        return {path: what for path, what in found.items() if not path.startswith(NOTED)}

    def read(self, path: str) -> bytes:
        """The bytes of one of the guest's files."""
        return self.path(path).read_bytes()

    def write(self, path: str, text: str, *, mode: int = 0o644) -> None:
        """Write one of the guest's files, with the directories above it."""
        target = self.path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
        target.chmod(mode)

    def path(self, path: str) -> Path:
        """Where one of the guest's files is for the host."""
        return self.directory / path.lstrip("/")

    def _hypervisor(self) -> Path | str:
        files = hypervisor_files(self.platform)
        if not files:
            return "-"
        directory = self.work / "hypervisor" / self.platform
        for name, text in files.items():
            (directory / name).parent.mkdir(parents=True, exist_ok=True)
            (directory / name).write_text(text)
        return directory

    def _environment(self) -> dict[str, str]:
        path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return {
            "PATH": path,
            "HOME": "/root",
            "LC_ALL": "C.UTF-8",
            "DEBIAN_FRONTEND": "noninteractive",
        } | self.environment


@contextmanager
def guest(
    suite: Suite,
    kind: Kind,
    work: Path,
    *,
    platform: Platform = Platform.PV,
    fs_type: str = "ext4",
    boot: str = "",
    architecture: str = "",
    keep: bool = False,
) -> Iterator[ChrootGuest]:
    """A fresh guest of one suite and kind on a disk in `work`, unmounted at the end; `fs_type` is
    the type of its root, `boot` that of an own /boot, `architecture` Debian's name of another one.

    Its disk's image is then removed, or with `keep` stays as `work / "disk.img"`.
    """
    with images.disk(work, fs_type, size=DISK_SIZE, boot=boot, keep=keep) as disk:
        unpack(tarball(suite, kind, architecture=architecture), disk.top)
        images.close_xfs(disk.top)
        images.close_xfs(disk.top / "boot")
        # Where enter-guest puts the machine's own, so that the tree needs nothing from then on.
        (disk.top / "etc/resolv.conf").touch()
        shutil.copyfile("/etc/hosts", disk.top / "etc/hosts")
        yield ChrootGuest(disk=disk, work=work, suite=suite, platform=platform)


@contextmanager
def copied(
    image: Path,
    suite: Suite,
    work: Path,
    *,
    platform: Platform = Platform.PV,
    keep: bool = False,
) -> Iterator[ChrootGuest]:
    """A guest like the one whose disk's image this is, on a copy of it in `work`, which stays
    with `keep`.
    """
    with images.copied_disk(work, image, "ext4", keep=keep) as disk:
        yield ChrootGuest(disk=disk, work=work, suite=suite, platform=platform)


def _described(path: Path) -> str:
    status = path.lstat()
    what = f"{status.st_mode:o} {status.st_uid}:{status.st_gid}"
    if stat.S_ISREG(status.st_mode):
        return f"{what} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"{what} {path.readlink()}" if stat.S_ISLNK(status.st_mode) else what
