"""The verbs of the command line: which use case each calls, what it says, its exit code.

A verb imports its use case itself: Python takes longer to load all of them than most verbs take to
run.
"""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from typing import TextIO

from guest_hooks import terminal
from guest_hooks.cli import arguments
from guest_hooks.cli.arguments import PROGRAM
from guest_hooks.cli.session import Session, stdout
from guest_hooks.errors import ExitCode, GuestHooksError, NotApplicableError, UsageError
from guest_hooks.machine import streams
from guest_hooks.machine.failures import looked_at
from guest_hooks.machine.root import Root
from guest_hooks.model import State
from guest_hooks.report import as_json, as_text
from guest_hooks.report.as_text import Style
from guest_hooks.targets import named

DEFAULT_STAGE1 = "x86_64-xen"
INTERRUPTED = 130
"""What a shell makes of a program that SIGINT ended."""


def run(words: Sequence[str]) -> int:
    """Parse `words`, run the verb, return its exit code; the only place where errors become
    words.
    """
    style = Style(colour=sys.stderr.isatty() and "NO_COLOR" not in os.environ)
    wants_json = "--json" in words
    try:
        if words[:1] == ["hook"]:
            with looked_at(Root()):
                return _hook(words[1:])
        options = arguments.parser().parse_args(words)
        style = _style(options, sys.stderr)
        with looked_at(Root()):
            session = Session(
                options=options, root=_root(options.root), style=_style(options, sys.stdout)
            )
        with looked_at(session.root):
            code = int(_VERBS[options.verb](session))
        with stdout():
            sys.stdout.flush()  # a full disk shows here, and not when the interpreter ends
        return code
    except GuestHooksError as error:
        if wants_json:
            streams.say([terminal.as_json(as_json.error_json(error))], sys.stdout)
        streams.say(as_text.error_text(error, style))
        return int(error.exit_code)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - a front door: anything else is an internal error
        import traceback

        _to_journal(traceback.format_exc())
        if wants_json:
            streams.say([terminal.as_json(as_json.fault_json(error))], sys.stdout)
        what = f"{type(error).__name__}: {error}"
        streams.say([f"{PROGRAM}: internal error: {what}; see: journalctl -t {PROGRAM}"])
        return int(ExitCode.FAULT)


def _detect(session: Session) -> ExitCode:
    from guest_hooks.machine import guest
    from guest_hooks.machine.config_files import configuration
    from guest_hooks.survey import plan
    from guest_hooks.survey.grub_config import kernels

    here = guest.detect(session.root)
    config = configuration(session.root, session.options.config)
    try:
        names = [
            want.target.name
            for want in plan.wanted(here, config, session.options.target, kernels(session.root))
        ]
        why = None
    except NotApplicableError as error:
        names, why = [], error
    session.answer(as_json.detect_json(here, names))
    session.say(as_text.guest_text(here, Style(colour=session.style.colour, verbose=True)))
    session.say([f"targets: {', '.join(names)}"] if why is None else [why.message])
    return ExitCode.OK if why is None else ExitCode.NOT_APPLICABLE


def _status(session: Session) -> ExitCode:
    from guest_hooks.machine import guest, service
    from guest_hooks.machine.config_files import configuration
    from guest_hooks.preflight import preflight
    from guest_hooks.report import as_metrics, boot_chain
    from guest_hooks.survey.status import survey

    if session.options.metrics and session.options.json:
        raise UsageError(
            "--metrics and --json are two forms of one answer", hint=f"see: {PROGRAM} status --help"
        )
    config = configuration(session.root, session.options.config)
    try:
        status = survey(session.root, config, targets=session.options.target).status
    except NotApplicableError as error:
        if session.options.metrics:
            raise
        session.answer(as_json.no_status_json(guest.detect(session.root), error))
        session.say(as_text.guest_text(guest.detect(session.root), session.style))
        streams.say(as_text.error_text(error, session.style))
        return error.exit_code
    watcher = service.read(session.root) if session.root.is_live else None
    next_boot = None
    if os.geteuid() == 0:
        with session.step("Following the next boot"):
            next_boot = preflight(session.root, config, status, remember=False)
    if session.options.metrics:
        with stdout():
            found = as_metrics.text(status, watcher, next_boot.ok if next_boot else None)
            print(terminal.printable_lines(found), end="", flush=True)
        return ExitCode.OK if status.ok else ExitCode.DIFFERS
    answer = {
        **as_json.status_json(status, watcher),
        "next_boot": boot_chain.short_json(next_boot) if next_boot else None,
    }
    session.answer(answer)
    session.say(as_text.status_text(status, session.style, watcher))
    session.say(boot_chain.short_text(next_boot, session.style) if next_boot else [])
    return ExitCode.OK if status.ok else ExitCode.DIFFERS


def _preflight(session: Session) -> ExitCode:
    from guest_hooks.machine.config_files import configuration
    from guest_hooks.preflight import preflight
    from guest_hooks.report import boot_chain
    from guest_hooks.survey.status import survey

    config = configuration(session.root, session.options.config)
    status = survey(session.root, config, targets=session.options.target).status
    answer = preflight(
        session.root, config, status, remember=session.root.is_live
    )  # nothing is left in an image
    session.answer(boot_chain.preflight_json(answer))
    session.say(boot_chain.preflight_text(answer, session.style))
    return ExitCode.OK if answer.ok else ExitCode.DIFFERS


