# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-install as a person or a package calls it: the real one in staging, then a sync.

The wrapper (scripts/grub-install) has to know how far this came, whatever ends it. It names a
descriptor in `ANSWER`, and what is written there is one line: `done CODE`, the exit code that the
wrapper is to end with; or `pass [--target=TARGET]`, the real one is to be run with that put before
its arguments. Without an answer this program did not do the work, and the real one is run, too.
"""

import os
import sys
from collections.abc import Sequence

from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, GuestHooksError, LackingError, UsageError
from guest_hooks.formats import second_stage
from guest_hooks.hooks import grub_options
from guest_hooks.hooks.grub_options import CommandLine, Meaning
from guest_hooks.hooks.repair import LOCK_TIMEOUT, own_targets, report_and_raise, step
from guest_hooks.machine import doer, installer, lock, streams
from guest_hooks.machine.config_files import configuration
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, become
from guest_hooks.model import Choices
from guest_hooks.paths import DIVERTED
from guest_hooks.report import messages
from guest_hooks.report.styles import style_of
from guest_hooks.sync import sync
from guest_hooks.sync.result import Request
from guest_hooks.targets import TARGETS, Target

ANSWER = "XEN_GUEST_BOOTLOADER_ANSWER"
INTERRUPTED = 130
"""What a shell makes of a program that SIGINT ended."""


def run(root: Root, arguments: Sequence[str]) -> ExitCode | int:
    """grub-install as it was called; the exit code is the real one's own, or that of the sync
    behind it.
    """
    try:
        return _run(root, arguments)
    except GuestHooksError as error:
        _answer(f"done {int(error.exit_code)}")
        raise
    except KeyboardInterrupt:
        _answer(f"done {INTERRUPTED}")
        raise


def _run(root: Root, arguments: Sequence[str]) -> ExitCode | int:
    line = grub_options.parse(arguments)
    named = line.values(Meaning.TARGET)[-1:] if line else ()
    config = _configured(root)
    own = () if named else own_targets(root, config or Config())[:1]
    added = [f"--target={target.name}" for target in own]
    targets = [*own, *(TARGETS[name] for name in named if name in TARGETS)]
    if line is None or config is None or not targets or line.is_elsewhere():
        return _passed(added, arguments)
    # Where there are no modules, grub-install's own message is the one to see.
    made = _staged(root, targets[0], line) if _has_modules(root, targets[0]) else None
    if made is None:
        return _passed(added, arguments)
    code, core = made
    if code != 0:
        _answer(f"done {code}")
        return code
    streams.say(f"xen-guest-bootloader: --{name} is not kept: {why}" for name, why in line.lost())
    request = Request(
        targets=named,
        adopt=True,
        update_grub=False,
        lock_timeout=LOCK_TIMEOUT,
        choices={targets[0].name: _choices(line, core)},
    )
    result = sync(root, config, request, step=step)
    _answer(f"done {int(result.failures[0].exit_code) if result.failures else 0}")
    report_and_raise(result, doer.of_hook(doer.GRUB_INSTALL))
    return ExitCode.OK


def _configured(root: Root) -> Config | None:
    """None, said why, where it is wrong: Debian's own works whatever our configuration says."""
    try:
        return configuration(root)
    except UsageError as error:
        streams.say(messages.error_text(error, style_of(sys.stderr)))
        return None


def _passed(added: Sequence[str], arguments: Sequence[str]) -> ExitCode:
    """Have the wrapper run the real one; without a wrapper become it."""
    if not _answer(" ".join(["pass", *added])):
        become(DIVERTED, ["grub-install", *added, *arguments])
    return ExitCode.OK


def _answer(words: str) -> bool:
    """Tell the wrapper, if there is one, how it goes on."""
    descriptor = os.environ.get(ANSWER, "")
    if not descriptor.isdecimal():
        return False
    try:
        return os.write(int(descriptor), f"{words}\n".encode()) > 0
    except OSError:
        return False


def _choices(line: CommandLine, made: bytes) -> Choices:
    """What this grub-install asked for that the second stages built from now on keep; of keys
    and the like the core image tells.
    """
    core = second_stage.read(made).core
    modules = tuple(
        dict.fromkeys(name for value in line.values(Meaning.MODULES) for name in value.split())
    )
    if core is None:
        return Choices(modules=modules)
    return Choices(modules=modules, public_keys=core.public_keys, has_cli=core.has_cli)


def _staged(root: Root, target: Target, line: CommandLine) -> tuple[int, bytes] | None:
    """Run the real grub-install for one target, with its words passed on; its exit code, and
    the core image that it made.

    None, said why, where staging lacks something, such as the right to make a mount namespace: the
    real one does without.
    """
    try:
        with (
            lock.held(root, timeout=LOCK_TIMEOUT),
            installer.staged(root, target, line.for_staging()) as staged,
        ):
            streams.pass_on(staged.completed.stdout, sys.stdout)
            streams.pass_on(staged.completed.stderr, sys.stderr)
            return staged.completed.code, staged.core
    except LackingError as error:
        streams.say(messages.error_text(error, style_of(sys.stderr)))
        return None
    except CommandError as error:
        if not error.code:
            raise
        streams.pass_on(error.stdout, sys.stdout)
        streams.pass_on(error.words, sys.stderr)
        return error.code, b""


def _has_modules(root: Root, target: Target) -> bool:
    return root.exists(f"{target.lib_dir}/moddep.lst")
