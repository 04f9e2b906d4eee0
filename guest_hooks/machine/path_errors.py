# SPDX-License-Identifier: GPL-3.0-or-later
"""What an error of the kernel says of a path: that it leads nowhere, or nothing of it at all."""

import errno
from typing import NoReturn

from guest_hooks.errors import LackingError

EXHAUSTED = {
    errno.EMFILE: "this process may open no more files: ulimit -n",
    errno.ENFILE: "the machine has as many files open as it may: sysctl fs.file-nr",
    errno.ENOMEM: "the machine has no memory left: free -m",
}
"""Errors that tell of this process or machine and nothing of the file that was asked for, and
where to look.
"""


class ExhaustedError(LackingError):
    """There is no descriptor or memory left to read with; no `OSError`, which many take for a
    verdict on the file.
    """


class leading_nowhere:  # noqa: N801 - words before a block, as `suppress`; a run says them often
    """End the block where a path leads nowhere, by links that lead to each other, too."""

    __slots__ = ()

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        return isinstance(error, FileNotFoundError | NotADirectoryError) or (
            isinstance(error, OSError) and error.errno == errno.ELOOP
        )


class naming:  # noqa: N801 - as above
    """Let an error of the block name the directory `path`: what is asked by a descriptor knows
    a last component at most.
    """

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            reraise(error, self._path)


def reraise(error: OSError, path: str) -> NoReturn:
    """Raise `error` with the name of the directory `path`, or an `ExhaustedError` in its place."""
    if error.errno in EXHAUSTED:
        raise ExhaustedError(
            f"{path or '/'} could not be looked at: {error.strerror}",
            hint=EXHAUSTED[error.errno],
        ) from error
    error.filename = path or "/"
    raise error
