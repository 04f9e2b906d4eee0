"""What Debian's packages call: a kernel's hooks, the grub-install wrapper, dpkg's trigger, cloud-init's first boot.

Each says nothing and succeeds where there is nothing for it to do, and none reads standard input.
"""

import os
import sys
from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import assert_never

from guest_hooks import grub_config, outcomes, plan, prose
from guest_hooks.compare import FATAL_PROBLEMS
from guest_hooks.config import Config
from guest_hooks.configuration import configuration
from guest_hooks.errors import ExitCode, GuestHooksError, NotApplicableError, UsageError
from guest_hooks.machine import fingerprint, grub_tools, guest, lock
from guest_hooks.machine.barrier import barrier
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, become
from guest_hooks.model import State, Status
from guest_hooks.prose import Style
from guest_hooks.status import survey
from guest_hooks.sync import Request, Result, sync
from guest_hooks.targets import TARGETS, Target

LOCK_TIMEOUT = 120.0
"""Seconds; a hook may meet the service's own repair, and nobody is there to try again."""


class Hook(StrEnum):
    """The names a package knows."""

    KERNEL_POSTINST = "kernel-postinst"
    KERNEL_POSTRM = "kernel-postrm"
    GRUB_INSTALL = "grub-install"
    TRIGGER = "trigger"
    FIRST_BOOT = "first-boot"


def run(words: Sequence[str]) -> ExitCode | int:
    """Run the hook that `words` begin with, on the running system; raises `GuestHooksError` where its caller should see it fail."""
    name, arguments = (words[0], words[1:]) if words else ("", ())
    if name not in list(Hook):
        raise UsageError(f"unknown hook {name!r}", hint=f"hooks are: {', '.join(Hook)}")
    match Hook(name):
        case Hook.KERNEL_POSTINST:
            code = _kernel_installed(Root())
            _say(_kernel_words(Root(), arguments))
            return code
        case Hook.KERNEL_POSTRM:
            _kernel_removed(Root())
            return ExitCode.OK
        case Hook.GRUB_INSTALL:
            return _grub_install(Root(), arguments)
        case Hook.TRIGGER | Hook.FIRST_BOOT:
            return _repaired(Root())
        case other:
            assert_never(other)


def _repaired(root: Root) -> ExitCode:
    """Make it so; raises what kept a required target from it."""
    result = _repair(root)
    if result is not None:
        _tell(result)
    return ExitCode.OK


def _tell(result: Result) -> None:
    """Say what a repair came to; of what kept required targets from it the first is raised, for its caller to say."""
    outcomes.tell(result)
    _say(f"xen-guest-bootloader: {line}" for line in prose.changes_text(result.changes, dry_run=False))
    _say(prose.warnings_text(outcomes.warnings(result), Style()))
    for failure in result.failures[1:]:
        _say(prose.error_text(failure, Style()))
    for failure in result.failures[:1]:
        raise failure


def _kernel_installed(root: Root) -> ExitCode:
    """A new kernel is no use to a guest that can't boot, and its installation the moment to say so; anything less is told only."""
    try:
        code = _repaired(root)
        _settle(root)
        return code
    except GuestHooksError as error:
        reasons, comfort = _judged(root)
        if reasons:
            raise
        _say([*prose.error_text(error, Style()), *comfort])
        return ExitCode.OK


def _judged(root: Root) -> tuple[tuple[str, ...], list[str]]:
    """What is known to keep this guest from booting, and what to say where nothing is; what is none of ours is not judged."""
    config = _bearing(root)
    if not _is_ours(root, config):
        return (), []
    try:
        reasons = why_not_bootable(survey(root, config).status)
    except GuestHooksError as error:
        return (), [f"xen-guest-bootloader: whether the guest can boot all the same can't be told: {error.message}"]
    return reasons, ["xen-guest-bootloader: the guest can boot all the same, by what was there before"]


def _bearing(root: Root) -> Config:
    """The configuration to judge by: a broken one is told of where it is to be carried out, and tells nothing about the guest."""
    try:
        return configuration(root)
    except UsageError:
        return Config()


def _kernel_words(root: Root, arguments: Sequence[str]) -> list[str]:
    """`kernel_warning`, or why there can be none."""
    try:
        return kernel_warning(root, _bearing(root), arguments)
    except GuestHooksError as error:
        return prose.error_text(error, Style())


def kernel_warning(root: Root, config: Config, arguments: Sequence[str]) -> list[str]:
    """What to say, loudly, of a new kernel that this guest can't boot by; `arguments` are a kernel hook's, VERSION and IMAGE."""
    if not arguments or not _is_ours(root, config):
        return []
    from guest_hooks.preflight import kernel_problems, text  # noqa: PLC0415 - only a new kernel needs the decompressors

    modes = tuple(dict.fromkeys(target.mode for target in _own_targets(root, config)))
    findings = kernel_problems(root, guest.detect(root), arguments[0], modes=modes)
    return text.kernel_text(arguments[0], findings)


def _kernel_removed(root: Root) -> None:
    """A removal that fails helps nobody."""
    try:
        _repaired(root)
        _settle(root)
    except GuestHooksError as error:
        _say(prose.error_text(error, Style()))


