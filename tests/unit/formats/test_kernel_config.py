# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of a kernel's configuration."""

import re

from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.formats import kernel_config

NAMES = frozenset({"XEN", "XEN_PV", "EXT4_FS", "LOCALVERSION"})
LINES = ["CONFIG_XEN=y", "CONFIG_EXT4_FS=m", 'CONFIG_LOCALVERSION="-a=b"', "CONFIG_OTHER=y"]
ODD = ["# CONFIG_XEN is not set", " CONFIG_XEN=n", "CONFIG_XEN", "CONFIG_XEN_PV=", "XCONFIG_XEN=n"]


def test_those_that_are_asked_for() -> None:
    found = kernel_config.parse("\n".join([*LINES, *ODD]), NAMES)
    assert found == {"XEN": "y", "EXT4_FS": "m", "LOCALVERSION": "-a=b", "XEN_PV": ""}


@given(st.lists(st.sampled_from([*LINES, *ODD, "\r", "\x0c", "CONFIG_XEN=2\r"])), st.text("\n\r="))
def test_a_line_is_what_kconfig_ends_with_a_newline(lines: list[str], between: str) -> None:
    text = (between + "\n").join(lines)
    rows = re.findall(r"^CONFIG_(\w+)=(.*)$", text, re.MULTILINE)
    assert kernel_config.parse(text, NAMES) == {
        name: value.strip('"') for name, value in rows if name in NAMES
    }
