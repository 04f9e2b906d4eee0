"""What the last sync did, remembered: /var/lib/xen-guest-bootloader/receipt.json, and the second stages before the present ones.

A receipt never makes anything right: it explains why a file is as it is. One that is damaged, newer than this program or missing
reads as empty and is written anew by the next sync.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from guest_hooks.machine import durable
from guest_hooks.machine.root import NotRegularError, Root

STATE_DIR = "/var/lib/xen-guest-bootloader"
RECEIPT = f"{STATE_DIR}/receipt.json"
PREVIOUS_DIR = f"{STATE_DIR}/previous"
SCHEMA = 1
MAX_SIZE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetReceipt:
    """One target: the core image made last, what grub-install was asked to embed, the image `rollback` put back (or empty)."""

    core_sha256: str = ""
    request: tuple[str, ...] = ()
    held_sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """All targets by name."""

    targets: Mapping[str, TargetReceipt] = field(default_factory=dict)

    def target(self, name: str) -> TargetReceipt:
        """What is remembered of `name`; an empty receipt where nothing is."""
        return self.targets.get(name, TargetReceipt())


def parse(data: bytes) -> Receipt:
    """The receipt that `data` holds, or an empty one where it is not one of this schema; never raises."""
    try:
        table = json.loads(data)
    except (ValueError, RecursionError):
        return Receipt()
    if not isinstance(table, dict) or table.get("schema") != SCHEMA or not isinstance(table.get("targets"), dict):
        return Receipt()
    return Receipt(targets={name: target for name, row in table["targets"].items() if (target := _target(row)) is not None})


def _target(row: object) -> TargetReceipt | None:
    if not isinstance(row, dict):
        return None
    core, request, held = row.get("core_sha256"), row.get("request"), row.get("held_sha256")
    if not isinstance(core, str) or not isinstance(held, str) or not isinstance(request, list):
        return None
    if not all(isinstance(name, str) for name in request):
        return None
    return TargetReceipt(core_sha256=core, request=tuple(request), held_sha256=held)


def load(root: Root) -> Receipt:
    """The receipt of this tree."""
    try:
        return parse(root.read(RECEIPT, limit=MAX_SIZE))
    except (OSError, NotRegularError):
        return Receipt()


def save(root: Root, receipt: Receipt) -> None:
    """Write the receipt, unless it says the same already."""
    if receipt == load(root):
        return
    table = {"schema": SCHEMA, "targets": {name: asdict(target) for name, target in sorted(receipt.targets.items())}}
    durable.make_dirs(root, STATE_DIR)
    durable.replace(root, RECEIPT, (json.dumps(table, indent=1) + "\n").encode())


def previous_path(target: str) -> str:
    """Where the second stage before the present one is kept."""
    return f"{PREVIOUS_DIR}/{target}.elf"


def keep_previous(root: Root, target: str, core: bytes) -> None:
    """Keep `core` for a later rollback of `target`."""
    durable.make_dirs(root, PREVIOUS_DIR)
    durable.replace(root, previous_path(target), core)


def load_previous(root: Root, target: str) -> bytes | None:
    """The core image kept for `target`, or None."""
    try:
        return root.read(previous_path(target))
    except (OSError, NotRegularError):
        return None
