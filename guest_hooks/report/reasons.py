# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a file was changed, in words: a phrase for each code that a `Change` can have, to follow "it"
or "because".
"""

from collections.abc import Iterable, Sequence

from guest_hooks.model import Change

REMOVED = ("bridge-unwanted", "pv-kernel-unwanted")
ROLLBACK = "rollback"
ON_HOLD = "Nothing was changed: automatic repairs are on hold or turned off."
_PAST = {
    "is": "was",
    "are": "were",
    "can": "could",
    "does": "did",
    "asks": "asked",
    "differs": "differed",
    "holds": "held",
    "lacks": "lacked",
    "looks": "looked",
    "names": "named",
}
_PRESENT = {verb: verb for verb in _PAST}
_FORCED = "you asked for it (--force)"
_REASONS = {
    "forced": _FORCED,
    "missing": "it {is} missing",
    "unreadable": "it {can} not be read",
    "foreign": "it {is} not made by grub-install (--adopt)",
    "uuid-mismatch": "it {looks} for another file system",
    "prefix-mismatch": "it {looks} for its modules in another place",
    "grub-differs": "another GRUB is installed",
    "modules-differ": "its modules {are} those of another GRUB",
    "modules-missing": "it {lacks} modules that it may need",
    "configuration-changed": "the configuration asks for other modules",
    "choices-differ": "grub-install was called with other options",
    "module-dir-differs": "its module directory {differs} from GRUB's",
    "core-image-differs": "its module directory {holds} another image",
    "copy-differs": "it {does} not match the second stage",
    "not-a-bridge": "it {can} not be started by a PVH stage 1",
    "bridge-unwanted": "the configuration says pvh_chainload = false",
    "grub-cfg-missing": "it {is} missing",
    "grub-cfg-unreadable": "it {can} not be read",
    "kernel-not-in-menu": "a kernel {is} not in it",
    "kernel-gone": "it {names} a kernel that is gone",
    "initrd-not-in-menu": "a kernel's initrd {is} not in it",
    "initrd-gone": "it {names} an initrd that is gone",
    "menu-of-another-disk": "it {looks} for another file system",
    "menu-of-another-root": "it {names} another root file system",
    "menu-of-builders-disk": "it {names} a disk of the machine that built the image",
    "no-handover": "it {does} not hand over to the second stage",
    "pv-kernel-not-in-menu": "a PV boot by it {does} not start the copy of a kernel",
    "pv-kernel-missing": "GRUB {can} not unpack the kernel for a PV guest",
    "pv-kernel-stale": "the kernel {is} another one",
    "pv-kernel-unwanted": "its kernel {is} gone, or no copy of it is wanted",
    "legacy-menu": "it {does} not name the second stage",
}
"""The others are damages of the file itself, for which one phrase is enough."""
_DAMAGED = "it {is} damaged"


def because(codes: Iterable[str], *, is_past: bool = True) -> str:
    """The reasons behind `codes`, each once: `it was missing`."""
    tense = _PAST if is_past else _PRESENT
    rows = (_REASONS.get(code, _DAMAGED).format(**tense) for code in codes)
    phrases = [*dict.fromkeys(rows)] or [_FORCED]
    *others, last = phrases
    return f"{', '.join(others)} and {last}" if others else last


def change_text(change: Change, *, dry_run: bool) -> str:
    """One change as one sentence: `Rebuilt PATH: it was missing.`."""
    why = because(change.why, is_past=not dry_run)
    if change.why == (ROLLBACK,):
        return f"Put back {change.path}: the second stage before the present one."
    if not change.after and change.why[:1] and change.why[0] in REMOVED:
        return f"{'Would remove' if dry_run else 'Removed'} {change.path}: {why}."
    if dry_run:
        return f"Would {'rebuild' if change.before else 'make'} {change.path}: {why}."
    return f"Rebuilt {change.path}: {why}."


def changes_text(changes: Sequence[Change], *, dry_run: bool) -> list[str]:
    """A line for each change."""
    return [change_text(change, dry_run=dry_run) for change in changes]
