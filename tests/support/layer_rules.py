# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules of the layers: what of a module's source breaks each. HACKING.md has the picture."""

import ast
from collections.abc import Callable, Container, Iterator

from tests.support import sources

LAYERS = (
    (
        "errors",
        "records",
        "repairs",
        "model",
        "boot_images",
        "origin",
        "targets",
        "config",
        "nearest",
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
HANDED = {f"guest_hooks.machine.{name}" for name in "boot_files receipts root run settling".split()}
"""What is handed down to be asked, and what the last sync noted: the only types of the machine's
that another package may name without a use for their modules.
"""
LOOKING = ("preflight", "survey")
"""The use cases that change nothing."""
WRITERS = {
    f"guest_hooks.machine.{name}"
    for name in "barrier durable freeze installer lock mkconfig removal settling staging".split()
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


def writers(module: str, tree: ast.AST) -> list[str]:
    """What a module of a use case that only looks imports, or calls, and that can write."""
    saves = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"save"}
    found = WRITERS & set(imported(tree, module)) | saves
    return sorted(found) if package(module) in LOOKING else []


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


def annotations(tree: ast.Module) -> Iterator[ast.expr | None]:
    """Every annotation in `tree`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign | ast.arg):
            yield node.annotation
        elif isinstance(node, ast.FunctionDef):
            yield node.returns


def types(module: str, tree: ast.Module) -> list[str]:
    """The modules of the machine's that a module of another package imports for a type alone."""
    written = {id(part) for each in annotations(tree) if each for part in ast.walk(each)}
    used = {
        node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and id(node) not in written
    }
    named: dict[str, set[str]] = {}
    for node in (each for each in ast.walk(tree) if isinstance(each, ast.ImportFrom)):
        for alias in node.names:
            whole = f"{node.module}.{alias.name}"
            source = whole if whole in MODULES else f"{node.module}"
            named.setdefault(source, set()).add(alias.asname or alias.name)
    return sorted(
        name
        for name, names in named.items()
        if name in MODULES.keys() - HANDED
        and package(name) == "machine" != package(module)
        and names.isdisjoint(used)
    )


def compiled_at_the_start(_module: str, tree: ast.AST) -> list[str]:
    """What in `tree` has classes compiled each time the program starts, or `records` lacks."""
    names = {getattr(node, "id", getattr(node, "name", "")) for node in ast.walk(tree)}
    return sorted(
        {"dataclasses"} & set(imported(tree)) | {"ClassVar", "InitVar", "__post_init__"} & names
    )


def skips(tree: ast.AST) -> list[str]:
    """What in a test lets it pass without having run."""
    names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return sorted(names & {"skip", "skipif", "xfail", "importorskip"})
