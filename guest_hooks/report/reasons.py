# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a file was changed, in words: a phrase for each code that a `Change` can have, to follow "it"
or "because".
"""

from collections.abc import Iterable, Sequence

from guest_hooks.model import Change

REMOVED = ("bridge-unwanted", "kernel-copy-unwanted")
ROLLBACK = "rollback"
_FORCED = "you asked for it (--force)"
_REASONS = {
    "forced": _FORCED,
    "missing": "it was missing",
    "unreadable": "it could not be read",
    "foreign": "it was not made by grub-install (--adopt)",
    "uuid-mismatch": "it looked for another file system",
    "prefix-mismatch": "it looked for its modules in another place",
    "grub-differs": "another GRUB is installed",
    "modules-differ": "its modules were those of another GRUB",
    "modules-missing": "it lacked modules that it may need",
    "configuration-changed": "the configuration asks for other modules",
    "choices-differ": "grub-install was called with other options",
    "module-dir-differs": "its module directory differed from GRUB's",
    "core-image-differs": "its module directory held another image",
    "copy-differs": "it did not match the second stage",
    "not-a-bridge": "it could not be started by a PVH stage 1",
    "bridge-damaged": "it was damaged",
    "bridge-unwanted": "the configuration says pvh_chainload = false",
    "grub-cfg-missing": "it was missing",
    "grub-cfg-unreadable": "it could not be read",
    "grub-cfg-invalid": "it was damaged",
    "kernel-not-in-menu": "a kernel was not in it",
    "kernel-gone": "it named a kernel that is gone",
    "initrd-not-in-menu": "a kernel's initrd was not in it",
    "initrd-gone": "it named an initrd that is gone",
    "menu-of-another-disk": "it looked for another file system",
    "menu-of-another-root": "it named another root file system",
    "menu-of-builders-disk": "it named a disk of the machine that built the image",
    "no-handover": "it did not hand over to the second stage",
    "legacy-menu": "it did not name the second stage",
}
"""What else there is are damages of the image itself (formats/second_stage_rules): one phrase is
enough for them.
"""
_DAMAGED = "it was damaged"


def because(codes: Iterable[str]) -> str:
    """The reasons behind `codes`, each once: `it was missing`, `it was damaged and it looked for
    another file system`.
    """
    phrases = list(dict.fromkeys(_REASONS.get(code, _DAMAGED) for code in codes)) or [_FORCED]
    return " and ".join((", ".join(phrases[:-1]), phrases[-1])) if len(phrases) > 1 else phrases[0]


def change_text(change: Change, *, dry_run: bool) -> str:
    """One change as one sentence: `Rebuilt PATH: it was missing.`."""
    if change.why == (ROLLBACK,):
        return f"Put back {change.path}: the second stage before the present one."
    if change.after == "" and change.why[:1] and change.why[0] in REMOVED:
        return f"{'Would remove' if dry_run else 'Removed'} {change.path}: {because(change.why)}."
    return f"{'Would rebuild' if dry_run else 'Rebuilt'} {change.path}: {because(change.why)}."


def changes_text(changes: Sequence[Change], *, dry_run: bool) -> list[str]:
    """A line for each change."""
    return [change_text(change, dry_run=dry_run) for change in changes]
