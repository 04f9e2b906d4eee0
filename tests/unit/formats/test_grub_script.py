# SPDX-License-Identifier: GPL-3.0-or-later
"""What GRUB's parser takes as a script: where a file was cut off, and what makes no sense."""

import subprocess
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_cfg, grub_menu, grub_script
from tests.support import generated_menus


@pytest.mark.parametrize(
    ("text", "section"),
    [
        pytest.param("", "", id="empty"),
        pytest.param("menuentry A {}\n", "", id="written-by-hand"),
        pytest.param(
            "### BEGIN /etc/grub.d/10_linux ###\n### END /etc/grub.d/10_linux ###\n", "", id="whole"
        ),
        pytest.param(
            "### BEGIN /etc/grub.d/10_linux ###\nmenuentry A {\n}\n",
            "/etc/grub.d/10_linux",
            id="section-without-end",
        ),
    ],
)
def test_the_section_in_which_a_generated_menu_was_cut_off(text: str, section: str) -> None:
    assert grub_cfg.unclosed_section(text) == section


def test_a_file_cut_after_any_line_is_read_as_grub_reads_it() -> None:
    """GRUB's own parser is the referee of where a cut leaves a script that still parses."""
    lines = generated_menus.text("trixie-saved").splitlines(keepends=True)
    for count in range(10, len(lines), 7):
        text = "".join(lines[:count])
        accepted = (
            subprocess.run(
                ["/usr/bin/grub-script-check"],
                input=text.encode(),
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
        try:
            grub_script.parse(text)
            parsed = True
        except FormatError:
            parsed = False
        assert parsed == accepted, f"after {count} lines"


@pytest.mark.parametrize(
    "text",
    [
        "menuentry 'A {",
        'set a="b',
        "if true; then",
        "menuentry A {",
        "}",
        "fi",
        "echo a | b",
        "a\\",
        'a "b\\',
        "{" * 500,
        "if " * 500,
    ],
    ids=str,
)
def test_what_makes_no_sense_is_a_syntax_error(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        grub_script.parse(text)
    assert caught.value.code == "grub-cfg-syntax"


PIECES = st.sampled_from(
    [
        *(
            "menuentry ",
            "submenu ",
            "if ",
            "then ",
            "else ",
            "fi",
            "function f ",
            "f ",
            "while ",
            "do ",
            "done",
        ),
        *("{", "}", "\n", ";", "'", '"', "$", "${a}", "\\", "# x", "[ ", " ]", "-o ", "! "),
        *("set a=", "default=1>0", "linux /a", "search -s -f ", "source a"),
    ]
)


@given(st.lists(PIECES, max_size=60).map("".join) | st.text(max_size=200))
@settings(max_examples=200, deadline=None)
def test_any_text_is_a_menu_or_a_format_error(text: str) -> None:
    with suppress(FormatError):
        grub_menu.default(grub_cfg.read(text))
    grub_cfg.kernels(text)
    grub_cfg.unclosed_section(text)
