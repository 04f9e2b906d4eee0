# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last sync did, remembered: /var/lib/xen-guest-bootloader/receipt.json, and the
second stages before the present ones.

A receipt never makes anything right: it explains why a file is as it is. One that is damaged, newer
than this program or missing reads as empty and is written again by the next sync.
"""

import base64
import json
from collections.abc import Collection, Mapping

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import stored
from guest_hooks.machine.root import Root
from guest_hooks.model import Choices, Problem
from guest_hooks.paths import PREVIOUS_DIR, RECEIPT, STATE_DIR
from guest_hooks.problems.runs import RunProblem
from guest_hooks.records import asdict, dataclass, field, replace

SCHEMA = 1
MAX_SIZE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What grub-install gave to grub-mkimage: the modules in their order, the prefix, the
    configuration. `boot_modules` are those that it chose for /boot's file system.
    """

    modules: tuple[str, ...]
    prefix: str
    config: str
    boot_modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReceipt:
    """One target: the core image made last, what grub-install was asked to embed, the image
    `rollback` put back (or empty).

    `choices` are what a grub-install by hand asked for; by `recipe` grub-mkimage makes that core
    image again.
    """

    core_sha256: str = ""
    request: tuple[str, ...] = ()
    held_sha256: str = ""
    choices: Choices = field(default_factory=Choices)
    recipe: Recipe | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A file that was not replaced, because the guest would not boot by what was made: the
    sha256 of both, and the words.
    """

    sha256: str
    made_sha256: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """All targets by name, and what was kept by path."""

    targets: Mapping[str, TargetReceipt] = field(default_factory=dict)
    kept: Mapping[str, Kept] = field(default_factory=dict)

    def target(self, name: str) -> TargetReceipt:
        """What is remembered of `name`; an empty receipt where nothing is."""
        return self.targets.get(name, TargetReceipt())


def parse(data: bytes) -> Receipt:
    """The receipt that `data` holds, or an empty one where it is not one of this schema; never
    raises.
    """
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        return Receipt()
    if (
        not isinstance(table, dict)
        or table.get("schema") != SCHEMA
        or not isinstance(table.get("targets"), dict)
    ):
        return Receipt()
    rows = table.get("kept")
    return Receipt(
        targets={
            name: target
            for name, row in table["targets"].items()
            if (target := _target(row)) is not None
        },
        kept=(
            {path: kept for path, row in rows.items() if (kept := stored.record(Kept, row))}
            if isinstance(rows, dict)
            else {}
        ),
    )


def _target(row: object) -> TargetReceipt | None:
    if not isinstance(row, dict):
        return None
    core, request, held = row.get("core_sha256"), row.get("request"), row.get("held_sha256")
    if not isinstance(core, str) or not isinstance(held, str) or not isinstance(request, list):
        return None
    if not all(isinstance(name, str) for name in request):
        return None
    return TargetReceipt(
        core_sha256=core,
        request=tuple(request),
        held_sha256=held,
        choices=_choices(row.get("choices")),
        recipe=stored.record(Recipe, row.get("recipe")),
    )


def _choices(table: object) -> Choices:
    """The choices of a row; none where it has none, as those of older versions, or where they
    can't be read.
    """
    if not isinstance(table, dict):
        return Choices()
    try:
        return Choices(
            modules=tuple(map(str, table["modules"])),
            public_keys=tuple(base64.b64decode(key, validate=True) for key in table["public_keys"]),
            has_cli=table["has_cli"] is not False,
        )
    except (KeyError, TypeError, ValueError):
        return Choices()


def _row(target: TargetReceipt) -> dict[str, object]:
    choices = {
        "modules": list(target.choices.modules),
        "public_keys": [base64.b64encode(key).decode() for key in target.choices.public_keys],
        "has_cli": target.choices.has_cli,
    }
    row: dict[str, object] = {
        "core_sha256": target.core_sha256,
        "request": list(target.request),
        "held_sha256": target.held_sha256,
    }
    row |= {"choices": choices} if target.choices != Choices() else {}
    return row | ({"recipe": asdict(target.recipe)} if target.recipe else {})


def load(root: Root) -> Receipt:
    """The receipt of this tree."""
    return parse(root.content(RECEIPT, limit=MAX_SIZE) or b"")


def save(root: Root, receipt: Receipt) -> tuple[Problem, ...]:
    """Write the receipt, unless it says the same already; that it can't be written is a
    warning, for it decides no boot.
    """
    if receipt == load(root):
        return ()
    table = {
        "schema": SCHEMA,
        "targets": {name: _row(target) for name, target in sorted(receipt.targets.items())},
        "kept": {path: asdict(kept) for path, kept in sorted(receipt.kept.items())},
    }
    from guest_hooks.machine import durable  # noqa: PLC0415 - who only reads loads no writer

    try:
        durable.make_dirs(root, STATE_DIR)
        durable.replace(root, RECEIPT, (json.dumps(table, indent=1) + "\n").encode())
    except GuestHooksError as error:
        message = f"what was installed could not be noted: {error.message}"
        return (Problem.of(RunProblem.RECEIPT_NOT_KEPT, message, step=error.hint),)
    return ()


def end_holds(root: Root, names: Collection[str]) -> None:
    """Let automatic runs replace what `rollback` put back for the targets `names`, or for all."""
    receipt = load(root)
    targets = {
        name: replace(target, held_sha256="") if name in names or not names else target
        for name, target in receipt.targets.items()
    }
    save(root, replace(receipt, targets=targets))


def previous_path(target: str) -> str:
    """Where the second stage before the present one is kept."""
    return f"{PREVIOUS_DIR}/{target}.elf"


def keep_previous(root: Root, target: str, core: bytes) -> None:
    """Keep `core` for a later rollback of `target`."""
    from guest_hooks.machine import durable  # noqa: PLC0415 - as above

    durable.make_dirs(root, PREVIOUS_DIR)
    durable.replace(root, previous_path(target), core)


def load_previous(root: Root, target: str) -> bytes | None:
    """The core image kept for `target`, or None."""
    return root.content(previous_path(target))
