# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's list of commands and the modules that bring them: command.lst.

Source: GRUB grub-core/normal/dyncmd.c (read_command_list).
"""

import re


def parse(text: str) -> frozenset[str]:
    """The names of the commands; an asterisk before one says that it takes options."""
    return frozenset(re.findall(r"^\*?([^\s:*]+):", text, re.MULTILINE))
