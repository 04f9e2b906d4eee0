# SPDX-License-Identifier: GPL-3.0-or-later
"""Records from JSON: whole and of the right types, or not at all."""

import json

import pytest

from guest_hooks.machine import stored
from guest_hooks.machine.receipts import Kept, Recipe
from guest_hooks.records import asdict
from guest_hooks.repairs import ServiceStatus

RECORDS = (
    Kept(sha256="a", made_sha256="b", message="c", hint=""),
    Recipe(modules=("xfs", "linux"), prefix="(xen/xvda)/grub", config="", boot_modules=()),
    ServiceStatus(running=True, pid=7, troubles=("no inotify",)),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: type(record).__name__)
def test_what_was_written_is_read_back(record: Kept | Recipe | ServiceStatus) -> None:
    assert stored.record(type(record), json.loads(json.dumps(asdict(record)))) == record


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(None, id="no-object"),
        pytest.param({"pid": None}, id="null"),
        pytest.param({"pid": True}, id="truth-for-a-number"),
        pytest.param({"running": 1}, id="number-for-a-truth"),
        pytest.param({"since": ["a"]}, id="list-for-a-text"),
        pytest.param({"troubles": "ab"}, id="text-for-a-list"),
        pytest.param({"troubles": ["a", 1]}, id="list-of-other-things"),
    ],
)
def test_a_record_of_wrong_types_is_none(wrong: dict[str, object] | None) -> None:
    table = None if wrong is None else asdict(ServiceStatus()) | wrong
    assert stored.record(ServiceStatus, table) is None


def test_a_record_without_one_of_its_fields_is_none() -> None:
    table = asdict(ServiceStatus())
    for name in table:
        without = {key: value for key, value in table.items() if key != name}
        assert stored.record(ServiceStatus, without) is None
