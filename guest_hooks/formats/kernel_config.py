# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration that a kernel was built with: /boot/config-VERSION, and the list of modules
built into it.
"""

import re
from collections.abc import Mapping

from guest_hooks.formats.initrd import module_name


def parse(text: str, names: frozenset[str]) -> Mapping[str, str]:
    """The values (`y`, `m`, a number, a string) of those options among `names` that are set;
    names without `CONFIG_`.
    """
    return {
        match[1]: match[2].strip('"')
        for match in re.finditer(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)
        if match[1] in names
    }


def builtin_modules(text: str) -> frozenset[str]:
    """The names in a modules.builtin."""
    return frozenset(module_name(line) for line in text.splitlines() if ".ko" in line)