def _settle(root: Root) -> None:
    """Bring to the disk what the kernel's package and update-grub wrote: the menu of before names a kernel that may be gone."""
    if _is_ours(root, configuration(root)):
        problem = barrier(root, grub_config.PATH)
        _say([f"xen-guest-bootloader: {problem.message}"] if problem else [])


def why_not_bootable(status: Status) -> tuple[str, ...]:
    """What of `status` would keep the guest from booting.

    A missing second stage would not (stage 1 then reads grub.cfg), nor would one that is merely old; a damaged one, or one that
    looks for another file system, is what stage 1 starts and can't come back from.
    """
    reasons = []
    for target in status.targets:
        fatal = [problem for problem in target.problems if target.state is State.INVALID or problem.code in FATAL_PROBLEMS]
        reasons += [problem.message for problem in fatal if target.required]
    menu = status.grub_cfg
    if menu is not None and menu.state in (State.MISSING, State.INVALID):
        reasons += [problem.message for problem in menu.problems]
    return tuple(reasons)


def _repair(root: Root) -> Result | None:
    """A sync; None where there is nothing to do, and nothing is looked at twice."""
    config = configuration(root)
    if not _is_ours(root, config) or fingerprint.holds():
        return None
    return sync(root, config, Request(automatic=True, lock_timeout=LOCK_TIMEOUT))


def _is_ours(root: Root, config: Config) -> bool:
    """Whether this is a guest with a second stage, and the running system.

    A container or chroot shows the /sys/hypervisor of a host that boots otherwise. A target that is named is wanted anyway.
    """
    if config.targets == (plan.AUTO,) and (guest.is_container(root) or guest.is_chroot(root)):
        return False
    return _own_targets(root, config) != []


def _grub_install(root: Root, arguments: Sequence[str]) -> ExitCode | int:
    """grub-install as it was called, but in staging, and then a sync; the exit code is grub-install's own."""
    config = configuration(root)
    named = _values(arguments, "--target", shortest="--ta")[-1:]
    targets = [TARGETS[name] for name in named if name in TARGETS] if named else _own_targets(root, config)
    if not targets or _is_elsewhere(arguments) or not all(_has_modules(root, target) for target in targets):
        added = [] if named or not targets else [f"--target={targets[0].name}"]
        become(grub_tools.DIVERTED, ["grub-install", *added, *arguments])
    for target in targets if named else targets[:1]:
        code = _staged(root, target, arguments)
        if code != 0:
            return code
    request = Request(targets=tuple(named), adopt=True, update_grub=False, lock_timeout=LOCK_TIMEOUT)
    _tell(sync(root, config, request))
    return ExitCode.OK


def _staged(root: Root, target: Target, arguments: Sequence[str]) -> int:
    """Run the real grub-install for one target, with its words passed on."""
    with lock.held(root, timeout=LOCK_TIMEOUT):
        try:
            with grub_tools.staging(root, target, arguments) as staged:
                sys.stdout.buffer.write(staged.completed.stdout)
                sys.stderr.buffer.write(staged.completed.stderr)
                return staged.completed.code
        except CommandError as error:
            sys.stdout.buffer.write(error.stdout)
            if not error.code:
                raise
            sys.stderr.write(f"{error.stderr}\n")
            return error.code


def _own_targets(root: Root, config: Config) -> list[Target]:
    try:
        wanted = plan.wanted(guest.detect(root), config, (), grub_config.kernels(root))
    except NotApplicableError:
        return []
    return [want.target for want in wanted]


def _is_elsewhere(arguments: Sequence[str]) -> bool:
    """Whether grub-install is asked for another directory than the guest's own /boot, or other modules than its own."""
    boot = _values(arguments, "--boot-directory", shortest="--boot-")
    top = _values(arguments, "--root-directory", shortest="--ro")
    modules = _values(arguments, "--directory", shortest="--di") + [word for word in arguments if word.startswith("-d")]
    places = [*boot, *(f"{path}/boot" for path in top)]
    return bool(modules) or any(os.path.normpath(f"/{path}") not in ("/boot", "//boot") for path in places)


def _has_modules(root: Root, target: Target) -> bool:
    """Where there are none, grub-install's own message is the one to see."""
    return root.exists(f"{target.lib_dir}/moddep.lst")


def _values(arguments: Sequence[str], option: str, *, shortest: str) -> list[str]:
    """Every value of a long option, as getopt_long(3) finds them: shortened as far as `shortest`, after `=` or as the next word."""
    return list(_each_value(arguments, option, shortest))


def _each_value(arguments: Sequence[str], option: str, shortest: str) -> Iterator[str]:
    words = iter(arguments)
    for word in words:
        if word == "--":
            return
        name, equals, value = word.partition("=")
        if option.startswith(name) and name.startswith(shortest):
            yield value if equals else next(words, "")


def _say(lines: Iterator[str] | Sequence[str]) -> None:
    """Words for whoever watches the package's installation."""
    for line in lines:
        sys.stderr.write(f"{line}\n")
