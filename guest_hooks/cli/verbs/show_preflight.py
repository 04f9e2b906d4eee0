# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `preflight`: the next boot, link by link."""

from guest_hooks.cli.session import Session
from guest_hooks.config import Config, Stage1
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.machine import guest
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.config_files import configuration
from guest_hooks.model import Mode
from guest_hooks.preflight.next_boot import preflight
from guest_hooks.records import replace
from guest_hooks.report import boot_chain
from guest_hooks.survey import kernel_images, plan
from guest_hooks.survey.status import survey


def show_preflight(session: Session) -> ExitCode:
    """Follow it and print what was found."""
    options = session.options
    config = configuration(session.root, options.config)
    targets = options.target
    if options.mode:
        if targets:
            raise UsageError("--as and --target exclude each other", hint="leave one of them out")
        targets, config = _as_mode(session, Mode(options.mode), config)
    memory = Memory(session.root)
    status = survey(session.root, config, targets=targets, memory=memory).status
    answer = preflight(session.root, config, status, memory=memory)
    if session.root.is_live:  # nothing is left in an image
        memory.save()
    answer = session.given.preflight(answer)
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
