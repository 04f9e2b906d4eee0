"""A Debian tree on a loop-mounted image, entered as the Xen guest it would be: real dpkg, apt, hooks and GRUB, a given sysfs."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from tests.support.debian_tree import CACHE, Kind, Suite, tarball, unpack

ENTER = Path(__file__).with_name("enter-guest")
TIMEOUT = 600
IMAGE_SIZE = 3 << 30
"""Bytes; sparse."""


class Platform(StrEnum):
    """What /sys/hypervisor says."""

    PV = "pv"
    PVH = "pvh"
    HVM = "hvm"
    DOM0 = "dom0"
    NONE = "none"


# properties/features: bit 2 is auto_translated_physmap, bit 11 dom0 (xen/include/public/features.h)
_FEATURES = {Platform.PV: "00002705", Platform.PVH: "00002704", Platform.HVM: "00002704", Platform.DOM0: "00002f05"}
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
        "properties/capabilities": "xen-3.0-x86_64 hvm-3.0-x86_32 hvm-3.0-x86_32p hvm-3.0-x86_64 \n",
        "properties/features": f"{_FEATURES[platform]}\n",
    }


@dataclass(slots=True)
class TreeGuest:
    """One guest: `directory` is where its tree is mounted, `work` holds what belongs to it outside; `platform` may be changed."""

    directory: Path
    work: Path
    suite: Suite
    platform: Platform = Platform.PV
    environment: dict[str, str] = field(default_factory=dict)

    def run(
        self, *command: str, check: bool = True, stdin: str = "", env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the guest as root, with both outputs kept; raises AssertionError with them where `check` fails."""
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
            raise AssertionError(f"{command} exited {done.returncode}\n{done.stdout[-6000:]}\n{done.stderr[-6000:]}")
        return done

    def shell(self, script: str, *, check: bool = True, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a line of shell in the guest."""
        return self.run("/bin/sh", "-c", script, check=check, env=env)

    def command(self, *command: str) -> list[str]:
        """The command of the host that runs `command` in the guest."""
        return [str(ENTER), str(self.directory), str(self._hypervisor()), *command]

    def apt(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run apt-get in the guest, on package lists that are fetched once and kept."""
        if not any((self.apt_cache / "lists").glob("*_Packages*")):
            self.run("apt-get", "update", env={"GUEST_APT": str(self.apt_cache)})
        return self.run("apt-get", "-y", "--allow-downgrades", *arguments, check=check, env={"GUEST_APT": str(self.apt_cache)})

    @property
    def apt_cache(self) -> Path:
        """Where this suite's package lists and downloaded packages are kept."""
        return CACHE / "apt" / self.suite

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
        return {"PATH": path, "HOME": "/root", "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"} | self.environment


@contextmanager
def guest(suite: Suite, kind: Kind, work: Path, *, platform: Platform = Platform.PV) -> Iterator[TreeGuest]:
    """A fresh guest of one suite and kind on an ext4 image in `work`, unmounted and removed at the end."""
    image = work / "disk.img"
    image.parent.mkdir(parents=True, exist_ok=True)
    with image.open("wb") as file:
        file.truncate(IMAGE_SIZE)
    _host("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1", str(image))
    with mounted(image, work / "tree") as directory:
        unpack(tarball(suite, kind), directory)
        yield TreeGuest(directory=directory, work=work, suite=suite, platform=platform)
    image.unlink()


@contextmanager
def mounted(image: Path, directory: Path) -> Iterator[Path]:
    """`image` as a loop device of its own, mounted on `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    _host("mount", "-o", "loop", str(image), str(directory))
    try:
        yield directory
    finally:
        _host("umount", "--recursive", str(directory))


def _host(*command: str) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=120)
    if done.returncode != 0:
        raise RuntimeError(f"{command} exited {done.returncode}: {done.stderr}")
