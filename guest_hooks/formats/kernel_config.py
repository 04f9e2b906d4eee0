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
    # By names, for a configuration has ten thousand lines, and Python would look at each.
    wanted = rf"\nCONFIG_({'|'.join(map(re.escape, sorted(names)))})=(.*)"
    return {found[1]: found[2].strip('"') for found in re.finditer(wanted, f"\n{text}")}


def builtin_modules(text: str) -> frozenset[str]:
    """The names in a modules.builtin."""
    return frozenset(module_name(line) for line in text.splitlines() if ".ko" in line)
