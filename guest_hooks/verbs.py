"""The verbs of the command line: what each takes, which use case it calls, and its exit code."""

import argparse
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, NoReturn

from guest_hooks import __version__, daemon, hooks, inspection, plan, progress, report, stage1
from guest_hooks.configuration import configuration
from guest_hooks.errors import ExitCode, GuestHooksError, NotApplicableError, UsageError
from guest_hooks.grub_config import kernels
from guest_hooks.machine import guest
from guest_hooks.machine.root import Root
from guest_hooks.model import State
from guest_hooks.report import Style
from guest_hooks.rollback import rollback
from guest_hooks.status import survey
from guest_hooks.sync import Request, Result, sync
from guest_hooks.targets import TARGETS, named

PROGRAM = "xen-guest-bootloader"
DEFAULT_STAGE1 = "x86_64-xen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run of the command line: its options, its tree, and how to speak."""

    options: argparse.Namespace
    root: Root
    style: Style

    def say(self, lines: Sequence[str]) -> None:
        """Words for a person, on stdout; nothing with `--quiet` or `--json`."""
        if not self.options.quiet and not self.options.json and lines:
            print("\n".join(lines))

    def answer(self, table: dict[str, Any]) -> None:
        """The one object of `--json`."""
        if self.options.json:
            print(json.dumps(table, ensure_ascii=False))

    def step(self, what: str) -> AbstractContextManager[None]:
        """Show a step of a long run, where a person watches."""
        return progress.shown(what, sys.stderr)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {PROGRAM} --help")


