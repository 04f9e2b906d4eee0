# SPDX-License-Identifier: GPL-3.0-or-later
"""A /boot whose file system this guest's own GRUB can't read: GRUB's tools refuse it, and the
answer names the feature.
"""

from collections.abc import Iterator

import pytest

from tests.support import images, report_schema
from tests.support.chroot_guest import ChrootGuest
from tests.support.debian_tree import Suite
from tests.support.outside_guest import Outcome, OutsideGuest, live_guest, verb

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


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("sync", "--force"), 4),
        (("sync", "--dry-run"), 3),
        (("sync", "--quiet", "--automatic"), 4),
        (("hook", "trigger"), 4),
        (("hook", "kernel-postinst", "6.1"), 0),
    ],
    ids=["forced", "dry-run", "service", "trigger", "kernel"],
)
def test_a_sync_says_why_it_can_make_nothing(
    guest: ChrootGuest, words: tuple[str, ...], code: int
) -> None:
    done = verb(guest, *words, code=code)
    assert "inline_data" in done.stderr
    assert "made without inline_data" in done.stderr


def test_a_sync_s_answer_has_the_finding(guest: ChrootGuest) -> None:
    answer = verb(guest, "sync", "--json", code=4).json
    assert report_schema.complaints(answer, "sync") == []
    assert CODE in [problem["code"] for problem in answer["problems"]]


def as_a_volume(guest: ChrootGuest, *words: str) -> Outcome:
    """Run the program where /boot lies on a volume: GRUB's name of it is asked of GRUB alone."""
    script = (
        "import sys; from guest_hooks import cli; from guest_hooks.machine import disks;"
        f" disks._is_volume = lambda _device: True; sys.exit(cli.main({list(words)!r}))"
    )
    done = guest.run("python3", "-c", script, check=False)
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


@pytest.mark.parametrize("words", [("status",), ("preflight",)])
def test_a_volume_is_no_exception(guest: ChrootGuest, words: tuple[str, ...]) -> None:
    done = as_a_volume(guest, *words, "--json")
    assert (done.code, done.json["ok" if words == ("status",) else "will_boot"]) == (3, False)
    assert CODE in done.stdout
    metrics = as_a_volume(guest, "status", "--metrics")
    assert (metrics.code, "xen_guest_bootloader_ok 0\n" in metrics.stdout) == (3, True)
    assert as_a_volume(guest, "sync").code == 4


def test_the_same_from_outside(guest: ChrootGuest) -> None:
    tree = OutsideGuest(disk=guest.disk, suite=Suite.BOOKWORM)
    answer = tree.run("preflight", "--json", PV, code=3).json
    assert CODE in [finding["code"] for finding in answer["findings"]]
    assert tree.run("status", "--json", PV, code=3).json["ok"] is False
    assert "inline_data" in tree.run("sync", PV, code=4).stderr


@pytest.fixture
def refused(guest: ChrootGuest) -> Iterator[ChrootGuest]:
    """The guest's own GRUB refuses a file system in which nothing is known that it can't read."""
    device, top = guest.disk.root.device, str(guest.directory)
    for feature in ("-inline_data", "inline_data"):
        images.tool("umount", top)
        images.tool("debugfs", "-w", "-R", f"feature {feature}", device)
        images.tool("mount", device, top)
        if feature == "-inline_data":
            tool, real = guest.path("/usr/sbin/grub-probe"), guest.path("/usr/sbin/grub-probe.real")
            tool.rename(real)
            guest.write("/usr/sbin/grub-probe", REFUSES, mode=0o755)
            yield guest
            real.rename(tool)


REFUSES = """#!/bin/sh
case $* in
    *--target=fs*) echo "grub-probe: error: unknown filesystem." >&2; exit 1 ;;
esac
exec /usr/sbin/grub-probe.real "$@"
"""


def test_what_grub_says_is_passed_on_where_no_feature_is_known(refused: ChrootGuest) -> None:
    status = verb(refused, "status", "--json", code=3).json
    (problem,) = [each for each in status["problems"] if each["code"] == CODE]
    assert problem["message"].endswith("(ext4): grub-probe: error: unknown filesystem.")
    assert "ext4, XFS or btrfs" in problem["hint"]
    assert "xen_guest_bootloader_ok 0\n" in verb(refused, "status", "--metrics", code=3).stdout
    assert verb(refused, "preflight", "--json", code=3).json["will_boot"] is False
    assert "unknown filesystem" in verb(refused, "sync", "--force", code=4).stderr
