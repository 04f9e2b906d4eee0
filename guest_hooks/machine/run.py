# SPDX-License-Identifier: GPL-3.0-or-later
"""The only module that starts a process."""

import os
import shlex
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from typing import IO, TYPE_CHECKING, NoReturn, Protocol, cast

from guest_hooks.errors import ExitCode, GuestHooksError, LackingError
from guest_hooks.records import dataclass

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager

    from guest_hooks.machine import offspring

PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"
"""Debian's own directories first, whatever the caller's PATH is; the admin's last, for what
/etc/grub.d may call.
"""
OUR_MARK = "XEN_GUEST_BOOTLOADER"
"""Tells the wrapper around grub-install that it is this software that calls, so that the two
can't call each other for ever.
"""
KEPT_VARIABLES = ("TMPDIR", "DPKG_ROOT")
MAX_OUTPUT = 16 << 20
"""Bytes of stdout, and of stderr; a long grub.cfg has a hundredth of that."""
GRACE = 2.0
"""Seconds for which what a program left running may keep the pipes open after its end."""
CHUNK = 1 << 16
OF_SIGNAL = 128
"""What a shell adds to the number of the signal that ended a program, for its exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    """What a process left: its exit code and what it said."""

    code: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output, decoded, without the last newline."""
        return self.stdout.decode(errors="replace").rstrip("\n")


class CommandError(GuestHooksError):
    """A command failed, could not be started, or took too long; `code` is its exit code (0
    without one), `stdout` and `words` are what it said, `stderr` the latter as text.
    """

    exit_code = ExitCode.NOT_REPAIRED

    def __init__(
        self,
        message: str,
        *,
        code: int = 0,
        stdout: bytes = b"",
        stderr: bytes = b"",
        hint: str = "",
    ) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.stdout = stdout
        self.words = stderr
        self.stderr = stderr.decode(errors="replace").strip()

    @property
    def said(self) -> str:
        """The last line the command wrote to stderr, or what became of it where it wrote none."""
        return _last_line(self.stderr) if self.stderr else self.message


class NotEndedError(CommandError):
    """A command took longer than it may, and was ended."""


class Run(Protocol):
    """The shape of `run`, for callers that take it as a parameter."""

    def __call__(
        self,
        command: Sequence[str],
        *,
        name: str = ...,
        timeout: float = ...,
        stdin: bytes = ...,
        env: Mapping[str, str] | None = ...,
        success_codes: Sequence[int] = ...,
    ) -> Completed:
        """As `run`."""

    def __hash__(self) -> int:
        """So that an answer can be kept beside whom was asked."""


class _TooMuchError(Exception):
    """A process said more than `MAX_OUTPUT`."""


def run(  # noqa: PLR0913 - what a process is given, and how long
    command: Sequence[str],
    *,
    name: str = "",
    timeout: float = 60,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    success_codes: Sequence[int] = (0,),
    with_offspring: bool = False,
) -> Completed:
    """Run `command` to its end with a built environment and no terminal; `timeout` is in seconds.

    `name` is what messages call it, by default its first words: for a tool behind others that only
    prepare its way. What it says is bounded, and what it leaves running can't keep this waiting.
    When it is given up, its process group ends with it; `with_offspring`, all that it started does.
    Raises `LackingError` where the program is not installed and `CommandError` where it fails, with
    the end of its stderr.
    """
    import subprocess  # noqa: PLC0415 - with threads and locales: many runs start no program

    name = name or shlex.join(command[:3])
    try:
        with _adopting() if with_offspring else nullcontext() as take:
            code, stdout, stderr = _ended(
                command, timeout, stdin, environment() | dict(env or {}), take
            )
    except FileNotFoundError as error:
        raise LackingError(
            f"{command[0]} is not installed", hint=_PACKAGES.get(command[0], "")
        ) from error
    except subprocess.TimeoutExpired as error:
        raise NotEndedError(f"{name} did not end within {timeout:g} s") from error
    except _TooMuchError as error:
        raise CommandError(f"{name} was ended: it said more than {MAX_OUTPUT} bytes") from error
    except OSError as error:
        raise CommandError(f"{name} could not be started: {error.strerror}") from error
    if code not in success_codes:
        said = _last_line(stderr.decode(errors="replace").strip())
        raise CommandError(
            f"{name} failed with exit code {code}: {said}", code=code, stdout=stdout, stderr=stderr
        )
    return Completed(code=code, stdout=stdout, stderr=stderr)


