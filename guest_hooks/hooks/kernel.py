# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel came or went: the second stage and the menu follow, and only a guest that would not
boot fails its installation.
"""

import sys
from collections.abc import Sequence

from guest_hooks.config import Config
from guest_hooks.errors import ExitCode, GuestHooksError, UsageError
from guest_hooks.hooks.repair import is_ours, own_targets, step, synced
from guest_hooks.machine import guest, streams
from guest_hooks.machine.barrier import barrier
from guest_hooks.machine.config_files import configuration
from guest_hooks.machine.root import Root
from guest_hooks.model import State, Status
from guest_hooks.paths import GRUB_CFG
from guest_hooks.preflight.result import Preflight
from guest_hooks.problems.row import Effect
from guest_hooks.report import messages
from guest_hooks.report.styles import style_of
from guest_hooks.survey.status import survey
from guest_hooks.sync.result import Result


def installed(root: Root, arguments: Sequence[str]) -> ExitCode:
    """`WOULD_NOT_BOOT` where that is known: a new kernel is no use then, and this the moment to
    say so; anything less is only said.

    `arguments` are a kernel hook's, VERSION and IMAGE.
    """
    try:
        result = synced(root, "kernel-postinst")
        _settle(root, result)
        reasons, words = _judged(root) if result is not None and result.is_held else ((), [])
        words = words if reasons else []  # that nothing was changed is said
    except GuestHooksError as error:
        streams.say(messages.error_text(error, style_of(sys.stderr)))
        reasons, words = _judged(root)
    streams.say([*words, *_kernel_words(root, arguments)])
    return ExitCode.WOULD_NOT_BOOT if reasons else ExitCode.OK


def removed(root: Root) -> ExitCode:
    """Never fails: a removal that fails helps nobody."""
    try:
        _settle(root, synced(root, "kernel-postrm"))
    except GuestHooksError as error:
        streams.say(messages.error_text(error, style_of(sys.stderr)))
    streams.say(_alarm(root))
    return ExitCode.OK


def _alarm(root: Root) -> list[str]:
    """What to say, loudly, of a guest that will not boot after this; nothing where it will, or
    where that is not known.
    """
    from guest_hooks.report import boot_chain  # noqa: PLC0415 - as for a new kernel

    config = _bearing(root)
    answer = _next_boot(root, config) if is_ours(root, config) else None
    return boot_chain.alarm_text(answer, style_of(sys.stderr)) if answer else []


def _next_boot(root: Root, config: Config) -> Preflight | None:
    """The next boot, followed; None where it can't be."""
    from guest_hooks.preflight.next_boot import preflight  # noqa: PLC0415 - as for a new kernel

    try:
        return preflight(root, config, survey(root, config).status)
    except GuestHooksError:
        return None


def _judged(root: Root) -> tuple[tuple[str, ...], list[str]]:
    """What is known to keep this guest from booting, and what to say of it; what is none of
    ours is not judged.
    """
    from guest_hooks.report import boot_chain  # noqa: PLC0415 - as for a new kernel

    config = _bearing(root)
    if not is_ours(root, config):
        return (), []
    try:
        reasons = why_not_bootable(survey(root, config).status)
    except GuestHooksError as error:
        return (), [
            (
                "xen-guest-bootloader: it is not known whether the guest can still boot:"
                f" {error.message}"
            )
        ]
    answer = _next_boot(root, config)
    works = answer is not None and answer.will_boot
    if reasons and not (answer and works and answer.is_followed):
        return reasons, [f"xen-guest-bootloader: this guest would not boot: {'; '.join(reasons)}"]
    if answer is None or not works:
        return (), []  # what is known of that, `status` and the words on the kernel say
    verdict = "".join(words for words, _ in boot_chain.headline(answer))
    return (), [f"xen-guest-bootloader: what was there before is still there; next boot: {verdict}"]


def _bearing(root: Root) -> Config:
    """The configuration to judge by: a broken one is told of where it is to be carried out, and
    tells nothing about the guest.
    """
    try:
        return configuration(root)
    except UsageError:
        return Config()


def _kernel_words(root: Root, arguments: Sequence[str]) -> list[str]:
    """`kernel_warning`, or why there can be none."""
    try:
        return kernel_warning(root, _bearing(root), arguments)
    except GuestHooksError as error:
        return messages.error_text(error, style_of(sys.stderr))


def kernel_warning(root: Root, config: Config, arguments: Sequence[str]) -> list[str]:
    """What to say, loudly, of a new kernel that this guest can't boot by; `arguments` are a
    kernel hook's, VERSION and IMAGE.
    """
    if not arguments or not is_ours(root, config):
        return []
    # Only a new kernel needs the decompressors.
    from guest_hooks.machine.boot_files import Memory  # noqa: PLC0415
    from guest_hooks.preflight.next_boot import kernel_problems  # noqa: PLC0415
    from guest_hooks.report import boot_chain  # noqa: PLC0415

    modes = tuple(dict.fromkeys(target.mode for target in own_targets(root, config)))
    memory = Memory(root)
    findings = kernel_problems(root, guest.detect(root), arguments[0], memory, modes=modes)
    memory.save()
    return boot_chain.kernel_text(arguments[0], findings, style_of(sys.stderr))


def _settle(root: Root, result: Result | None) -> None:
    """Bring to the disk what the kernel's package and update-grub wrote, unless the sync with this
    `result` did: the menu of before names a kernel that may be gone.
    """
    if result is not None and result.is_settled:
        return
    if is_ours(root, configuration(root)):
        with step("Waiting until GRUB reads the new menu"):
            problem = barrier(root, GRUB_CFG)
        streams.say([f"xen-guest-bootloader: {problem.message}"] if problem else [])


def why_not_bootable(status: Status) -> tuple[str, ...]:
    """What of `status` may keep the guest from booting, where the next boot was not found to work.

    A missing second stage would not (stage 1 then reads grub.cfg), nor would one that is merely
    old; a damaged one, or one that looks for another file system, may be what stage 1 starts and
    can't come back from.
    """
    reasons = []
    for target in status.targets:
        fatal = [
            problem
            for problem in target.problems
            if target.state is State.INVALID or problem.code.row.effect is Effect.ENDS
        ]
        reasons += [problem.message for problem in fatal if target.required]
    menu = status.grub_cfg
    if menu is not None and menu.state in (State.MISSING, State.INVALID):
        reasons += [problem.message for problem in menu.problems]
    return tuple(reasons)
