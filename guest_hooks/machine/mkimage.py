# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-mkimage, which makes a core image out of what grub-install once chose, in a tenth of its
time.
"""

import shlex
from collections.abc import Mapping, Sequence

from guest_hooks.machine import durable, installer, sandbox, staging
from guest_hooks.machine.receipts import Recipe
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import run
from guest_hooks.model import Choices
from guest_hooks.paths import BOOT_XEN
from guest_hooks.targets import Target

TIMEOUT = 60


def make(
    root: Root, target: Target, recipes: Sequence[Recipe], choices: Choices
) -> tuple[bytes, ...]:
    """The core image of each of `recipes`, made beside the live files by this root's own GRUB.

    Raises as `installer.staged`, and `OSError` where what was made can't be read.
    """
    need = 2 * installer.size_of_modules(root, target.lib_dir)
    binds = [sandbox.Bind(name=staging.XEN, path=BOOT_XEN)]
    files = {f"config-{number}": recipe.config.encode() for number, recipe in enumerate(recipes)}
    files |= {f"key-{number}": key for number, key in enumerate(choices.public_keys)}
    if not root.is_live:
        durable.make_dirs(root, BOOT_XEN)
    with staging.stage(root, need, binds, files) as place, sandbox.namespace():
        # The guest's own grub-mkimage writes to staging itself, a tree's is shown it as /boot/xen.
        where = f"{place.top.path}/{staging.XEN}" if root.is_live else BOOT_XEN
        command = _command(target, recipes, files, choices, where=where)
        confined = command if root.is_live else place.command(command)
        run(confined, name="grub-mkimage", timeout=TIMEOUT)
        return tuple(
            place.top.read(f"/{staging.XEN}/core-{number}", limit=installer.MAX_CORE)
            for number in range(len(recipes))
        )


def _command(
    target: Target,
    recipes: Sequence[Recipe],
    files: Mapping[str, bytes],
    choices: Choices,
    *,
    where: str,
) -> list[str]:
    """One command for all recipes: in a tree, each would need a confinement of its own."""
    options = ["-O", target.name, "-d", target.lib_dir]
    options += [
        word for name in files if name.startswith("key-") for word in ("-k", f"{where}/{name}")
    ]
    options += [] if choices.has_cli else ["--disable-cli"]
    commands = [
        [
            "grub-mkimage",
            *options,
            *("-p", recipe.prefix),
            *(("-c", f"{where}/config-{number}") if recipe.config else ()),
            *("-o", f"{where}/core-{number}"),
            *recipe.modules,
        ]
        for number, recipe in enumerate(recipes)
    ]
    return commands[0] if len(commands) == 1 else ["sh", "-c", _at_once(commands)]


def _at_once(commands: Sequence[Sequence[str]]) -> str:
    """Shell that runs all `commands` beside each other, and ends with the code of one that
    failed when the last has ended.
    """
    started = [f'{shlex.join(command)} & started="$started $!"' for command in commands]
    ended = "for each in $started; do wait $each || code=$?; done"
    return "\n".join(("started= code=0", *started, ended, "exit $code"))
