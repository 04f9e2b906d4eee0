# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian trees made by mmdebstrap, built once and kept as tarballs under .cache/trees."""

import fcntl
import hashlib
import os
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from tests.support import apt_proxy, needs
from tests.support.checkout import CACHE

BUILD_TIMEOUT = 1800


class Suite(StrEnum):
    """The suites of Debian that the package is for."""

    BOOKWORM = "bookworm"
    TRIXIE = "trixie"
    FORKY = "forky"
    SID = "sid"


RELEASES = (Suite.BOOKWORM, Suite.TRIXIE)
"""The suites that are released."""
SUITES = tuple(Suite(name) for name in os.environ.get("SUITES", "").split()) or RELEASES
"""The suites that a test for each suite runs on: `SUITES=sid` for others than the released ones."""


class Kind(StrEnum):
    """What is in a tree."""

    LEAST = "least"
    BARE = "bare"
    MINIMAL = "minimal"
    FULL = "full"


RUNTIME = ("python3", *needs.control("Depends"))
GRUB = tuple(name for name in RUNTIME if name.startswith("grub"))
PACKAGES = {
    # The essential packages, apt, and what the package depends on: nothing is there by chance.
    Kind.LEAST: RUNTIME,
    Kind.BARE: (),
    Kind.MINIMAL: GRUB,
    # A kernel, its initrd and what boots a cloud guest, besides all that the package depends on.
    Kind.FULL: (
        *RUNTIME,
        "linux-image-cloud-amd64",
        "initramfs-tools",
        "systemd-sysv",
        "udev",
        "cloud-init",
        "zstd",
    ),
}
BOOTABLE = (
    *(name for name in RUNTIME if name not in GRUB),
    "linux-image-amd64",
    "initramfs-tools",
    "systemd-sysv",
    "udev",
    "zstd",
)
"""What a tree of `MINIMAL` lacks to boot with Debian's own kernel and run the program."""
# No documentation and no translations: a third of the size, and nothing here reads them.
EXCLUDED = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")

QUICKLY = {
    "dracut": ("/etc/dracut.conf.d/quickly.conf", 'compress="zstd -1 -q"'),
    "initramfs-tools": ("/etc/initramfs-tools/conf.d/quickly", "COMPRESSLEVEL=1"),
}
"""What keeps a package from packing initrds as tightly as it can: a file of its own, and the line
in that.
"""

