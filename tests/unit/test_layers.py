# SPDX-License-Identifier: GPL-3.0-or-later
"""The layer test: who imports whom, and who alone may do what. HACKING.md has the picture."""

import ast
from collections.abc import Callable, Container, Iterator

import pytest

from tests.support import sources
from tests.support.checkout import CHECKOUT

LAYERS = (
    (
        "errors",
        "records",
        "model",
        "boot_images",
        "origin",
        "targets",
        "config",
        "sizes",
        "terminal",
        "program",
        "paths",
        "volumes",
        "problems",
    ),
    ("formats",),
    ("machine",),
    ("preflight",),
    ("survey",),
    ("sync", "host"),
    ("report",),
    ("cli", "hooks", "daemon", "__main__"),
)
"""From the lowest up: what stands on one line is of one layer. The first holds the vocabulary."""
VOCABULARY, FORMATS = 0, 1
SIDEWAYS = {("cli", "daemon"), ("cli", "hooks"), ("__main__", "cli")}
"""Which package may import which of its own layer; the vocabulary is one."""
PURE = ("guest_hooks.formats", "guest_hooks.preflight.links")
"""The packages that read nothing themselves; so does any module whose docstring says "Pure."."""
LOOKING = ("preflight", "survey")
"""The use cases that change nothing."""
WRITERS = {
    f"guest_hooks.machine.{name}"
    for name in "barrier durable freeze lock mkconfig removal settling staging".split()
}

Rule = Callable[[str, ast.Module], list[str]]

MODULES = sources.modules()
MAX_LINES = 300

PROCESS_STARTERS = {
    "fork",
    "forkpty",
    "popen",
    "posix_spawn",
    "posix_spawnp",
    "startfile",
    "system",
}
STARTERS = {
    # It forks, and runs no program: what thaws a file system must not need one.
    "guest_hooks.machine.freeze": ["os.fork"],
    # A program of its own that `run` starts: it ends by becoming the one that it has confined.
    "guest_hooks.machine.confine": ["os.fork", "os.execvp"],
}
REPLACERS = {"rename", "renames", "replace", "link"}
NOT_PURE = {
    "os",
    "io",
    "pathlib",
    "shutil",
    "socket",
    "tempfile",
    "glob",
    "mmap",
    "subprocess",
    "sys",
}


def layer(module: str) -> int:
    """The layer of the package or module of ours that `module` is in."""
    parts = module.split(".")[1:]
    if not parts or parts[0] == "__version__":
        return VOCABULARY
    return next(number for number, names in enumerate(LAYERS) if parts[0] in names)


def package(module: str) -> str:
    """The package of ours, or the module beside them, that `module` is in."""
    return (module.split(".")[1:] or [""])[0]


