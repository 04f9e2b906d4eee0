# SPDX-License-Identifier: GPL-3.0-or-later
"""The verb `stage1`: a stage 1 for a host."""

from guest_hooks.cli.session import Session, stdout
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.host import stage1_image
from guest_hooks.program import PROGRAM
from guest_hooks.report import as_json
from guest_hooks.sizes import size
from guest_hooks.targets import named

DEFAULT_STAGE1 = "x86_64-xen"


def make_stage1(session: Session) -> ExitCode:
    """Print its configuration, or build the image."""
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
        session.answer(as_json.stage1_json(target.name, config=text))
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
        as_json.stage1_json(target.name, path=made.path, size=made.size, modules=made.modules)
    )
    session.say(
        [f"{made.path}: a stage 1 for {target.name}, {made.modules} modules, {size(made.size)}"]
    )
    return ExitCode.OK
