# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest to break: this machine's own tree, with /boot, /var/lib, /run and GRUB's modules of
the lab's, in a namespace a command.

No Debian tree is unpacked and no chroot entered, so a sync costs what it costs in a guest, and
thousands of them fit into a test.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from guest_hooks.machine.barrier import barrier
from guest_hooks.machine.root import Root
from guest_hooks.survey.evidence import is_from_package
from tests.support import bytecode, images, loops
from tests.support.checkout import CACHE, CHECKOUT
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball

TARGET = "x86_64-xen"
SECOND_STAGE = "/boot/xen/pvboot-x86_64.elf"
MENU = "/boot/grub/grub.cfg"
MODULES = f"/boot/grub/{TARGET}"
SIZES = {"ext4": 64 * images.MIB, "xfs": 300 * images.MIB, "btrfs": 128 * images.MIB}
TIMEOUT = 120

_ENTER = """
set -eu
if [ -e "$LAB/package" ]; then
    for top in usr/sbin usr/bin usr/lib; do
        mount -t overlay -o "lowerdir=$LAB/package/$top:/$top" overlay "/$top"
    done
fi
mkdir -p /run/xen-guest-bootloader
mount --bind "$LAB/run" /run/xen-guest-bootloader
mount --bind "$LAB/boot" /boot
mount --bind "$LAB/var-lib" /var/lib
mount --bind "$GRUB" /usr/lib/grub
mount --bind "$LAB/grub-mkconfig" /usr/sbin/grub-mkconfig
[ ! -e "$LAB/grub-install" ] || mount --bind "$LAB/grub-install" /usr/sbin/grub-install
exec "$@"
"""
# What makes the menu is not tried here; that a menu is never broken is.
_PROGRAM = """#!/bin/sh
exec /usr/bin/python3 -m guest_hooks "$@"
"""
_MKCONFIG = """#!/bin/sh
[ "$1" != -o ] || exec >"$2"
header=/etc/grub.d/00_header
printf '### BEGIN %s ###\\nset lab="%s"\\n### END %s ###\\n' $header "$(cat "{work}/menu")" $header
"""


def grub_modules(suite: Suite) -> Path:
    """The directory that is /usr/lib/grub in `suite`: GRUB 2.06 in bookworm, 2.12 in trixie."""
    directory = CACHE / "grub-modules" / suite
    if not directory.exists():
        partial = directory.with_suffix(f".{os.getpid()}")
        partial.mkdir(parents=True)
        archive = tarball(suite, Kind.MINIMAL)
        subprocess.run(
            ["tar", "-xf", archive, "-C", partial, "--strip-components=4", "./usr/lib/grub"],
            check=True,
            timeout=120,
        )
        try:
            partial.rename(directory)
        except OSError:  # another process was first
            shutil.rmtree(partial)
    return directory


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What GRUB reads on a raw copy: the second stage, the menu, and which GRUB's module
    directory stands there whole, if any.
    """

    core: bytes | None
    menu: bytes | None
    modules: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A lab's disk, all written back, and its /var/lib."""

    image: Path
    var_lib: Path


