# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `preflight`: the next boot, link by link."""

import shlex
from collections.abc import Sequence

from guest_hooks.cli.session import Session
from guest_hooks.config import LOCAL_DIR, Config, Stage1
from guest_hooks.errors import ExitCode, NotApplicableError, UsageError
from guest_hooks.machine import guest
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.config_files import configuration
from guest_hooks.model import Mode
from guest_hooks.preflight.next_boot import preflight
from guest_hooks.records import replace
from guest_hooks.report import boot_chain
from guest_hooks.report.next_steps import Given
from guest_hooks.survey import kernel_images, plan
from guest_hooks.survey.status import survey


def show_preflight(session: Session) -> ExitCode:
    """Follow it and print what was found."""
    options = session.options
    config = configuration(session.root, options.config)
    targets, given = options.target, session.given
    if options.mode:
        if targets:
            raise UsageError("--as and --target exclude each other", hint="leave one of them out")
        targets, there = _as_mode(session, Mode(options.mode), config)
        given, config = _to_keep(session, config, targets), there
    memory = Memory(session.root)
    status = survey(session.root, config, targets=targets, memory=memory).status
    answer = preflight(session.root, config, status, memory=memory)
    if session.root.is_live:  # nothing is left in an image
        memory.save()
    answer = given.with_package(status).preflight(answer)
    session.answer(boot_chain.preflight_json(answer))
    session.say(boot_chain.preflight_text(answer, session.style), is_wrong=not answer.ok)
    return ExitCode.OK if answer.ok else ExitCode.DIFFERS


def _as_mode(session: Session, mode: Mode, config: Config) -> tuple[list[str], Config]:
    """The targets of a guest that is started in `mode`, and the configuration to follow it by."""
    here = guest.detect(session.root)
    there = replace(here, mode=mode, efi=False)
    wanted = plan.wanted(there, Config(), (), kernel_images.names(session.root))
    # What is known of the stage 1 of one mode says nothing about that of another.
    known = config if mode is here.mode else replace(config, stage1=Stage1.AUTO)
    return [want.target.name for want in wanted], known


def _to_keep(session: Session, config: Config, targets: Sequence[str]) -> Given:
    """What was given, and what makes a sync look after `targets`, too."""
    given = session.given
    kernels = kernel_images.names(session.root)
    try:
        wanted = plan.wanted(guest.detect(session.root), config, (), kernels)
    except NotApplicableError:
        wanted = ()
    kept = {want.target.name for want in wanted}
    missing = [name for name in targets if name not in kept]
    if given.config or not missing:
        return replace(given, targets=tuple(missing))
    listed = ", ".join(f'"{name}"' for name in (*config.targets, *missing))
    file = shlex.quote(session.root.outside(f"{LOCAL_DIR}/50-targets.toml"))
    return replace(given, before_sync=f"echo 'targets = [{listed}]' >{file}")
