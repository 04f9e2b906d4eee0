# SPDX-License-Identifier: GPL-3.0-or-later
"""A Debian guest on a disk of its own, worked on from outside with `--root`; and the program run in
a guest that is entered.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guest_hooks.targets import TARGETS
from tests.support import bytecode, chroot_guest, images, waiting
from tests.support.checkout import CHECKOUT
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import Kind, Suite, tarball, unpack

PYTHON = "/usr/bin/python3"
ALL = tuple(f"--target={name}" for name in TARGETS)
CORE_FILES = {
    "x86_64-xen": "pvboot-x86_64.elf",
    "i386-xen": "pvboot-i386.elf",
    "i386-xen_pvh": "pvhboot-i386.elf",
}
FILES = {
    "x86_64-xen": ("pvboot-x86_64.elf",),
    "i386-xen": ("pvboot-i386.elf",),
    "i386-xen_pvh": ("pvhboot-i386.elf", "pvhboot-x86_64.elf", "pvhboot-i386.linux"),
}
"""What each target installs in /boot/xen of a 64-bit guest."""
WRITES = (
    "creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,"
    "unlinkat,rmdir,mknod,mknodat,truncate,ftruncate,fallocate,chmod,fchmod,fchmodat,chown,"
    "fchown,lchown,fchownat,setxattr,utimensat,open,openat,openat2,syncfs,chdir"
)
WRITING_FLAGS = ("O_WRONLY", "O_RDWR", "O_CREAT", "O_TRUNC", "O_TMPFILE")
IN_USE = 8
"""With this, e2fsck(8) could not begin."""
PYTHON_LIBRARY = "/usr/lib/python3/dist-packages/guest_hooks"

CHEAP = "Nothing to do: nothing has changed since the last sync.\n"
"""What a sync says that looked at the fingerprint alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one run of the program left."""

    code: int
    stdout: str
    stderr: str

    @property
    def json(self) -> dict[str, Any]:
        """Its standard output, which must be one JSON object and nothing else."""
        table = json.loads(self.stdout)
        assert isinstance(table, dict)
        return table

    def states(self) -> dict[str, str]:
        """The verdict on each target."""
        return {target["target"]: target["state"] for target in self.json["targets"]}

    def codes(self) -> dict[str, list[str]]:
        """The problem codes of each target."""
        return {
            target["target"]: [problem["code"] for problem in target["problems"]]
            for target in self.json["targets"]
        }


def command(top: Path, *words: str) -> list[str]:
    """The command line of a program run on the tree at `top`."""
    return [PYTHON, "-m", "guest_hooks", "--root", str(top), *words]


def environment() -> dict[str, str]:
    """A caller's environment in which Python finds the checkout."""
    bytecode.make()
    return {
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PATH": os.environ["PATH"],
        "LC_ALL": "C.UTF-8",
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class OutsideGuest:
    """A guest's tree on `disk`, looked at and mended from outside."""

    disk: images.Disk
    suite: Suite

    @property
    def top(self) -> Path:
        """Where the guest's `/` is mounted."""
        return self.disk.top

    def path(self, path: str) -> Path:
        """Where one of the guest's files is for the host."""
        return self.top / path.lstrip("/")

    def boot_xen(self, name: str) -> Path:
        """A file of /boot/xen."""
        return self.path(f"/boot/xen/{name}")

    def run(self, *words: str, code: int | None = 0, prefix: Sequence[str] = ()) -> Outcome:
        """Run the program on the tree; asserts its exit code unless `code` is None."""
        done = subprocess.run(
            [*prefix, *command(self.top, *words)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
            env=environment(),
        )
        outcome = Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
        assert code is None or outcome.code == code, (
            f"{words} exited {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
        )
        return outcome

    def status(self, *targets: str, code: int | None = None) -> Outcome:
        """`status --json` of the given targets, by default all."""
        return self.run(
            "status", "--json", *(f"--target={name}" for name in targets or TARGETS), code=code
        )

    def sync(self, *words: str, code: int | None = 0) -> Outcome:
        """`sync --json` of the targets in `words`, by default all, without grub.cfg."""
        targets = () if any(word.startswith("--target") for word in words) else ALL
        return self.run("sync", "--json", "--no-update-grub", *targets, *words, code=code)

    def renew_uuid(self) -> str:
        """Give the file system a new UUID, as whoever clones a disk should, and return it."""
        device = self.disk.root.device
        images.tool("umount", str(self.top))
        try:
            # A mount namespace that somebody else made meanwhile may hold the mount for a moment
            # longer.
            waiting.until(
                lambda: (
                    subprocess.run(
                        ["e2fsck", "-fy", device], capture_output=True, check=False
                    ).returncode
                    < IN_USE
                )
            )
            images.tool("tune2fs", "-U", "random", device)
        finally:
            images.tool("mount", device, str(self.top))
        return images.tool("blkid", "--probe", "--output", "value", "--match-tag", "UUID", device)

    def writes(self, directory: Path, *words: str) -> list[str]:
        """Run the program under strace; every system call, of any of its processes, that wrote
        to a file of the tree.

        What is on the private /dev that a run mounts over the tree's own does not count; `snapshot`
        sees the latter.
        """
        directory.mkdir()
        # One log a process: no call is cut in two by another process's.
        self.run(
            *words,
            prefix=[
                "strace",
                "-f",
                "-ff",
                "--seccomp-bpf",
                "-qq",
                "-y",
                "-o",
                str(directory / "log"),
                "-e",
                f"trace={WRITES}",
            ],
        )
        logs = [log.read_text(errors="replace").splitlines() for log in sorted(directory.iterdir())]
        assert len(logs) > 1, "strace saw no more than one process"
        return [
            line for lines in logs for line in _writes(lines, devices=(f"{self.top}/dev", "/dev"))
        ]


@contextmanager
def outside_guest(
    directory: Path,
    suite: Suite,
    fs_type: str = "ext4",
    *,
    table: str = "",
    boot: str = "",
    kind: Kind = Kind.MINIMAL,
) -> Iterator[OutsideGuest]:
    """A fresh Debian tree on a disk of this layout, with fstab as an installer writes it."""
    with images.disk(
        directory,
        fs_type,
        size=(1200 if kind is Kind.FULL else 400) * images.MIB,
        table=table,
        boot=boot,
    ) as disk:
        unpack(tarball(suite, kind), disk.top)
        images.close_xfs(disk.top)
        images.close_xfs(disk.top / "boot")
        lines = [f"UUID={disk.root.uuid} / {fs_type} defaults 0 1"]
        if boot:
            lines.append(f"UUID={disk.boot.uuid} /boot {boot} defaults 0 2")
        (disk.top / "etc/fstab").write_text("\n".join(lines) + "\n")
        yield OutsideGuest(disk=disk, suite=suite)


@contextmanager
def live_guest(
    suite: Suite,
    work: Path,
    *,
    kind: Kind = Kind.FULL,
    platform: Platform = Platform.PV,
    fs_type: str = "ext4",
) -> Iterator[ChrootGuest]:
    """A guest that is entered, with the program of the checkout in it."""
    with chroot_guest.guest(suite, kind, work, platform=platform, fs_type=fs_type) as guest:
        shutil.copytree(
            CHECKOUT / "guest_hooks",
            guest.path(PYTHON_LIBRARY),
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        guest.environment["PYTHONDONTWRITEBYTECODE"] = "1"
        guest.run(*bytecode.command(PYTHON_LIBRARY))
        yield guest


def verb(guest: ChrootGuest, *words: str, code: int | None = 0) -> Outcome:
    """Run the program inside the guest."""
    done = guest.run("python3", "-m", "guest_hooks", *words, check=False)
    outcome = Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)
    assert code is None or outcome.code == code, (
        f"{words} exited {outcome.code}\n{outcome.stdout}\n{outcome.stderr}"
    )
    return outcome


def snapshot(*tops: Path) -> dict[str, str]:
    """What is in these directories, down to every byte, mode, owner and time of change; no
    mount below them is entered.
    """
    found = {}
    for top in tops:
        device = top.lstat().st_dev
        for directory, names, files in os.walk(top):
            names[:] = [
                name for name in names if os.lstat(os.path.join(directory, name)).st_dev == device
            ]
            for name in [*names, *files]:
                path = Path(directory, name)
                found[str(path)] = _facts(path)
    return found


def _facts(path: Path) -> str:
    status = path.lstat()
    content = ""
    if path.is_symlink():
        content = os.readlink(path)
    elif path.is_file():
        content = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        f"{status.st_mode:o} {status.st_uid}:{status.st_gid} {status.st_ino} {status.st_mtime_ns}"
        f" {status.st_ctime_ns} {content}"
    )


def _writes(lines: Sequence[str], devices: Sequence[str]) -> Iterator[str]:
    """The lines of one process's log that are calls which succeeded and can have changed a file
    outside `devices`.
    """
    directory = ""
    for line in lines:
        if " = -1 " in line or line.startswith(("---", "+++")):
            continue
        # The last path of a call is the one that is made, replaced or removed.
        paths = re.findall(r'"([^"]*)"', line) or re.findall(r"<([^>]*)>", line)
        path = os.path.join(directory, paths[-1]) if paths else ""
        if line.startswith("chdir("):
            directory = path
        elif line.startswith("open") and not any(flag in line for flag in WRITING_FLAGS):
            continue
        elif not path.startswith(tuple(f"{top}/" for top in devices)):
            yield line
