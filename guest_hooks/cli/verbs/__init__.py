# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of the command line: which use case each calls, what it says, its exit code.

A verb imports its use case itself: Python takes longer to load all of them than most verbs take to
run.
"""

import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from guest_hooks import terminal
from guest_hooks.cli import plain_words
from guest_hooks.cli.options import Options
from guest_hooks.cli.session import Session, given_by, stdout
from guest_hooks.errors import ExitCode, GuestHooksError, UsageError
from guest_hooks.machine import streams
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.failures import looked_at
from guest_hooks.machine.root import Root
from guest_hooks.program import PROGRAM
from guest_hooks.report import as_json, messages
from guest_hooks.report.next_steps import Given
from guest_hooks.report.styles import page_style, style_of

HOOKS = "What Debian's packages call. Each succeeds where there is nothing for it to do."


def run(words: Sequence[str]) -> int:
    """Parse `words`, run the verb, return its exit code; the only place where errors become
    words.
    """
    style = style_of(sys.stderr)
    wants_json = "--json" in words
    given = Given()
    try:
        if words[:1] == ["hook"] or words[:2] == ["help", "hook"]:
            if words[0] == "help" or words[1:2] in (["--help"], ["-h"]):
                return _hook_help()
            with looked_at(Root()):
                return _hook(words[1:])
        options = plain_words.parse(words) or _parsed(words)
        given = given_by(options)
        style = style_of(sys.stderr, when=options.color, verbose=options.verbose)
        page = style_of(sys.stdout, when=options.color, verbose=options.verbose)
        with looked_at(Root()):
            session = Session(
                options=options,
                root=_root(options.root),
                style=page_style(page),
                error_style=style,
            )
        with looked_at(session.root):
            ended = int(_verb(options.verb)(session))
        with stdout():
            sys.stdout.flush()  # a full disk shows here, and not when the interpreter ends
        return ended
    except GuestHooksError as error:
        given.error(error)
        code, table = error.exit_code, as_json.error_json(error)
        lines = messages.error_text(error, style)
    except Exception as error:  # noqa: BLE001 - all else is an internal error
        import traceback

        _to_journal(traceback.format_exc())
        code, table = ExitCode.FAULT, as_json.fault_json(error)
        what = f"{type(error).__name__}: {error}"
        lines = [f"{PROGRAM}: internal error: {what}; see: journalctl -t {PROGRAM}"]
    if wants_json:
        streams.say([terminal.as_json(table)], sys.stdout)
    streams.say(lines)
    return int(code)


def _parsed(words: Sequence[str]) -> Options:
    from guest_hooks.cli import arguments  # with help, and words for what is wrong

    return arguments.parse(words)


def _to_journal(text: str) -> None:
    from guest_hooks.machine import journal

    journal.send(journal.Outcome.FAULT, text)


def _root(path: str) -> Root:
    if not os.path.isdir(path):
        raise UsageError(
            f"--root: {path} is not a directory", hint="name the mount point of the guest's disk"
        )
    named = os.path.realpath(path)
    if _mount(path) != _mount(named):
        raise UsageError(
            f"--root: {path} shows the tree of another mount namespace, which has no name here"
            f" ({named} is another one)",
            hint="mount the guest's disk or image on this machine, and name its mount point",
        )
    return Root(named)


def _mount(path: str) -> tuple[int, int, str]:
    """Which directory `path` leads to, and by which mount: /proc/PID/root leads where its link
    does not say.
    """
    with closing(os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)) as fd:
        status = os.fstat(fd)
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            mount = next((line for line in file if line.startswith("mnt_id:")), "")
    return status.st_dev, status.st_ino, mount


def _hook(words: Sequence[str]) -> int:
    from guest_hooks import hooks

    return int(hooks.run(words))


def _hook_help() -> int:
    from guest_hooks.hooks import DOES

    rows = [f"  {hook:<15}  {does}" for hook, does in DOES.items()]
    streams.say([f"usage: {PROGRAM} hook NAME [ARGUMENT...]", HOOKS, "", *rows], sys.stdout)
    return int(ExitCode.OK)


def _verb(name: str) -> Callable[[Session], ExitCode]:
    """What runs the verb `name`; its module, and with it its use case, is imported only now."""
    module, function = _VERBS[name]
    found: Callable[[Session], ExitCode] = getattr(import_module(f"{__name__}.{module}"), function)
    return found


_VERBS = {
    "status": ("show_status", "show_status"),
    "preflight": ("show_preflight", "show_preflight"),
    "sync": ("run_sync", "run_sync"),
    "log": ("show_log", "show_log"),
    "hold": ("set_hold", "set_hold"),
    "unhold": ("set_hold", "end_hold"),
    "rollback": ("put_back", "put_back"),
    "detect": ("show_guest", "show_guest"),
    "inspect": ("inspect_files", "inspect_files"),
    "config": ("show_config", "show_config"),
    "watch": ("run_watch", "run_watch"),
    "stage1": ("make_stage1", "make_stage1"),
}
"""The module of each verb, and its function there."""
