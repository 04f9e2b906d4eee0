# SPDX-License-Identifier: GPL-3.0-or-later
"""What `inspect` says of a name that leads to no file: the cause, and a step that works."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from guest_hooks.errors import UsageError
from guest_hooks.sizes import MAX_READ
from guest_hooks.survey import image_files

SAVE = "save what it gives to a file, and name that file"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory whose name a shell has to be given in quotes, with one of each kind of file."""
    place = tmp_path / "the guest's"
    (place / "directory").mkdir(parents=True)
    os.mkfifo(place / "fifo")
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(place / "socket"))
    (place / "loop").symlink_to("loop")
    with (place / "huge").open("wb") as file:
        file.truncate(MAX_READ + 1)
    return place


@pytest.mark.parametrize(
    ("name", "cause", "step"),
    [
        ("directory", "Is a directory", "name a file in it: ls -l"),
        ("fifo", "is not a regular file", SAVE),
        ("socket", "No such device or address", SAVE),
        ("loop", "Too many levels of symbolic links", "see what is there: ls -l"),
        ("gone", "No such file or directory", "see what is there: ls -l"),
        ("gone/for/good", "No such file or directory", "see what is there: ls -l"),
        ("huge/file", "Not a directory", "see what is there: ls -l"),
        ("huge", "no second stage or kernel has", "find one with: ls -l"),
    ],
)
def test_what_is_no_file_has_a_next_step(place: Path, name: str, cause: str, step: str) -> None:
    with pytest.raises(UsageError) as raised:
        image_files.inspect(str(place / name))
    assert raised.value.message.startswith(str(place / name))
    assert cause in raised.value.message
    hint = raised.value.hint
    assert step in hint
    command = hint.rpartition(": ")[2]
    if command.startswith("ls"):
        done = subprocess.run(["sh", "-c", command], check=False, capture_output=True, timeout=60)
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_device_has_a_next_step() -> None:
    with pytest.raises(UsageError) as raised:
        image_files.inspect("/dev/null")
    assert raised.value.hint == SAVE
