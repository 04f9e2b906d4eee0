# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files of a tree, read; `config` says what they may hold."""

from collections.abc import Iterator

from guest_hooks.config import LOCAL_DIR, MAIN_FILE, VENDOR_DIR, Config, Source, parse, values
from guest_hooks.errors import UsageError
from guest_hooks.machine.path_errors import EXHAUSTED
from guest_hooks.machine.root import NotRegularError, Root

MAX_CONFIG = 1024 * 1024
MOST_FILES = 1000


def configuration(root: Root, file: str | None = None) -> Config:
    """The configuration of this tree, or of `file` (a path of this process) alone; raises
    `UsageError`.
    """
    return parse(_sources(root, file))


def origins(root: Root, file: str | None = None) -> dict[str, str]:
    """The file that the value of each key comes from; a key that no file sets has none."""
    return {key: source.name for source in _sources(root, file) for key in values(source)}


def _sources(root: Root, file: str | None) -> Iterator[Source]:
    if file is None:
        found = (_source(root, path) for path in configuration_files(root))
        yield from (source for source in found if source is not None)
        return
    try:
        with open(file, "rb") as handle:
            yield Source(name=file, data=handle.read(MAX_CONFIG))
    except OSError as error:
        if error.errno in EXHAUSTED:
            raise
        raise UsageError(
            f"{file}: can't be read: {error.strerror}", hint="name another: --config FILE"
        ) from error


def configuration_files(root: Root) -> tuple[str, ...]:
    """The configuration files, there or not, in the order they are laid over each other."""
    vendor, local = (
        [f"{directory}/{name}" for name in root.names(directory) if name.endswith(".toml")]
        for directory in (VENDOR_DIR, LOCAL_DIR)
    )
    if len(vendor) + len(local) > MOST_FILES:
        raise UsageError(
            f"more than {MOST_FILES} files in {VENDOR_DIR} and {LOCAL_DIR}",
            hint="put what they say into one",
        )
    return (*vendor, MAIN_FILE, *local)


def _source(root: Root, path: str) -> Source | None:
    try:
        return Source(name=path, data=root.read(path, limit=MAX_CONFIG))
    except FileNotFoundError:
        return None
    except (OSError, NotRegularError) as error:
        raise UsageError(
            f"{path}: can't be read: {error}", hint=f"correct or remove {path}"
        ) from error
