# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's list of which module needs which (moddep.lst), and the modules a self-contained second
stage carries.
"""

from collections.abc import Iterable

from guest_hooks.errors import FormatError

EMBEDDED = (
    # file systems /boot or its menu may lie on, and what Debian's grub.cfg reads
    "ext2 xfs btrfs fat f2fs iso9660 "
    # partition maps
    "part_msdos part_gpt "
    # RAID, LVM, LUKS
    "lvm mdraid09 mdraid1x raid5rec raid6rec cryptodisk luks luks2 gcry_rijndael gcry_serpent"
    " gcry_twofish gcry_sha1 gcry_sha256 gcry_sha512 gcry_rmd160 gcry_whirlpool "
    # packed kernels and initrds
    "gzio xzio lzopio zstd "
    # what loads
    "linux multiboot loopback "
    # what finds
    "search search_fs_file search_fs_uuid search_label probe regexp "
    # the menu and the commands of Debian's grub.cfg, of a rescue by hand, and of a password
    "normal configfile loadenv echo test true sleep ls cat help minicmd halt reboot eval read date"
    " password_pbkdf2 "
    # what grub.cfg asks for on every platform: a module left out here would be read from /boot/grub
    "terminal gettext font video all_video gfxterm gfxterm_background gfxmenu png jpeg tga"
).split()
"""Modules asked for; those a GRUB does not have are left out, those they need are added."""


def parse(data: bytes) -> dict[str, tuple[str, ...]]:
    """Which modules each module needs; raises `FormatError` for a line of another shape."""
    table: dict[str, tuple[str, ...]] = {}
    for line in data.decode("ascii", errors="replace").splitlines():
        name, separator, needs = line.partition(":")
        if not separator:
            raise FormatError(
                "moddep-malformed", f"moddep.lst has a line without a colon: {line[:60]!r}"
            )
        table[name.strip()] = tuple(needs.split())
    return table


def closure(table: dict[str, tuple[str, ...]], names: Iterable[str]) -> frozenset[str]:
    """`names` as far as `table` has them, and everything they need."""
    found: set[str] = set()
    todo = [name for name in names if name in table]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(need for need in table.get(name, ()) if need not in found)
    return frozenset(found)