def _ended(
    command: Sequence[str],
    timeout: float,
    stdin: bytes,
    env: Mapping[str, str],
    take: "offspring.Take | None",
) -> tuple[int, bytes, bytes]:
    """Exit code, stdout and stderr; when the time is up, what the command started is ended with
    it.
    """
    import subprocess  # noqa: PLC0415 - as in `run`

    pipe = subprocess.PIPE
    process = subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=pipe, env=env, start_new_session=True
    )
    with ExitStack() as stack:
        stack.callback(_let_go, process)
        with ExitStack() as unless_ended:
            unless_ended.callback(_kill_group, process.pid)
            if take is not None:
                take(process.pid, unless_ended)
            stdout, stderr, is_all = _exchange(process, stdin, timeout)
            if is_all:
                unless_ended.pop_all()
    code = process.returncode
    return code if code >= 0 else OF_SIGNAL - code, stdout, stderr


def _exchange(
    process: "subprocess.Popen[bytes]", stdin: bytes, timeout: float
) -> tuple[bytes, bytes, bool]:
    """Write to a process and read what it says until it has ended; and whether all it left has
    closed the pipes, too.
    """
    import selectors  # noqa: PLC0415 - as in `run`
    import subprocess  # noqa: PLC0415

    assert process.stdin and process.stdout and process.stderr  # noqa: S101, PT018
    said: dict[IO[bytes], bytearray] = {process.stdout: bytearray(), process.stderr: bytearray()}
    todo = memoryview(stdin)
    deadline = time.monotonic() + timeout
    ended = os.pidfd_open(process.pid)
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        stack.callback(os.close, ended)
        selector.register(ended, selectors.EVENT_READ)
        selector.register(process.stdin, selectors.EVENT_WRITE)
        os.set_blocking(process.stdin.fileno(), False)
        for stream in said:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                if key.fd == ended:
                    deadline = min(deadline, time.monotonic() + GRACE)
                    selector.unregister(ended)
                elif key.fileobj is process.stdin:
                    todo = _write(process.stdin, todo)
                    if not todo:
                        selector.unregister(process.stdin)
                        process.stdin.close()
                elif not (data := os.read(key.fd, CHUNK)):
                    selector.unregister(key.fileobj)
                else:
                    heard = said[cast("IO[bytes]", key.fileobj)]
                    heard += data
                    if len(heard) > MAX_OUTPUT:
                        raise _TooMuchError
        is_all = not selector.get_map()
    if not is_all and process.poll() is None:
        raise subprocess.TimeoutExpired(process.args, timeout)
    return bytes(said[process.stdout]), bytes(said[process.stderr]), is_all


def _write(stream: IO[bytes], data: memoryview) -> memoryview:
    """What of `data` is still to be written; none where nobody reads."""
    if not data:
        return data
    try:
        return data[os.write(stream.fileno(), data[:CHUNK]) :]
    except BlockingIOError:
        return data
    except BrokenPipeError:
        return data[:0]


def _adopting() -> "AbstractContextManager[offspring.Take]":
    from guest_hooks.machine import offspring  # noqa: PLC0415 - for the few that start others

    return offspring.adopted()


def _let_go(process: "subprocess.Popen[bytes]") -> None:
    """Wait for a process that has ended, or was killed: one that waits for a disk in the kernel
    does not even end by that, and is left to itself.
    """
    import subprocess  # noqa: PLC0415 - as in `run`

    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def _kill_group(leader: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def become(path: str, argv: Sequence[str]) -> NoReturn:
    """Let the program at `path` take this process's place, with its environment and files;
    raises `LackingError` where it can't.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execv(path, list(argv))  # noqa: S606 - with no shell and no parent between
    except OSError as error:
        raise LackingError(
            f"{path} can't be run: {error.strerror}", hint=f"see: ls -l {shlex.quote(path)}"
        ) from error


def environment() -> dict[str, str]:
    """The environment every process gets: Debian's programs, a known locale, our mark, the
    caller's `KEPT_VARIABLES`, no more.
    """
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return {"PATH": PATH, "LC_ALL": "C.UTF-8", OUR_MARK: "1"} | kept


def _last_line(text: str) -> str:
    return text.splitlines()[-1] if text else "it said nothing"


_PACKAGES = {
    "grub-install": "apt install grub2-common",
    "grub-mkimage": "apt install grub-common",
    "grub-probe": "apt install grub-common",
    "grub-script-check": "apt install grub-common",
    "update-grub": "apt install grub2-common",
    "unshare": "apt install util-linux",
}
