# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own files, for the tests that judge the source text."""

import ast
import functools
import shutil
import subprocess
from pathlib import Path

from tests.support.checkout import CHECKOUT


def tracked() -> list[Path]:
    """Every file of the checkout that git does not ignore."""
    listing = subprocess.run(
        [
            "git",
            "-c",
            "safe.directory=*",
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (CHECKOUT / name for name in listing.stdout.split("\0") if name)
    return sorted(path for path in paths if path.is_file() and not path.is_symlink())


def copy(directory: Path) -> None:
    """Lay those files into `directory`, as a tarball of the source has them."""
    for path in tracked():
        made = directory / path.relative_to(CHECKOUT)
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, made)


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name (`guest_hooks.machine.run`)."""
    found = {}
    for path in sorted((CHECKOUT / "guest_hooks").rglob("*.py")):
        parts = path.relative_to(CHECKOUT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def parsed(path: Path) -> ast.Module:
    """The syntax tree of a Python file, which nobody changes."""
    return ast.parse(path.read_text(), str(path))


def shell_scripts() -> list[Path]:
    """Every file whose first line names a shell."""
    return [path for path in tracked() if is_shell(path)]


def is_shell(path: Path) -> bool:
    """Whether the first line of the file is a shell's `#!`."""
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and not {b"sh", b"bash", b"dash"}.isdisjoint(
        first.split(b"/")[-1].split()
    )
