# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-mkconfig, run as Debian's update-grub runs it, with a file in staging in the place of
grub.cfg.
"""

import os
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from guest_hooks.errors import LackingError, NotRepairedError
from guest_hooks.formats import grub_cfg
from guest_hooks.machine import grub_tools, sandbox, staging
from guest_hooks.machine.root import NotRegularError, Owner, Root
from guest_hooks.machine.run import CommandError, NotEndedError, run
from guest_hooks.records import dataclass
from guest_hooks.sizes import MAX_READ

PROGRAM = "/usr/sbin/grub-mkconfig"
PLACES = ("/tmp", "/mnt", "/media")  # noqa: S108 - a directory of ours, laid there in a namespace
"""Where staging may stand in a tree; every Debian system has them (base-files)."""
DIRECTORY, NAME = "menu", "grub.cfg"
STAGED = f"/{DIRECTORY}/{NAME}"
MODE = 0o600
NEED = 128 * 1024
"""Bytes; more than a menu and what grub-mkconfig writes beside it take."""
MOST_MENU = 16 << 20
"""Bytes; a script that prints without an end would fill /run, which is the whole system's."""
_BOUNDED = ("sh", "-c", f'ulimit -f {MOST_MENU // 512}; exec "$@"', "sh")
MOST_WORDS = 3
"""Lines of a failing script that are passed on; the last ones say most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What update-grub would have left: the bytes, the mode, the numbers of owner and group."""

    data: bytes
    mode: int
    owner: Owner


@dataclass(frozen=True, slots=True, kw_only=True)
class _Workshop:
    """Where one menu is made: `place` is the directory as the root names it, `stage` has it as
    DIRECTORY.
    """

    stage: staging.Stage
    place: str

    def make(self, *before: str, **environment: str) -> None:
        """Run grub-mkconfig, by the program that the words `before` it name, if any."""
        root = self.stage.root
        argv = [*_BOUNDED, *before, PROGRAM, "-o", f"{self.place}/{NAME}"]
        with sandbox.namespace():
            run(
                argv if root.is_live else self.stage.command(argv),
                name="grub-mkconfig",
                timeout=grub_tools.CONFIG_TIMEOUT,
                env=grub_tools.locale(root) | environment,
                with_offspring=True,
            )


def make(root: Root, path: str) -> Made:
    """The grub.cfg that update-grub would leave at `path` now; nothing of the guest is written.

    Raises `NotRepairedError` with the name and the words of the script in /etc/grub.d that fails.
    """
    if not root.exists(PROGRAM):
        raise LackingError("grub-mkconfig is not installed", hint="apt install grub2-common")
    with _workshop(root) as workshop:
        try:
            workshop.make()
        except CommandError as error:
            raise _explained(workshop, error) from error
        staged, there = workshop.stage.top, root.stat(path)
        try:
            data, status = staged.read(STAGED), staged.stat(STAGED)
        except (OSError, NotRegularError) as error:
            raise NotRepairedError(
                f"grub-mkconfig made no grub.cfg: {error}",
                hint="see what it says: grub-mkconfig -o /dev/null",
            ) from error
        # grub-mkconfig writes in place: what is there keeps its mode and its owner.
        kept = there if there is not None and stat.S_ISREG(there.st_mode) else None
        made = kept or status
        return Made(
            data=data,
            mode=stat.S_IMODE(made.st_mode) if made else MODE,
            owner=(kept.st_uid, kept.st_gid) if kept else (0, 0),
        )


@contextmanager
def _workshop(root: Root) -> Iterator[_Workshop]:
    place = "" if root.is_live else _place(root)
    with staging.stage(root, NEED, [sandbox.Bind(name=DIRECTORY, path=place)]) as stage:
        yield _Workshop(stage=stage, place=place or f"{stage.top.path}/{DIRECTORY}")


def _place(root: Root) -> str:
    for path in PLACES:
        if root.exists(path):
            return path
    raise LackingError(
        f"{root.path} has none of {', '.join(PLACES)}",
        hint=f"mkdir {shlex.quote(root.path + PLACES[0])}",
    )


def _explained(workshop: _Workshop, error: CommandError) -> CommandError | NotRepairedError:
    """What went wrong, by the menu as far as it came: a script that failed, or lines that GRUB
    can't parse.
    """
    root = workshop.stage.root
    made = workshop.stage.top.read_text(f"{STAGED}.new", limit=MAX_READ)
    if made is None:
        return error
    script = grub_cfg.unclosed_section(made)
    if script and isinstance(error, NotEndedError):
        return NotRepairedError(
            f"{script} was ended, and grub-mkconfig makes no grub.cfg without it: {error.message}",
            hint=_look(script),
        )
    if script:
        words = _words(root, script) if error.code else ""
        what = f"exit code {error.code}" if error.code else error.message
        return NotRepairedError(
            f"{script} failed, and grub-mkconfig makes no grub.cfg without it: {words or what}",
            hint=_look(script),
        )
    for script, text in grub_cfg.sections(made):
        # GRUB's parser refuses a text without a command, which a script may well print.
        fault = grub_tools.script_error(root, f"{text}\ntrue\n".encode())
        if fault:
            name = shlex.quote(script)
            return NotRepairedError(
                f"{script} prints what GRUB can't parse, and grub-mkconfig makes no grub.cfg of it:"
                f" {fault}",
                hint=f"see what it prints: {name}; or leave it out: chmod -x {name}",
            )
    return error


def _look(script: str) -> str:
    return f"see what it does: sh -x {PROGRAM}; or leave it out: chmod -x {shlex.quote(script)}"


def _words(root: Root, script: str) -> str:
    """What `script`, with which grub-mkconfig ends, writes to stderr; empty where it writes
    nothing.

    All scripts share one stderr: the shell's trace of a second run tells where the last one's words
    begin. It has a staging of its own, for a tree's can be shown to one program alone.
    """
    mark = f"trace.{os.urandom(8).hex()} "
    try:
        with _workshop(root) as again:
            again.make("sh", "-x", PS4=mark)
    except CommandError as error:
        lines = error.stderr.splitlines()
        started = [number for number, line in enumerate(lines) if line == f"{mark}{script}"]
        own = [line.strip() for line in lines[started[-1] + 1 :]] if started else []
        return "; ".join([line for line in own if line and not line.startswith(mark)][-MOST_WORDS:])
    return ""