MINBASE = "minbase"
_LAY = "tar --extract --numeric-owner --xattrs --xattrs-include=* --file"
_INSTALL = (
    "APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -o DPkg::Chroot-Directory=$1 -o Dir::Bin::dpkg=env"
    " -o DPkg::Options::=--unset=TMPDIR -o DPkg::Options::=dpkg --quiet --yes install"
)
"""How mmdebstrap itself adds packages to a tree."""
ENVIRONMENT = {"DEBIAN_FRONTEND": "noninteractive"}
NO_INITRD = {"INITRD": "No"}
"""Tells the kernel's hook to make none: it would be made then, and again when all is installed."""
_MAKE_INITRD = (
    "update-initramfs -c -k all; for image in boot/initrd.img-*; do"
    " ln -sf $image initrd.img; ln -sf $image initrd.img.old; done"
)
"""With the links that the kernel's package makes for an initrd that is there."""
MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What makes one tarball what it is."""

    suite: Suite
    packages: tuple[str, ...]
    variant: str = MINBASE
    architecture: str = ""

    @property
    def digest(self) -> str:
        """Changes with whatever changes the tarball."""
        facts: tuple[object, ...] = (self.suite, self.packages, EXCLUDED, "2", *self.quickly)
        if self.variant != MINBASE or self.architecture:
            facts += (self.variant, self.architecture)
        return hashlib.sha256(repr(facts).encode()).hexdigest()[:12]

    @property
    def quickly(self) -> tuple[tuple[str, str], ...]:
        """Those of `QUICKLY` that are for its packages."""
        return tuple(QUICKLY[name] for name in sorted(QUICKLY.keys() & self.packages))

    @property
    def has_initrd(self) -> bool:
        """Whether initramfs-tools makes an initrd for its kernel."""
        has_kernel = any(name.startswith("linux-image-") for name in self.packages)
        return has_kernel and "initramfs-tools" in self.packages

    @property
    def base(self) -> "Recipe | None":
        """What it is begun with, where others are, too: the first packages take longest."""
        if self.variant != MINBASE or self.is_base:
            return None
        return replace(self, packages=())

    @property
    def is_base(self) -> bool:
        """Whether other trees are begun with it."""
        return self.variant == MINBASE and not self.packages


def tarball(
    suite: Suite, kind: Kind, *, extra: tuple[str, ...] = (), architecture: str = ""
) -> Path:
    """The tarball of one tree, with `extra` packages; built where it is not cached, which takes
    a minute or two.

    Safe against another process that wants the same one.
    """
    return _made(
        Recipe(
            suite=suite,
            packages=(*PACKAGES[kind], *extra),
            variant="apt" if kind is Kind.LEAST else MINBASE,
            architecture=architecture,
        ),
        kind,
    )


def _made(recipe: Recipe, kind: Kind) -> Path:
    directory = CACHE / "trees"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{recipe.suite}-{kind}-{recipe.digest}.tar"
    with (directory / f".{path.stem}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            _build(recipe, path)
    return path


def unpack(tree_tarball: Path, directory: Path) -> None:
    """Lay a tree into `directory`, owners, modes and capabilities as they were; root's work.

    Where /boot is a file system of its own, it has copies, as if the packages had been installed
    there: forky's linux-base links a kernel into /boot, and copies it where it can't.
    """
    command = [*_LAY.split(), str(tree_tarball), "--directory", str(directory)]
    boot, aside = directory / "boot", directory / "boot.laid"
    if not os.path.ismount(boot):
        subprocess.run(command, check=True, timeout=300)
        return
    aside.mkdir()
    # Also what a hard link names, but not a symbolic one.
    command.append(f"--transform=flags=rhS;s,^[.]/boot/,./{aside.name}/,")
    subprocess.run(command, check=True, timeout=300)
    subprocess.run(["cp", "--archive", f"{aside}/.", str(boot)], check=True, timeout=300)
    shutil.rmtree(aside)


@contextmanager
def unpacked(tree_tarball: Path, directory: Path) -> Iterator[Path]:
    """A tree in a new `directory`, which is gone after the block; nothing mounted below it is
    touched.
    """
    directory.mkdir()
    unpack(tree_tarball, directory)
    try:
        yield directory
    finally:
        subprocess.run(
            ["rm", "--recursive", "--force", "--one-file-system", directory],
            check=False,
            timeout=300,
        )


def file(suite: Suite, path: str, directory: Path) -> Path:
    """One file of a release, laid into `directory`."""
    command = [
        "tar",
        "--extract",
        "--directory",
        str(directory),
        "--file",
        str(tarball(suite, Kind.FULL)),
        f"./{path}",
    ]
    subprocess.run(command, check=True, timeout=300)
    return directory / path


def _build(recipe: Recipe, path: Path) -> None:
    partial = path.with_suffix(".partial")
    base = recipe.base and _made(recipe.base, Kind.BARE)
    command = ["mmdebstrap", "--quiet", "--format=tar"]
    if base:
        command += [
            "--variant=custom",
            f"--setup-hook={_LAY} {shlex.quote(str(base))} --directory $1",
        ]
        command.append(f"--customize-hook={_INSTALL} {' '.join(recipe.packages)} >&2")
    else:
        command.append(f"--variant={recipe.variant}")
        command += [f"--include={','.join(recipe.packages)}"] if recipe.packages else []
    if recipe.is_base:  # the next `apt-get update` asks whether they are still the same
        command.append("--skip=cleanup/apt/lists")
    if recipe.has_initrd:
        command.append(f"--customize-hook=chroot $1 sh -ec '{_MAKE_INITRD}' >&2")
    for file_path, line in recipe.quickly:
        directory = os.path.dirname(file_path)
        command.append(f"--setup-hook=mkdir -p $1{directory} && echo '{line}' >$1{file_path}")
    command += [f"--architectures={recipe.architecture}"] if recipe.architecture else []
    if recipe.suite not in RELEASES:  # its index is valid for a week, and a mirror may be late
        command.append("--aptopt=Acquire::Check-Valid-Until false")
    command += ["--aptopt=Acquire::Languages none", "--aptopt=APT::Install-Recommends false"]
    command += [f"--dpkgopt=path-exclude={pattern}" for pattern in EXCLUDED]
    # Nothing of the machine that built it: a guest makes its own identity.
    command += [
        "--customize-hook=rm -f $1/etc/hostname $1/etc/resolv.conf",
        "--customize-hook=: >$1/etc/machine-id",
    ]
    # The release as it came out: a mirror may be late with another architecture's updates.
    sources = [MIRROR] if recipe.architecture else []
    done = subprocess.run(
        [*command, str(recipe.suite), str(partial), *sources],
        check=False,
        capture_output=True,
        text=True,
        timeout=BUILD_TIMEOUT,
        env=apt_proxy.environment() | ENVIRONMENT | (NO_INITRD if recipe.has_initrd else {}),
    )
    if done.returncode != 0:
        partial.unlink(missing_ok=True)
        raise RuntimeError(f"mmdebstrap failed for {recipe.suite}: {done.stderr[-3000:]}")
    partial.rename(path)