def _sync(session: Session) -> ExitCode:
    from guest_hooks import sync
    from guest_hooks.machine.config_files import configuration
    from guest_hooks.report import as_journal

    options = session.options
    request = sync.Request(
        targets=tuple(options.target),
        dry_run=options.dry_run,
        force=options.force,
        adopt=options.adopt,
        update_grub=options.update_grub,
        automatic=options.automatic,
        waits_for_packages=options.automatic,
        lock_timeout=options.lock_timeout,
    )
    config = configuration(session.root, options.config)
    is_told = session.root.is_live and not request.dry_run
    try:
        result = sync.sync(session.root, config, request, step=session.step)
    except GuestHooksError as error:
        if is_told:
            as_journal.tell_failure(error)
        raise
    if is_told:
        as_journal.tell(result)
    session.answer(as_json.sync_json(result.status, result.changes, result.failures))
    code = sync.exit_code(result, request, config)
    is_same = code is ExitCode.OK and all(
        target.state is State.CURRENT for target in result.status.targets
    )
    show = session.say if request.dry_run else session.note
    show(
        as_text.changes_text(result.changes, dry_run=options.dry_run)
        or (["Nothing to do."] if is_same else [])
    )
    if options.automatic and result.failures and set(result.failures) <= set(result.repeated):
        return code  # said by the run before, and in the journal
    for failure in result.failures:
        streams.say(as_text.error_text(failure, session.style))
    if code is not ExitCode.OK and not result.failures and not request.dry_run:
        streams.say(as_text.status_text(result.status, session.style))
    else:
        streams.say(
            as_text.warnings_text(
                as_journal.warnings(result, is_foretold=request.dry_run), session.style
            )
        )
    return code


def _watch(session: Session) -> ExitCode:
    from guest_hooks.daemon import watcher

    if not session.root.is_live:
        raise UsageError(
            "watch is for the running system alone", hint="an image is mended with: sync --root DIR"
        )
    return watcher.watch(session.options.config)


def _inspect(session: Session) -> ExitCode:
    from guest_hooks.survey import image_files

    found = [image_files.inspect(path) for path in session.options.files]
    for each in found:
        session.answer(as_json.inspection_json(each))
        session.say(as_text.inspection_text(each, session.style))
    return ExitCode.OK


def _rollback(session: Session) -> ExitCode:
    from guest_hooks.machine.config_files import configuration
    from guest_hooks.report import as_journal
    from guest_hooks.sync.rollback import rollback

    config = configuration(session.root, session.options.config)
    with session.step("Putting back the second stage before this one"):
        result = rollback(
            session.root, config, session.options.target, lock_timeout=session.options.lock_timeout
        )
    session.answer(as_json.sync_json(result.status, result.changes, result.failures))
    session.note(
        as_text.changes_text(result.changes, dry_run=False)
        or ["Nothing to do: the two are the same."]
    )
    streams.say(as_text.warnings_text(as_journal.warnings(result), session.style))
    return ExitCode.OK


def _stage1(session: Session) -> ExitCode:
    from guest_hooks.host import stage1_image

    options = session.options
    if len(options.target) > 1:
        raise UsageError("stage1 takes one --target", hint="run it once for each")
    target = named(options.target[0] if options.target else DEFAULT_STAGE1)
    if options.action == "config":
        if options.output is not None:
            raise UsageError(
                "stage1 config prints and takes no --output", hint="redirect it to a file"
            )
        text = stage1_image.config(target)
        session.answer({"schema": as_json.SCHEMA, "target": target.name, "config": text})
        if not options.json:
            with stdout():
                print(text, end="", flush=True)
        return ExitCode.OK
    if options.output is None:
        raise UsageError(
            "stage1 build needs --output FILE",
            hint=f"{PROGRAM} stage1 build -o FILE --target {target.name}",
        )
    made = stage1_image.build(target, options.output, session.root)
    session.answer(
        {
            "schema": as_json.SCHEMA,
            "target": target.name,
            "path": made.path,
            "size": made.size,
            "modules": made.modules,
        }
    )
    session.say(
        [f"{made.path}: a stage 1 for {target.name}, {made.modules} modules, {made.size} bytes"]
    )
    return ExitCode.OK


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
    fd = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        status = os.fstat(fd)
        with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as file:
            mount = next((line for line in file if line.startswith("mnt_id:")), "")
    finally:
        os.close(fd)
    return status.st_dev, status.st_ino, mount


def _style(options: argparse.Namespace, stream: TextIO) -> Style:
    automatic = stream.isatty() and "NO_COLOR" not in os.environ
    return Style(
        colour={"auto": automatic, "always": True, "never": False}[options.color],
        verbose=options.verbose,
    )


def _hook(words: Sequence[str]) -> int:
    from guest_hooks import hooks

    return int(hooks.run(words))


_VERBS: dict[str, Callable[[Session], ExitCode]] = {
    "detect": _detect,
    "status": _status,
    "sync": _sync,
    "preflight": _preflight,
    "inspect": _inspect,
    "rollback": _rollback,
    "stage1": _stage1,
    "watch": _watch,
}
