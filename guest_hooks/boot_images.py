# SPDX-License-Identifier: GPL-3.0-or-later
"""What a kernel or an initrd is, as far as it could be looked at."""

from typing import TypeVar

from guest_hooks.records import dataclass

IRREGULAR = "irregular"
"""The fault of a directory, a device and the like."""
ASTRAY = "astray"
"""The fault of a file that is there for the guest and not for GRUB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """What one kernel image is.

    `fault` is the code of what is wrong with the file, `cause` says it in words; `unread` says why
    its inside could not be looked at, and `hint` what to install; `is_verified` that these are the
    Debian package's bytes. Without its inside no note is known. `sha256` is that of a file that
    GRUB can't unpack for PV, else empty; `source` that of the kernel which a copy for PV names.
    """

    fault: str = ""
    cause: str = ""
    unread: str = ""
    hint: str = ""
    is_empty: bool = False
    is_bzimage: bool = False
    is_verified: bool = False
    loads_high: bool = True
    protocol: int = 0
    bits: int = 0
    compression: str = ""
    release: str = ""
    has_notes: bool = False
    has_entry: bool = False
    has_phys32_entry: bool = False
    loader: str = ""
    sha256: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SameFacts:
    """That GRUB's drivers, on the raw device, have read the bytes that the guest has."""

    unread: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitrdFacts:
    """What is in one initrd; `fault`, `cause`, `unread` and `hint` as for a kernel. `size` and
    `unpacked` are its bytes as a file and in its archives.
    """

    fault: str = ""
    cause: str = ""
    unread: str = ""
    hint: str = ""
    compression: str = ""
    kernels: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    size: int = 0
    unpacked: int = 0
    is_by_dracut: bool = False
    names_root: bool = False


Facts = TypeVar("Facts", KernelFacts, InitrdFacts, SameFacts)
