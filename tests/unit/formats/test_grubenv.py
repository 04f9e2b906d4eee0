# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's environment block: what grub-editenv writes, and what GRUB refuses."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.errors import FormatError
from guest_hooks.formats import grubenv


def test_grubenv_of_the_real_tool(tmp_path: Path) -> None:
    path = str(tmp_path / "grubenv")
    subprocess.run(["/usr/bin/grub-editenv", path, "create"], check=True)
    subprocess.run(
        ["/usr/bin/grub-editenv", path, "set", "saved_entry=a>b \\ c", "empty="], check=True
    )
    data = (tmp_path / "grubenv").read_bytes()
    assert grubenv.parse(data) == {"saved_entry": "a>b \\ c", "empty": ""}


@pytest.mark.parametrize(
    "data", [b"", bytes(1024), b"saved_entry=0\n"], ids=["empty", "zeros", "no-header"]
)
def test_a_grubenv_that_grub_refuses(data: bytes) -> None:
    with pytest.raises(FormatError) as caught:
        grubenv.parse(data)
    assert caught.value.code == "grubenv-invalid"


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_header_are_variables(data: bytes) -> None:
    assert all("=" not in name for name in grubenv.parse(grubenv.HEADER + data))
