# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's environment block: the file grubenv, in which GRUB and the guest leave each other
variables.
"""

from guest_hooks.errors import CodedFormatError
from guest_hooks.problems.menus import MenuProblem

HEADER = b"# GRUB Environment Block\n"  # GRUB: include/grub/lib/envblk.h


def parse(data: bytes) -> dict[str, str]:
    """The variables of an environment block; raises `FormatError` (`grubenv-invalid`) where
    GRUB would refuse it.
    """
    if not data.startswith(HEADER):
        raise CodedFormatError(
            MenuProblem.GRUBENV,
            "grubenv does not begin with GRUB's header",
            hint="make a new one with: grub-editenv - create",
        )
    variables: dict[str, str] = {}
    for line in _lines(data[len(HEADER) :]):
        name, equals, value = line.partition(b"=")
        if equals and not name.startswith(b"#"):
            variables[name.decode(errors="replace")] = value.decode(errors="replace")
    return variables


def _lines(body: bytes) -> list[bytes]:
    """The lines, with each backslash taken away from what it protects (a newline or another
    backslash).
    """
    lines, current, escaped = [], bytearray(), False
    for byte in body:
        if escaped or byte not in b"\\\n":
            current.append(byte)
            escaped = False
        elif byte == 0x5C:
            escaped = True
        else:
            lines.append(bytes(current))
            current.clear()
    lines.append(bytes(current))
    return lines