@dataclass(slots=True, kw_only=True)
class Lab:
    """One guest. `work` is on a tmpfs of its own; its `boot` outlives the commands; `grub` is
    whose modules they find installed.

    `program` is what of Python is run as a sync: a test may break it.
    """

    work: Path
    fs_type: str
    image: Path
    config: str = ""
    grub: Suite = Suite.BOOKWORM
    program: tuple[str, ...] = ("-m", "guest_hooks")
    _stack: ExitStack = field(default_factory=ExitStack)

    @property
    def root(self) -> Root:
        """The tree whose /boot is the lab's."""
        return Root(str(self.work))

    def fresh(self, snapshot: Snapshot, *, options: str = "defaults") -> None:
        """Lay a snapshot's disk and state into the lab and mount it."""
        self.stop()
        # A new file: another process's mount namespace may keep the last one mounted for a while.
        self.image.unlink()
        images.tool("cp", "--sparse=always", str(snapshot.image), str(self.image))
        for name in ("var-lib", "run"):
            shutil.rmtree(self.work / name, ignore_errors=True)
        shutil.copytree(snapshot.var_lib, self.work / "var-lib")
        (self.work / "run").mkdir()
        self.mount(options=options)

    def mount(self, *, options: str = "defaults") -> None:
        """Mount the lab's disk as it is."""
        self._stack = ExitStack()
        device = self._stack.enter_context(loops.attached(self.image))
        filesystem = images.Filesystem(
            image=self.image, fs_type=self.fs_type, device=device, uuid="", drive="loop0"
        )
        if self.fs_type == "xfs":
            options += ",nouuid"
        self._stack.enter_context(images.mounted(filesystem, self.work / "boot", options=options))

    def stop(self) -> None:
        """Unmount the disk."""
        self._stack.close()

    def snapshot(self, name: str) -> Snapshot:
        """The lab as it is now, for `fresh`."""
        self.settle()
        kept = Snapshot(image=self.work / f"{name}.img", var_lib=self.work / f"{name}.var-lib")
        images.tool("cp", "--sparse=always", str(self.image), str(kept.image))
        shutil.rmtree(kept.var_lib, ignore_errors=True)
        shutil.copytree(self.work / "var-lib", kept.var_lib)
        return kept

    def settle(self) -> None:
        """Let everything that was written reach the disk, as half a minute would."""
        barrier(self.root, "/boot")

    def command(self, *command: str) -> list[str]:
        """The command of this machine that runs `command` in the lab."""
        return [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "--",
            "sh",
            "-c",
            _ENTER,
            "sh",
            *command,
        ]

    def environment(self) -> dict[str, str]:
        """What every command of the lab needs to know."""
        return {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LC_ALL": "C.UTF-8",
            "LAB": str(self.work),
            "GRUB": str(grub_modules(self.grub)),
            "PYTHONPATH": str(CHECKOUT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(
        self, *command: str, env: Mapping[str, str] | None = None, timeout: float = TIMEOUT
    ) -> subprocess.CompletedProcess[str]:
        """Run `command` in the lab to its end, whatever that is."""
        return subprocess.run(
            self.command(*command),
            capture_output=True,
            text=True,
            errors="replace",
            env=self.environment() | dict(env or {}),
            timeout=timeout,
            check=False,
        )

    def sync_command(self, *options: str) -> list[str]:
        """A plain sync of the one target, with the lab's configuration."""
        (self.work / "config.toml").write_text(self.config)
        tool = ["/usr/bin/python3", *self.program, "sync", "--target", TARGET]
        return [*tool, "--config", str(self.work / "config.toml"), *options]

    def sync(self, *options: str, before: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
        """Run sync, under `before` (a tracer) if given."""
        return self.run(*before, *self.sync_command(*options))

    def synced(self, *options: str) -> None:
        """Run a sync that must end well."""
        done = self.sync(*options)
        assert done.returncode == 0, done.stderr

    def install_package(self) -> None:
        """Let the lab's commands find this package's grub-install, and Debian's where the
        diversion keeps it.
        """
        sbin, tool, lib = (
            self.work / "package/usr" / name for name in ("sbin", "bin", "lib/xen-guest-bootloader")
        )
        for directory in (sbin, tool, lib):
            directory.mkdir(parents=True)
        shutil.copy(CHECKOUT / "scripts/grub-install", sbin / "grub-install")
        shutil.copy(os.path.realpath("/usr/sbin/grub-install"), sbin / "grub-install.distrib")
        shutil.copy(CHECKOUT / "scripts/applies", lib / "applies")
        (tool / "xen-guest-bootloader").write_text(_PROGRAM)
        (tool / "xen-guest-bootloader").chmod(0o755)

    def copy(self, name: str = "copy") -> Path:
        """The mounted disk as a power cut of this moment would leave it."""
        target = self.work / f"{name}.img"
        images.tool("cp", "--sparse=always", str(self.image), str(target))
        return target

    def view(self, image: Path | None = None) -> View:
        """GRUB's view of `image`, or of the disk as it is."""
        image = image or self.copy()
        core = cat(image, SECOND_STAGE)
        return View(core=core, menu=cat(image, MENU), modules=modules_there(image))


def cat(image: Path, path: str) -> bytes | None:
    """What GRUB's drivers read at `path`, as the guest names it, on an image that is /boot;
    None where they find nothing.
    """
    command = ["grub-fstest", str(image), "cat", f"(loop0){path.removeprefix('/boot')}"]
    done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    return done.stdout if done.returncode == 0 else None


def modules_there(image: Path) -> str:
    """Whose module directory GRUB reads whole on `image`: the name of a suite, or nothing."""
    for suite in RELEASES:
        local = grub_files(suite)
        where = f"(loop0){MODULES.removeprefix('/boot')}"
        command = ["grub-fstest", str(image), "cmp", where, str(local)]
        if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0:
            return str(suite)
    return ""


def grub_files(suite: Suite) -> Path:
    """A directory with the modules and lists that grub-install copies of `suite`'s GRUB."""
    directory = CACHE / "grub" / f"{suite}-{TARGET}"
    if not directory.exists():
        partial = directory.with_suffix(f".{os.getpid()}")
        partial.mkdir(parents=True)
        for path in (grub_modules(suite) / TARGET).iterdir():
            if is_from_package(path.name):
                shutil.copy(path, partial / path.name)
        try:
            partial.rename(directory)
        except OSError:
            shutil.rmtree(partial)
    return directory


@contextmanager
def lab(
    directory: Path, fs_type: str = "ext4", *, config: str = "", image: Path | None = None
) -> Iterator[Lab]:
    """A lab with an empty disk, mounted; `image` is where its backing file is to be, if not in
    memory.
    """
    bytecode.make()
    directory.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        images.tool("mount", "-t", "tmpfs", "-o", "mode=755", "lab", str(directory))
        stack.callback(images.tool, "umount", "--lazy", str(directory))
        for name in ("boot", "var-lib", "run"):
            (directory / name).mkdir()
        mkconfig = directory / "grub-mkconfig"
        mkconfig.write_text(_MKCONFIG.replace("{work}", str(directory)))
        mkconfig.chmod(0o755)
        (directory / "menu").write_text("1")
        made = Lab(
            work=directory, fs_type=fs_type, image=image or directory / "disk.img", config=config
        )
        if image is None:
            with made.image.open("wb") as file:
                file.truncate(SIZES[fs_type])
        images.tool(*images.MKFS[fs_type], str(made.image))
        made.mount()
        stack.callback(made.stop)
        yield made
