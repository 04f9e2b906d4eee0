# SPDX-License-Identifier: GPL-3.0-or-later
"""A /boot whose file system this guest's own GRUB can't read: GRUB's tools refuse it, and the
answer names the feature.
"""

from collections.abc import Iterator

import pytest

from tests.support import images
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Suite
from tests.support.outside_guest import OutsideGuest, live_guest, verb

CODE = "boot-file-system-unreadable"
PV = "--target=x86_64-xen"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChrootGuest]:
    """A guest with all in place, whose file system then gets a feature that no GRUB reads."""
    with live_guest(Suite.BOOKWORM, tmp_path_factory.mktemp("live")) as guest:
        verb(guest, "sync")
        device, top = guest.disk.root.device, str(guest.directory)
        images.tool("umount", top)
        images.tool("debugfs", "-w", "-R", "feature inline_data", device)
        images.tool("mount", device, top)
        yield guest


def test_status_names_the_feature_and_metrics_follow(guest: ChrootGuest) -> None:
    status = verb(guest, "status", "--json", code=3).json
    assert status["ok"] is False
    (problem,) = [each for each in status["problems"] if each["code"] == CODE]
    assert "inline_data" in problem["message"]
    assert "inline_data" in problem["hint"]
    assert status["boot"]["fs_uuid"] == guest.disk.root.uuid
    assert "xen_guest_bootloader_ok 0\n" in verb(guest, "status", "--metrics", code=3).stdout


def test_the_next_boot_ends_there(guest: ChrootGuest) -> None:
    assert guest.disk.given.cat("/boot/grub/grub.cfg") is None
    answer = verb(guest, "preflight", "--json", code=3).json
    assert CODE in [finding["code"] for finding in answer["findings"]]
    assert answer["will_boot"] is False


def test_a_sync_says_why_it_can_make_nothing(guest: ChrootGuest) -> None:
    assert "inline_data" in verb(guest, "sync", "--force", code=7).stderr


def test_the_same_from_outside(guest: ChrootGuest) -> None:
    tree = OutsideGuest(disk=guest.disk, suite=Suite.BOOKWORM)
    answer = tree.run("preflight", "--json", PV, code=3).json
    assert CODE in [finding["code"] for finding in answer["findings"]]
    assert tree.run("status", "--json", PV, code=3).json["ok"] is False
    assert "inline_data" in tree.run("sync", PV, code=7).stderr
