# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration files of a tree, read; `config` says what they may hold."""

from guest_hooks.config import LOCAL_DIR, MAIN_FILE, VENDOR_DIR, Config, Source, parse
from guest_hooks.errors import UsageError
from guest_hooks.machine.root import EXHAUSTED, NotRegularError, Root

MAX_CONFIG = 1024 * 1024


def configuration(root: Root, file: str | None = None) -> Config:
    """The configuration of this tree, or of `file` (a path of this process) alone; raises
    `UsageError`.
    """
    if file is not None:
        try:
            with open(file, "rb") as handle:
                return parse([Source(name=file, data=handle.read(MAX_CONFIG))])
        except OSError as error:
            if error.errno in EXHAUSTED:
                raise
            raise UsageError(
                f"{file}: can't be read: {error.strerror}", hint="name another: --config FILE"
            ) from error
    return parse(
        source for path in configuration_files(root) if (source := _source(root, path)) is not None
    )


def configuration_files(root: Root) -> tuple[str, ...]:
    """The configuration files, there or not, in the order they are laid over each other."""
    vendor, local = (
        [f"{directory}/{name}" for name in root.names(directory) if name.endswith(".toml")]
        for directory in (VENDOR_DIR, LOCAL_DIR)
    )
    return (*vendor, MAIN_FILE, *local)


def _source(root: Root, path: str) -> Source | None:
    try:
        return Source(name=path, data=root.read(path, limit=MAX_CONFIG))
    except FileNotFoundError:
        return None
    except (OSError, NotRegularError) as error:
        raise UsageError(
            f"{path}: can't be read: {error}", hint=f"mend or remove {path}"
        ) from error