def run(words: Sequence[str]) -> int:
    """Parse `words`, run the verb, return its exit code; the only place where errors become words."""
    style = Style(colour=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    as_json = "--json" in words
    try:
        if words[:1] == ["hook"]:
            return int(hooks.run(words[1:]))
        options = parser().parse_args(words)
        session = Session(options=options, root=_root(options.root), style=_style(options))
        return int(options.verb(session))
    except GuestHooksError as error:
        if as_json:
            print(json.dumps(report.error_json(error), ensure_ascii=False))
        print("\n".join(report.error_text(error, style)), file=sys.stderr)
        return int(error.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - a front door: whatever else goes wrong is a fault of the program
        _to_journal(traceback.format_exc())
        print(f"{PROGRAM}: fault of the program: {type(error).__name__}: {error}; see: journalctl -t {PROGRAM}", file=sys.stderr)
        return int(ExitCode.FAULT)


def _detect(session: Session) -> ExitCode:
    here = guest.detect(session.root)
    config = configuration(session.root, session.options.config)
    try:
        names = [want.target.name for want in plan.wanted(here, config, session.options.target, kernels(session.root))]
        why = None
    except NotApplicableError as error:
        names, why = [], error
    session.answer(report.detect_json(here, names))
    session.say(report.guest_text(here, Style(colour=session.style.colour, verbose=True)))
    session.say([f"targets: {', '.join(names)}"] if why is None else [why.message])
    return ExitCode.OK if why is None else ExitCode.NOT_APPLICABLE


def _status(session: Session) -> ExitCode:
    config = configuration(session.root, session.options.config)
    status = survey(session.root, config, targets=session.options.target).status
    session.answer(report.status_json(status))
    session.say(report.status_text(status, session.style))
    return ExitCode.OK if status.ok else ExitCode.DIFFERS


def _sync(session: Session) -> ExitCode:
    options = session.options
    request = Request(
        targets=tuple(options.target),
        dry_run=options.dry_run,
        force=options.force,
        adopt=options.adopt,
        update_grub=options.update_grub,
        automatic=options.automatic,
        lock_timeout=options.lock_timeout,
    )
    config = configuration(session.root, options.config)
    result = sync(session.root, config, request, step=session.step)
    session.answer(report.sync_json(result.status, result.changes, result.failures))
    code = _sync_code(result, request, renews_menu=options.update_grub and config.update_grub)
    session.say(report.changes_text(result.changes, dry_run=options.dry_run) or (["Nothing to do."] if code is ExitCode.OK else []))
    for failure in result.failures:
        print("\n".join(report.error_text(failure, session.style)), file=sys.stderr)
    if code is not ExitCode.OK and not result.failures and not request.dry_run:
        print("\n".join(report.status_text(result.status, session.style)), file=sys.stderr)
    return code


def _sync_code(result: Result, request: Request, *, renews_menu: bool) -> ExitCode:
    if request.dry_run:
        return ExitCode.DIFFERS if result.changes or result.failures else ExitCode.OK
    if result.failures:
        return result.failures[0].exit_code
    held = {t.target for t in result.status.targets if any(problem.code == "held-by-rollback" for problem in t.problems)}
    left = [t for t in result.status.targets if t.required and t.state is not State.CURRENT and t.target not in held]
    menu = result.status.grub_cfg
    if left or (renews_menu and menu is not None and menu.state is not State.CURRENT):
        return ExitCode.NOT_REPAIRED
    return ExitCode.OK


def _watch(session: Session) -> ExitCode:
    if not session.root.is_live:
        raise UsageError("watch is for the running system alone", hint="an image is mended with: sync --root DIR")
    return daemon.watch(session.options.config)


def _inspect(session: Session) -> ExitCode:
    found = [inspection.inspect(path) for path in session.options.files]
    for each in found:
        session.answer(report.inspection_json(each))
        session.say(report.inspection_text(each, session.style))
    return ExitCode.OK


def _rollback(session: Session) -> ExitCode:
    config = configuration(session.root, session.options.config)
    result = rollback(session.root, config, session.options.target, lock_timeout=session.options.lock_timeout)
    session.answer(report.sync_json(result.status, result.changes, result.failures))
    session.say(report.changes_text(result.changes, dry_run=False) or ["Nothing to do: the two are the same."])
    return ExitCode.OK


def _stage1(session: Session) -> ExitCode:
    options = session.options
    if len(options.target) > 1:
        raise UsageError("stage1 takes one --target", hint="run it once for each")
    target = named(options.target[0] if options.target else DEFAULT_STAGE1)
    if options.action == "config":
        if options.output is not None:
            raise UsageError("stage1 config prints and takes no --output", hint="redirect it to a file")
        text = stage1.config(target)
        session.answer({"schema": report.SCHEMA, "target": target.name, "config": text})
        if not options.json:
            print(text, end="")
        return ExitCode.OK
    if options.output is None:
        raise UsageError("stage1 build needs --output FILE", hint=f"{PROGRAM} stage1 build -o FILE --target {target.name}")
    made = stage1.build(target, options.output)
    session.answer({"schema": report.SCHEMA, "target": target.name, "path": made.path, "size": made.size, "modules": made.modules})
    session.say([f"{made.path}: a stage 1 for {target.name}, {made.modules} modules, {made.size} bytes"])
    return ExitCode.OK


def _to_journal(text: str) -> None:
    from systemd import journal  # noqa: PLC0415 - only a fault needs it

    journal.send(text, SYSLOG_IDENTIFIER=PROGRAM, PRIORITY=3)


def _root(path: str) -> Root:
    if not os.path.isdir(path):
        raise UsageError(f"--root: {path} is not a directory", hint="name the mount point of the guest's disk")
    return Root(os.path.realpath(path))


def _style(options: argparse.Namespace) -> Style:
    automatic = sys.stdout.isatty() and "NO_COLOR" not in os.environ
    return Style(colour={"auto": automatic, "always": True, "never": False}[options.color], verbose=options.verbose)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verb:
    """One row of the command line."""

    name: str
    does: str
    run: Callable[[Session], ExitCode]
    options: tuple[str, ...] = ()


_VERBS = (
    _Verb(name="detect", does="which guest this is, by what evidence, and so which targets", run=_detect, options=("target",)),
    _Verb(name="status", does="how the second stages and grub.cfg are; nothing is changed", run=_status, options=("target",)),
    _Verb(
        name="sync",
        does="make them as they should be",
        run=_sync,
        options=("target", "dry-run", "force", "adopt", "no-update-grub", "automatic", "lock-timeout"),
    ),
    _Verb(name="inspect", does="what a second stage, core image or kernel is", run=_inspect, options=("files",)),
    _Verb(
        name="rollback", does="put back the second stage before the present one", run=_rollback, options=("target", "lock-timeout")
    ),
    _Verb(
        name="stage1",
        does="for a host's admin: print a stage 1's grub.cfg (config), or build a whole image (build)",
        run=_stage1,
        options=("action", "target", "output"),
    ),
    _Verb(name="watch", does="repair by itself what goes missing or stale, until stopped", run=_watch, options=()),
)

_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "target": (
        ("--target", "-t"),
        {"action": "append", "default": [], "metavar": "T", "help": f"only this target, again for more: {', '.join(TARGETS)}"},
    ),
    "dry-run": (
        ("--dry-run", "-n"),
        {"action": "store_true", "help": "tell which files would be written and why; exit code 3 if any"},
    ),
    "force": (("--force",), {"action": "store_true", "help": "build anew what is current, too"}),
    "adopt": (("--adopt",), {"action": "store_true", "help": "replace a second stage that grub-install did not make"}),
    "no-update-grub": (("--no-update-grub",), {"dest": "update_grub", "action": "store_false", "help": "leave grub.cfg alone"}),
    "automatic": (("--automatic",), {"action": "store_true", "help": "as hooks call it: leave alone what rollback put back"}),
    "lock-timeout": (
        ("--lock-timeout",),
        {"type": _seconds, "default": 60.0, "metavar": "S", "help": "wait so many seconds for another run to end (default: 60)"},
    ),
    "action": (("action",), {"choices": ("config", "build"), "help": "print the configuration, or build an image with it"}),
    "output": (("--output", "-o"), {"metavar": "FILE", "default": None, "help": "where `stage1 build` puts the image"}),
    "files": (("files",), {"nargs": "+", "metavar": "FILE", "help": "a file of this machine"}),
}

_COMMON: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (("--root",), {"metavar": "DIR", "default": "/", "help": "work on the guest's tree mounted at DIR"}),
    (("--json",), {"action": "store_true", "default": False, "help": "one JSON object on standard output"}),
    (("--quiet", "-q"), {"action": "store_true", "default": False, "help": "say nothing but errors"}),
    (("--verbose", "-v"), {"action": "store_true", "default": False, "help": "say more"}),
    (("--color",), {"choices": ("auto", "always", "never"), "default": "auto", "help": "default: auto"}),
    (("--config",), {"metavar": "FILE", "default": None, "help": "read this configuration alone"}),
)


def parser() -> argparse.ArgumentParser:
    """The whole command line; common options stand before or after the verb."""
    codes = "\n".join(f"  {code.value}  {code.meaning}" for code in ExitCode)
    top = _Parser(
        prog=PROGRAM,
        description="Keeps the second-stage boot loader of a Debian guest under Xen right.",
        epilog=f"exit codes:\n{codes}\n\nThe manual is {PROGRAM}(8).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for names, settings in _COMMON:
        top.add_argument(*names, **settings)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    for row in _VERBS:
        verb = verbs.add_parser(row.name, help=row.does, description=f"{row.does[0].upper()}{row.does[1:]}.")
        verb.set_defaults(verb=row.run)
        for names, settings in _COMMON:
            verb.add_argument(*names, **{**settings, "default": argparse.SUPPRESS})
        for option in row.options:
            names, settings = _OPTIONS[option]
            verb.add_argument(*names, **settings)
    return top
