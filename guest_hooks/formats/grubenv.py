# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's environment block: the file grubenv, in which GRUB and the guest leave each other
variables.
"""

import re

from guest_hooks.errors import CodedFormatError
from guest_hooks.problems.menus import MenuProblem

HEADER = b"# GRUB Environment Block\n"  # GRUB: include/grub/lib/envblk.h
_LINE = re.compile(
    rb"#(?:\\.|[^\\\n])*\n|(?P<name>(?!#)[^=]*)=(?P<value>(?:\\.|[^\\\n])*)\n", flags=re.DOTALL
)
"""A comment or a variable (GRUB: grub-core/lib/envblk.c, grub_envblk_iterate). A name goes on to
the next `=`: an empty line is a part of the name that follows. What does not end ends the block.
"""
_ESCAPED = re.compile(rb"\\(.)", flags=re.DOTALL)
"""A backslash and what it protects: a newline or another backslash."""


def parse(data: bytes) -> dict[str, str]:
    """The variables of an environment block; raises `FormatError` (`grubenv-invalid`) where
    GRUB would refuse it.
    """
    if not data.startswith(HEADER) or data == HEADER:
        ends = "has nothing behind" if data == HEADER else "does not begin with"
        raise CodedFormatError(
            MenuProblem.GRUBENV,
            f"grubenv {ends} GRUB's header",
            hint="make a new one with: grub-editenv - create",
        )
    variables: dict[str, str] = {}
    end = len(HEADER)
    while line := _LINE.match(data, end):
        end = line.end()
        if line["name"] is not None:
            variables[_text(line["name"])] = _text(_ESCAPED.sub(rb"\1", line["value"]))
    return variables


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode(errors="replace")
