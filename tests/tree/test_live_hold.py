# SPDX-License-Identifier: GPL-3.0-or-later
"""While repairs are on hold or turned off, automatic runs look and report; a person's repair."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guest_hooks.errors import ExitCode
from tests.support import report_schema
from tests.support.chroot_guest import ChrootGuest
from tests.support.outside_guest import verb

FILE = "/boot/xen/pvboot-x86_64.elf"
AUTOMATIC = (("sync", "--automatic"), ("hook", "trigger"), ("hook", "first-boot"))
WORDS = f"Would make {FILE}: it is missing.\n"


@contextmanager
def held(guest: ChrootGuest) -> Iterator[None]:
    verb(guest, "hold", "--until", "2h")
    yield
    verb(guest, "unhold")


@contextmanager
def off(guest: ChrootGuest) -> Iterator[None]:
    guest.write("/etc/xen-guest-bootloader/conf.d/50-off.toml", "repair = false\n")
    yield
    shutil.rmtree(guest.path("/etc/xen-guest-bootloader"))


@pytest.mark.parametrize(("way", "state"), [(held, "held"), (off, "off")])
def test_automatic_runs_change_nothing(settled: ChrootGuest, way: object, state: str) -> None:
    with way(settled):  # type: ignore[operator]
        settled.path(FILE).unlink()
        for words in AUTOMATIC:
            done = verb(settled, *words, code=None)
            assert done.code == (ExitCode.DIFFERS if words[0] == "sync" else ExitCode.OK)
            assert WORDS in done.stdout + done.stderr
            assert "Nothing was changed: " in done.stdout + done.stderr
            assert not settled.path(FILE).exists()
        table = verb(settled, "status", "--json", code=None).json
        assert report_schema.complaints(table, "status") == []
        assert table["repair"]["state"] == state
        assert (
            "xen_guest_bootloader_repair_held 1\n"
            in verb(settled, "status", "--metrics", code=None).stdout
        )
        verb(settled, "sync")
        assert settled.path(FILE).exists()
    assert verb(settled, "status", "--json", code=None).json["repair"]["state"] == "on"
    settled.path(FILE).unlink()
    verb(settled, "sync", "--automatic")
    assert settled.path(FILE).exists()
