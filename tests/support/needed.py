# SPDX-License-Identifier: GPL-3.0-or-later
"""What the project's sources use that is not theirs: the modules they import, the programs they
start, and whose package each is.

Read from the text, so it sees what stands there plainly, not what is put together while a program
runs.
"""

import ast
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from tests.support import sources
from tests.support.checkout import CHECKOUT

OURS = ("bench", "guest_hooks", "tests")
DEBIAN_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_MODULE = re.compile(rf"(?<![\w./])(?:{'|'.join(OURS)})(?:\.\w+)*(?![\w/])")
_SHELL_COMMAND = re.compile(
    r"(?:^|[;|&(]|\$\(|<\(|\b(?:then|do|else|if|while|until|exec|env)\b|!)[ \t]*(?:\w+=\S*"
    r" +)*([a-z][\w.+-]*)(?=[ \t\n;)|]|$)",
    re.MULTILINE,
)
_STARTERS = {"tool", "host"}
"""Our own functions that start a program of this machine whose name is their first argument."""


@cache
def reached(text: str) -> frozenset[Path]:
    """Every file of ours that a recipe or script names, and all that these reach in turn; of a
    directory, its Python files.
    """
    found: set[Path] = set()
    to_do = list(_named(text))
    while to_do:
        path = to_do.pop()
        if path not in found:
            found.add(path)
            to_do += _conftests(path)
            if is_python(path):
                to_do += (file for name in imports(path) for file in _module_files(name))
            else:
                to_do += _named(path.read_text())
    return frozenset(found)


@cache
def is_python(path: Path) -> bool:
    """Whether the file is a Python module or program."""
    return path.suffix == ".py" or path.read_bytes()[:40].partition(b"\n")[0].endswith(b"python3")


@cache
def imports(path: Path) -> frozenset[str]:
    """The dotted names that a Python file imports, but for what it can do without (`try: import
    …`).
    """
    tree = sources.parsed(path)
    optional = {
        id(node)
        for block in ast.walk(tree)
        if isinstance(block, ast.Try)
        and any("ImportError" in ast.unparse(each.type or block) for each in block.handlers)
        for statement in block.body
        for node in ast.walk(statement)
    }
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and id(node) not in optional:
            found |= {alias.name for alias in node.names}
        elif (
            isinstance(node, ast.ImportFrom)
            and not node.level
            and node.module
            and id(node) not in optional
        ):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def foreign_modules(paths: Iterable[Path]) -> set[str]:
    """The top-level modules that these files import and that neither we nor Python's own
    library have.
    """
    tops = {name.split(".")[0] for path in paths if is_python(path) for name in imports(path)}
    return tops - set(sys.stdlib_module_names) - set(OURS)


@cache
def programs(path: Path) -> frozenset[str]:
    """The programs of this machine that a shell script or a Python file names where it starts
    one.
    """
    if is_python(path):
        names = set(_started(sources.parsed(path)))
    elif sources.is_shell(path):
        text = re.sub(r"(?m)^\s*#.*$", "", path.read_text())
        names = set(_SHELL_COMMAND.findall(text)) - set(re.findall(r"(?m)^(\w+)\(\) \{", text))
    else:
        names = set()
    # A path into the checkout is a program of ours.
    return frozenset(
        name
        for name in names
        if not re.match(r"[^/].*/", name) and shutil.which(name, path=DEBIAN_PATH)
    )


def packages_of_modules(names: Iterable[str]) -> dict[str, str]:
    """The Debian package of each module, by its name; empty where it is none's."""
    specs = {name: importlib.util.find_spec(name) for name in names}
    origins = {
        name: spec and (spec.origin or next(iter(spec.submodule_search_locations or ()), None))
        for name, spec in specs.items()
    }
    owners = _owners(origin for origin in origins.values() if origin)
    return {name: owners.get(origin or "", "") for name, origin in origins.items()}


def packages_of_programs(names: Iterable[str]) -> dict[str, str]:
    """The Debian package of each program, by its name; empty where it is none's."""
    found = {}
    places = {name: shutil.which(name, path=DEBIAN_PATH) or "" for name in names}
    # dpkg knows a file by the path in its package; /bin and /sbin lead to /usr/bin and /usr/sbin
    alike = {
        name: (place, place.removeprefix("/usr"), str(Path(place).resolve()))
        for name, place in places.items()
    }
    owners = _owners(path for paths in alike.values() for path in paths)
    for name, paths in alike.items():
        found[name] = next((owners[path] for path in paths if path in owners), "")
        if found[name] == "python3-minimal":
            found[name] = (
                "python3"  # the interpreter's package has no more than a part of the library
            )
    return found


@cache
def essential() -> frozenset[str]:
    """The packages without which no Debian is, and apt, which installs the others."""
    form = "${Essential} ${Priority} ${Package}\n"
    done = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={form}"], check=True, capture_output=True, text=True
    )
    rows = (line.split() for line in done.stdout.splitlines())
    return frozenset(row[-1] for row in rows if row[0] == "yes" or "required" in row) | {"apt"}


@cache
def always_there() -> frozenset[str]:
    """The packages without which no Debian is."""
    form = "${Essential} ${Package}\n"
    command = ["dpkg-query", "--show", f"--showformat={form}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    rows = (line.split() for line in done.stdout.splitlines())
    return frozenset(row[1] for row in rows if row[0] == "yes")


def _owners(paths: Iterable[str]) -> dict[str, str]:
    command = ["dpkg-query", "--search", *sorted(set(paths))]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if not line.startswith("diversion")]
    return {
        path: names.split(",")[0].partition(":")[0]
        for names, _, path in (line.partition(": ") for line in lines)
    }


def _named(text: str) -> Iterator[Path]:
    for word in set(re.findall(r"[\w./*-]+/[\w./*-]+", text)):
        for path in (
            CHECKOUT.glob(word.strip("/.")) if not word.startswith(("/", ".venv", ".cache")) else ()
        ):
            yield from sorted(path.rglob("*.py")) if path.is_dir() else (path,)
    for name in _MODULE.findall(text):
        yield from _module_files(name)


def _module_files(name: str) -> Iterator[Path]:
    """The files that importing one of our modules, or a name out of it, runs."""
    parts = name.split(".")
    if parts[0] in OURS:
        for end in range(1, len(parts) + 1):
            base = CHECKOUT.joinpath(*parts[:end])
            yield from (
                path for path in (base / "__init__.py", base.with_suffix(".py")) if path.is_file()
            )
        if (main := CHECKOUT.joinpath(*parts, "__main__.py")).is_file():
            yield main


def _conftests(path: Path) -> Iterator[Path]:
    """What pytest loads with a test."""
    if path.name.startswith(("test_", "long_")):
        yield from (file for parent in path.parents if (file := parent / "conftest.py").is_file())


def _started(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case (
                ast.List(elts=[ast.Constant(value=str(name)), *_])
                | ast.Tuple(elts=[ast.Constant(value=str(name)), *_])
            ):
                yield name
            case ast.Call(
                func=ast.Name(id=called) | ast.Attribute(attr=called),
                args=[ast.Constant(value=str(name)), *_],
            ):
                if called in _STARTERS:
                    yield name
