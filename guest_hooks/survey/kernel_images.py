# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels that grub-mkconfig lists, the initrd it gives each, and whether a kernel's
installation is complete.
"""

import fnmatch
import os
import re
import shlex
import stat

from guest_hooks.errors import LackingError
from guest_hooks.machine import dpkg
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass

PATTERNS = (("/boot", "vmlinuz-*"), ("", "vmlinuz-*"), ("/boot", "kernel-*"))
"""Where 10_linux looks on x86, in its order (Debian's grub: /etc/grub.d/10_linux)."""
GARBAGE = ("*.dpkg-*", "*.rpmsave", "*.rpmnew", "*.sig")
"""What grub_file_is_not_garbage of grub-mkconfig_lib leaves out; tests hold this to Debian's
own function.
"""
SIGNED = ".efi.signed"
"""2.06's 10_linux lists no such file, 2.12's does: it is neither missed in a menu nor too much."""
MOST_KERNELS = 1000
_INITRDS = (
    *("initrd.img-{version}", "initrd-{version}.img", "initrd-{version}.gz", "initrd-{version}"),
    *("initramfs-{version}.img", "initrd.img-{old}", "initrd-{old}.img", "initrd-{old}"),
    *("initramfs-{old}.img", "initramfs-genkernel-{version}", "initramfs-genkernel-{old}"),
    *("initramfs-genkernel-{arch}-{version}", "initramfs-genkernel-{arch}-{old}"),
)
"""The names that 2.06's and 2.12's 10_linux both know, in 2.06's order."""
_PACKAGES = (
    "linux-image-{version}",
    "linux-image-{version}-unsigned",
    "linux-image-unsigned-{version}",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incomplete:
    """Why the kernel at `path` can't be booted yet, and the next step."""

    path: str
    why: str
    hint: str


def directories() -> tuple[str, ...]:
    """Where `paths` looks; the root directory is an empty name."""
    return tuple(dict.fromkeys(directory for directory, _ in PATTERNS))


def paths(root: Root) -> tuple[str, ...]:
    """The kernels that grub-mkconfig lists, by the guest's paths.

    Raises `LackingError` where there are too many to be a guest's: each is looked at.
    """
    found = [
        f"{directory}/{name}"
        for directory, pattern in PATTERNS
        for name in root.names(directory or "/")
        if fnmatch.fnmatchcase(name, pattern) and not _is_garbage(name)
    ]
    if len(found) > MOST_KERNELS:
        where = root.outside("/boot")
        raise LackingError(
            f"there are {len(found)} kernels in {where}, and at most {MOST_KERNELS} are looked at",
            hint=f"remove what is none: ls {shlex.quote(where)}",
        )
    return tuple(path for path in found if _is_file(root, path))


def names(root: Root) -> tuple[str, ...]:
    """The names of the kernel images there are, each once."""
    return tuple(dict.fromkeys(os.path.basename(path) for path in paths(root)))


def initrds(root: Root, path: str) -> tuple[str, ...]:
    """The initrds there are for the kernel at `path`; grub-mkconfig gives it the first."""
    version = version_of(path)
    old, machine = version.removesuffix(".old"), os.uname().machine
    arch = "x86" if fnmatch.fnmatchcase(machine, "i?86") else machine
    names = (name.format(version=version, old=old, arch=arch) for name in _INITRDS)
    there = (os.path.join(os.path.dirname(path), name) for name in dict.fromkeys(names))
    return tuple(filter(root.exists, there))


def version_of(path: str) -> str:
    """The version in a kernel's name, cut out as by 10_linux."""
    return re.sub(r"^[^0-9]*-", "", os.path.basename(path))


def incomplete(root: Root, path: str) -> Incomplete | None:
    """Why the kernel at `path` is not complete: its package, its file or its initrd; None where
    nothing is known against it.
    """
    names = [name.format(version=version_of(path)) for name in _PACKAGES]
    for name, state in dpkg.states(root, names).items():
        if state in dpkg.INCOMPLETE:
            again = f"apt install --reinstall {name}"
            hint = again if state == dpkg.HALF_INSTALLED else "dpkg --configure -a"
            return Incomplete(path=path, why=f"its package {name} is {state}", hint=hint)
    # It needs the decompressors, and few runs come here.
    from guest_hooks.preflight.next_boot import unfit  # noqa: PLC0415

    found = unfit(root, path, next(iter(initrds(root, path)), ""))
    return Incomplete(path=path, why=found.message, hint=found.hint) if found else None


def is_whole(root: Root, initrd: str) -> bool:
    """Whether nothing is known to be wrong with the initrd file itself."""
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415 - as above

    facts = Memory(root).initrd(initrd)
    return facts is not None and not facts.fault


def _is_garbage(name: str) -> bool:
    # A blank ends a name in 10_linux's list: such a kernel is never listed by its own name.
    odd = any(character.isspace() for character in name)
    return odd or any(fnmatch.fnmatchcase(name, pattern) for pattern in GARBAGE)


def _is_file(root: Root, path: str) -> bool:
    status = root.stat(path)
    return status is not None and stat.S_ISREG(status.st_mode)
