# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer test: who imports whom, and who alone may do what. HACKING.md has the picture."""

import ast

import pytest

from tests.support import sources
from tests.support.checkout import CHECKOUT
from tests.support.layer_rules import (
    MAX_LINES,
    MODULES,
    Rule,
    broken,
    compiled_at_the_start,
    constants,
    impure_imports,
    impurities,
    process_starts,
    replacements,
    sideways,
    skips,
    types,
    writers,
    wrong_imports,
)

STARTERS = {
    # It forks, and runs no program: what thaws a file system must not need one.
    "guest_hooks.machine.freeze": ["os.fork"],
    # A program of its own that `run` starts: it ends by becoming the one that it has confined.
    "guest_hooks.machine.confine": ["os.fork", "os.execvp"],
}


def test_imports_point_down() -> None:
    assert broken(wrong_imports) == {}


def test_packages_of_one_layer_keep_apart() -> None:
    assert broken(sideways) == {}


def test_who_only_looks_imports_no_writer() -> None:
    assert broken(writers) == {}


def test_what_is_pure_reads_nothing() -> None:
    assert broken(impurities) == {}


def test_what_is_pure_rests_on_what_is_pure() -> None:
    assert broken(impure_imports) == {}


def test_nothing_is_imported_for_a_constant_alone() -> None:
    assert broken(constants) == {}


def test_nothing_of_the_machine_is_imported_for_a_type_alone() -> None:
    assert broken(types) == {}


def test_only_run_starts_processes() -> None:
    assert broken(lambda _, tree: process_starts(tree), but={"guest_hooks.machine.run"}) == STARTERS


def test_only_durable_replaces_files() -> None:
    assert broken(lambda _, tree: replacements(tree), but={"guest_hooks.machine.durable"}) == {}


def test_no_start_waits_for_dataclasses() -> None:
    assert broken(compiled_at_the_start, but={"guest_hooks.records"}) == {}


def test_modules_are_one_noun_long() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_no_test_is_skipped() -> None:
    found = {
        str(path): skips(sources.parsed(path)) for path in sorted(CHECKOUT.glob("tests/**/*.py"))
    }
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import os", id="os"),
        pytest.param("def f():\n    from pathlib import Path", id="hidden-in-function"),
        pytest.param("def f(path):\n    return open(path)", id="open"),
    ],
)
def test_the_layer_test_sees_what_is_not_pure(code: str) -> None:
    assert impurities("guest_hooks.formats.elf", ast.parse(code))
    assert not impurities("guest_hooks.machine.root", ast.parse(code))


@pytest.mark.parametrize(
    ("rule", "module", "code"),
    [
        pytest.param(
            sideways, "guest_hooks.host.a", "from guest_hooks.sync import commit", id="sideways"
        ),
        pytest.param(
            sideways, "guest_hooks.daemon.a", "import guest_hooks.cli.verbs", id="not-both-ways"
        ),
        pytest.param(
            writers, "guest_hooks.survey.a", "from guest_hooks.machine import durable", id="writer"
        ),
        pytest.param(writers, "guest_hooks.survey.a", "def f(m): m.save()", id="saves"),
        pytest.param(impurities, "guest_hooks.sync.a", '"""Pure."""\nimport os', id="says-pure"),
        pytest.param(
            impure_imports,
            "guest_hooks.formats.a",
            "from guest_hooks.machine.run import run",
            id="pure-by-another",
        ),
        pytest.param(
            constants,
            "guest_hooks.sync.a",
            "from guest_hooks.machine import run\nrun.TIMEOUT",
            id="for-a-constant",
        ),
        pytest.param(
            types,
            "guest_hooks.report.a",
            "from guest_hooks.machine.guest import Claim\ndef f(a: Claim) -> Claim: ...",
            id="for-a-type",
        ),
    ],
)
def test_the_layer_test_sees_what_place_forbids(rule: Rule, module: str, code: str) -> None:
    assert rule(module, ast.parse(code))
    assert not rule("guest_hooks.machine.a", ast.parse("import os"))


def test_the_layer_test_sees_a_skip() -> None:
    assert skips(ast.parse("@pytest.mark.skipif(True)\ndef test_a(): ...")) == ["skipif"]


@pytest.mark.parametrize(
    ("module", "code"),
    [
        pytest.param(
            "guest_hooks.machine.disks", "import guest_hooks.sync", id="machine-imports-use-case"
        ),
        pytest.param(
            "guest_hooks.formats.elf",
            "def f():\n    from guest_hooks.machine import root",
            id="hidden-in-function",
        ),
        pytest.param("guest_hooks.formats.elf", "from ..machine.root import Root", id="relative"),
        pytest.param(
            "guest_hooks.sync", "from guest_hooks import cli", id="use-case-imports-front-door"
        ),
        pytest.param(
            "guest_hooks.model",
            "from guest_hooks.formats import elf",
            id="vocabulary-imports-formats",
        ),
        pytest.param(
            "guest_hooks.survey.status",
            "from guest_hooks.report import messages",
            id="use-case-imports-report",
        ),
    ],
)
def test_the_layer_test_sees_an_upward_import(module: str, code: str) -> None:
    assert wrong_imports(module, ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import subprocess", id="subprocess"),
        pytest.param("def f():\n    from subprocess import run", id="from-subprocess"),
        pytest.param("import os\nos.execvp('a', ['a'])", id="exec"),
        pytest.param("from os import posix_spawn", id="spawn"),
        pytest.param("import os\nos.system('a')", id="system"),
    ],
)
def test_the_layer_test_sees_a_process(code: str) -> None:
    assert process_starts(ast.parse(code))


@pytest.mark.parametrize(
    "code",
    [
        pytest.param("import os\nos.replace('a', 'b')", id="replace"),
        pytest.param("from os import rename", id="rename"),
        pytest.param("import shutil\nshutil.move('a', 'b')", id="move"),
        pytest.param(
            "from guest_hooks.machine import libc\nlibc.rename2(3, 'a', 4, 'b', 2)", id="rename2"
        ),
    ],
)
def test_the_layer_test_sees_a_replacement(code: str) -> None:
    assert replacements(ast.parse(code))
