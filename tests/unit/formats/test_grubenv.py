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
    "data",
    [b"", bytes(1024), b"saved_entry=0\n", grubenv.HEADER],
    ids=["empty", "zeros", "no-header", "header-alone"],
)
def test_a_grubenv_that_grub_refuses(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "grubenv").write_bytes(data)
    command = ["/usr/bin/grub-editenv", str(tmp_path / "grubenv"), "list"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    with pytest.raises(FormatError) as caught:
        grubenv.parse(data)
    assert caught.value.code == "grubenv-invalid"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("saved_entry=1", id="the-last-line-does-not-end"),
        pytest.param("\nsaved_entry=1\nnext_entry=2\n", id="an-empty-line"),
        pytest.param("saved_entry\nnext_entry=2\n#####", id="a-name-without-a-value"),
        pytest.param("saved_entry=1\r\n#", id="line-ends-of-another-system"),
        pytest.param("# saved_entry=1\\\nsaved_entry=2\n", id="a-comment-that-goes-on"),
        pytest.param("saved_entry=a\\\nb\\\\\n", id="escapes"),
        pytest.param("saved\\_entry=1\n", id="a-backslash-in-a-name"),
        pytest.param("saved_entry=1\0 2\n", id="zero-byte"),
    ],
)
def test_the_variables_are_those_that_grub_reads(tmp_path: Path, body: str) -> None:
    data = grubenv.HEADER + body.encode()
    (tmp_path / "grubenv").write_bytes(data)
    command = ["/usr/bin/grub-editenv", str(tmp_path / "grubenv"), "list"]
    listed = subprocess.run(command, capture_output=True, check=True).stdout
    found = grubenv.parse(data).items()
    assert "".join(f"{name}={value}\n" for name, value in found).encode() == listed


@given(st.binary(max_size=300))
def test_any_bytes_behind_the_header_are_variables(data: bytes) -> None:
    assert all("=" not in name for name in grubenv.parse(grubenv.HEADER + b"\n" + data))
