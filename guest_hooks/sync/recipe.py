# SPDX-License-Identifier: GPL-3.0-or-later
"""What grub-install chose for a core image, and when grub-mkimage may make the next one by that.

grub-install decides for the first time, after an upgrade of GRUB, and where anything but the file
system's UUID or GRUB's path on it has changed. What it decided is read from the core image that it
made.
"""

import re
from collections.abc import Sequence

from guest_hooks.errors import FormatError, GuestHooksError
from guest_hooks.formats import second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import mkimage
from guest_hooks.machine.receipts import Recipe
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem
from guest_hooks.records import replace
from guest_hooks.survey.observed import SurveyedTarget

# What grub-install writes for a plain disk (grub: util/grub-install.c); where it gives hints, they
# are about that disk.
_CONFIG = re.compile(r"search\.fs_uuid ([^ \n]+) root \nset prefix=\(\$root\)'([^'\n]+)'\n")
_PLAIN_PATH = re.compile(r"[A-Za-z0-9@/._+-]+")
"""What grub-install writes as it is, without a thought to quoting."""


def of(core: bytes, boot_modules: Sequence[str]) -> Recipe | None:
    """The recipe of `core`, which grub-install made for a file system that needs `boot_modules`;
    None where it can't be read.
    """
    try:
        read = second_stage.read(core).core
    except FormatError:
        return None
    if read is None:
        return None
    return Recipe(
        modules=tuple(module.name for module in read.modules),
        prefix=read.prefix,
        config=read.config,
        boot_modules=tuple(boot_modules),
    )


def adapted(recipe: Recipe, boot: BootFilesystem) -> Recipe | None:
    """`recipe` for the UUID and path by which GRUB finds `boot`; None where only grub-install
    knows what to change.
    """
    if not boot.grub_place.fs_uuid or tuple(boot.modules) != recipe.boot_modules:
        return None
    if boot.drive:
        return recipe if recipe.prefix == boot.drive + boot.grub_dir else None
    found = _CONFIG.fullmatch(recipe.config)
    if not found or found[2] != recipe.prefix or not _PLAIN_PATH.fullmatch(boot.grub_dir):
        return None
    uuid, prefix = boot.grub_place.fs_uuid, boot.grub_dir
    config = f"search.fs_uuid {uuid} root \nset prefix=($root)'{prefix}'\n"
    return replace(recipe, prefix=prefix, config=config)


def image(root: Root, there: SurveyedTarget) -> bytes | None:
    """The core image that grub-install would make for `there`, by grub-mkimage; None where it is
    not sure that these are the same bytes.

    It is sure where what it makes is the one that grub-install made before, byte for byte, but for
    another UUID of the same length; or where it also makes that one.
    """
    remembered, plan = there.evidence.remembered, there.plan
    recipe = remembered.recipe
    if recipe is None or (remembered.request, remembered.choices) != (plan.request, plan.choices):
        return None
    wanted = adapted(recipe, plan.boot)
    if wanted is None:
        return None
    foreseen = exchanged(standing(there), recipe, wanted)
    recipes = (wanted,) if foreseen else tuple(dict.fromkeys((recipe, wanted)))
    try:
        made = mkimage.make(root, plan.target, recipes, plan.choices)
    except (GuestHooksError, OSError):  # grub-install is asked, and says what is wrong
        return None
    is_sure = made[0] == foreseen if foreseen else sha256(made[0]) == remembered.core_sha256
    return made[-1] if is_sure else None


def standing(there: SurveyedTarget) -> bytes | None:
    """The core image that the last sync made, where it still stands anywhere."""
    evidence = there.evidence
    images = {each.sha256: each.data for each in evidence.found.values()}
    images[evidence.module_dir.core_sha256] = evidence.standing.files.get("core.elf")
    return images.get(evidence.remembered.core_sha256)


def exchanged(core: bytes | None, recipe: Recipe, wanted: Recipe) -> bytes | None:
    """`core`, which `recipe` made, as `wanted` makes it; None where the two differ in more than
    some letters of the configuration, or where that stands in it is not clear.
    """
    old, new = recipe.config.encode(), wanted.config.encode()
    is_alike = replace(recipe, config=wanted.config) == wanted and len(old) == len(new) > 0
    if core is None or not is_alike or core.count(old) != 1:
        return None
    return core.replace(old, new)