def imported(tree: ast.AST, module: str = "guest_hooks") -> Iterator[str]:
    """Every module that `tree`, the source of `module`, imports anywhere in it, functions
    included.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(module.split(".")[: -node.level]) if node.level else ""
            source = ".".join(part for part in (base, node.module or "") if part)
            yield source
            if source.split(".")[0] == "guest_hooks":
                yield from (f"{source}.{alias.name}" for alias in node.names)


def uses(tree: ast.AST, owner: str) -> Iterator[str]:
    """Every attribute of the module `owner` that `tree` names: `os.rename`, `from os import
    rename`.
    """
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == owner
        ):
            yield node.attr
        elif isinstance(node, ast.ImportFrom) and node.module == owner:
            yield from (alias.name for alias in node.names)


def wrong_imports(module: str, tree: ast.AST) -> list[str]:
    """What `module` imports from a layer above its own."""
    return sorted(
        {
            name
            for name in imported(tree, module)
            if name.split(".")[0] == "guest_hooks" and layer(name) > layer(module)
        }
    )


def process_starts(tree: ast.AST) -> list[str]:
    """What in `tree` can start a process."""
    found = [
        name
        for name in imported(tree)
        if name.split(".")[0] in ("subprocess", "multiprocessing", "pty")
    ]
    return found + [
        f"os.{name}"
        for name in uses(tree, "os")
        if name in PROCESS_STARTERS or name.startswith(("exec", "spawn"))
    ]


def replacements(tree: ast.AST) -> list[str]:
    """What in `tree` can put a file in the place of another."""
    moves = [
        f"shutil.{name}"
        for name in uses(tree, "shutil")
        if name in ("move", "copyfile", "copy", "copy2", "copytree")
    ]
    calls = [f"libc.{name}" for name in uses(tree, "libc") if name.startswith("rename")]
    return [f"os.{name}" for name in uses(tree, "os") if name in REPLACERS] + moves + calls


def broken(rule: Rule, *, but: Container[str] = ()) -> dict[str, list[str]]:
    """What breaks a rule in each module, `but` for some; empty where none does."""
    found = {
        name: rule(name, sources.parsed(path)) for name, path in MODULES.items() if name not in but
    }
    return {name: faults for name, faults in found.items() if faults}


def test_imports_point_down() -> None:
    assert broken(wrong_imports) == {}


def sideways(module: str, tree: ast.AST) -> list[str]:
    """What `module` imports from another package of its own layer that no row allows."""
    own = package(module)
    return sorted(
        {
            name
            for name in imported(tree, module)
            if name.startswith("guest_hooks.")
            and layer(name) == layer(module) != VOCABULARY
            and package(name) != own
            and (own, package(name)) not in SIDEWAYS
        }
    )


def test_packages_of_one_layer_keep_apart() -> None:
    assert broken(sideways) == {}


def writers(module: str, tree: ast.AST) -> list[str]:
    """What a module of a use case that only looks imports, or calls, and that can write."""
    saves = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"save"}
    found = WRITERS & set(imported(tree, module)) | saves
    return sorted(found) if package(module) in LOOKING else []


def test_who_only_looks_imports_no_writer() -> None:
    assert broken(writers) == {}


def is_pure(module: str, tree: ast.Module) -> bool:
    """Whether `module` is called pure, by its place or by its docstring."""
    return module.startswith(PURE) or "Pure." in (ast.get_docstring(tree) or "")


def impurities(module: str, tree: ast.Module) -> list[str]:
    """What a pure module does that needs more than the values it is given."""
    if not is_pure(module, tree):
        return []
    calls = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    return sorted(
        {name.split(".")[0] for name in imported(tree, module)} & NOT_PURE | calls & {"open"}
    )


def test_what_is_pure_reads_nothing() -> None:
    assert broken(impurities) == {}


def impure_imports(module: str, tree: ast.Module) -> list[str]:
    """What a module of a pure package imports of ours that is neither pure nor vocabulary."""
    if not module.startswith(PURE):
        return []
    ours = {name: MODULES[name] for name in imported(tree, module) if name in MODULES}
    return sorted(
        name
        for name, path in ours.items()
        if layer(name) != VOCABULARY
        and path.name != "__init__.py"
        and not is_pure(name, sources.parsed(path))
    )


def test_what_is_pure_rests_on_what_is_pure() -> None:
    assert broken(impure_imports) == {}


def constants(module: str, tree: ast.Module) -> list[str]:
    """The modules of another package that `module` imports for a constant alone: that belongs to
    the vocabulary, or to a table of a format.
    """
    used: dict[str, set[str]] = {}
    for node in ast.walk(tree):
        if not isinstance(node, ast.ImportFrom):
            continue
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            own = alias.asname or alias.name
            names = set(uses(tree, own)) if whole in MODULES else {alias.name}
            used.setdefault(whole if whole in MODULES else str(node.module), set()).update(names)
    return sorted(
        name
        for name, names in used.items()
        if name in MODULES
        and layer(name) > FORMATS
        and package(name) != package(module)
        and all(each.isupper() for each in names)
    )


def test_nothing_is_imported_for_a_constant_alone() -> None:
    assert broken(constants) == {}


def test_only_run_starts_processes() -> None:
    assert broken(lambda _, tree: process_starts(tree), but={"guest_hooks.machine.run"}) == STARTERS


def test_only_durable_replaces_files() -> None:
    assert broken(lambda _, tree: replacements(tree), but={"guest_hooks.machine.durable"}) == {}


def compiled_at_the_start(_module: str, tree: ast.AST) -> list[str]:
    """What in `tree` has classes compiled each time the program starts, or `records` lacks."""
    names = {getattr(node, "id", getattr(node, "name", "")) for node in ast.walk(tree)}
    return sorted(
        {"dataclasses"} & set(imported(tree)) | {"ClassVar", "InitVar", "__post_init__"} & names
    )


def test_no_start_waits_for_dataclasses() -> None:
    assert broken(compiled_at_the_start, but={"guest_hooks.records"}) == {}


def test_modules_are_one_noun_long() -> None:
    lengths = {name: len(path.read_text().splitlines()) for name, path in MODULES.items()}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def skips(tree: ast.AST) -> list[str]:
    """What in a test lets it pass without having run."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return sorted(names & {"skip", "skipif", "xfail", "importorskip"})


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
