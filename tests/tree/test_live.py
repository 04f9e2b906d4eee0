# SPDX-License-Identifier: GPL-3.0-or-later
"""The running guest, with a real kernel: the cheap look that nothing has changed, and what ends
it.
"""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from guest_hooks import __version__
from tests.support import images, report_schema
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.outside_guest import CHEAP, snapshot, verb

FILE = "/boot/xen/pvboot-x86_64.elf"
FINGERPRINT = "/var/lib/xen-guest-bootloader/fingerprint"
CFG = "/boot/grub/grub.cfg"


def test_what_is_installed_is_what_the_guest_is(guest: ChrootGuest) -> None:
    table = verb(guest, "status", "--json", code=None).json
    assert report_schema.complaints(table, "status") == []
    assert [(row["target"], row["required"], row["state"]) for row in table["targets"]] == [
        ("x86_64-xen", True, "current")
    ]
    assert (table["guest"]["mode"], table["grub_cfg"]["state"], table["ok"]) == (
        "pv",
        "current",
        table["next_boot"]["ok"],
    )


def test_a_host_that_switches_to_pvh_makes_its_files_wanted(settled: ChrootGuest) -> None:
    settled.platform = Platform.PVH
    assert verb(settled, "status", "--json", code=3).states() == {"i386-xen_pvh": "missing"}
    assert "Second stage missing" in verb(settled, "status", "--quiet", code=3).stdout
    assert CHEAP not in verb(settled, "sync").stdout
    assert verb(settled, "status", "--json", code=None).states() == {"i386-xen_pvh": "current"}


@pytest.mark.parametrize("platform", [Platform.HVM, Platform.DOM0, Platform.NONE])
def test_where_it_does_not_belong_it_writes_nothing(
    settled: ChrootGuest, platform: Platform
) -> None:
    settled.platform = platform
    before = snapshot(settled.path("/boot"))
    done = verb(settled, "sync", code=5)
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert snapshot(settled.path("/boot")) == before


def test_the_cheap_look_writes_nothing(settled: ChrootGuest) -> None:
    before = snapshot(settled.path("/boot"), settled.path("/var/lib"), settled.path("/etc"))
    assert verb(settled, "sync").stdout == CHEAP
    assert verb(settled, "sync", "--quiet", "--automatic").stdout == ""
    assert snapshot(settled.path("/boot"), settled.path("/var/lib"), settled.path("/etc")) == before


def same_size_and_time(path: Path, data: bytes) -> None:
    """Replace a file by another of the same length and time; nothing but its inode and its
    change time tell.
    """
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(data)
    other.chmod(status.st_mode & 0o7777)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def same_size_in_place(path: Path, data: bytes) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def spoiled(data: bytes) -> bytes:
    return data[:-40] + bytes(40)


@pytest.mark.parametrize("replace", [same_size_and_time, same_size_in_place])
@pytest.mark.parametrize(
    "path",
    [
        FILE,
        "/boot/grub/x86_64-xen/core.elf",
        "/boot/grub/x86_64-xen/normal.mod",
        "/usr/lib/grub/x86_64-xen/normal.mod",
    ],
)
def test_a_file_of_the_same_size_and_time_is_seen_in_the_same_second(
    guest: ChrootGuest, path: str, replace: Callable[[Path, bytes], None]
) -> None:
    """The file is replaced in the very moment that a sync ends, within one second of its own
    time.
    """
    good = guest.read("/usr/lib/grub/x86_64-xen/normal.mod")
    guest.path(FILE).unlink()
    verb(guest, "sync")  # writes the second stage, and remembers that all is well
    replace(guest.path(path), spoiled(guest.read(path)))
    assert CHEAP not in verb(guest, "sync", code=None).stdout
    guest.path("/usr/lib/grub/x86_64-xen/normal.mod").write_bytes(good)
    verb(guest, "sync")
    table = verb(guest, "status", "--json", code=None).json
    assert [target["state"] for target in table["targets"]] == ["current"]


def upgraded(guest: ChrootGuest) -> None:
    """Let the fingerprint be that of the version before."""
    guest.write(
        FINGERPRINT,
        guest.read(FINGERPRINT).decode().replace(f" of {__version__}\n", " of 0.9.9\n", 1),
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(
            lambda guest: guest.write("/etc/xen-guest-bootloader/config.toml", ""),
            id="configuration-made",
        ),
        pytest.param(
            lambda guest: guest.write("/etc/xen-guest-bootloader/conf.d/a.toml", ""),
            id="configuration-added",
        ),
        pytest.param(
            lambda guest: guest.path("/usr/lib/grub/x86_64-xen/hexdump.mod").touch(),
            id="package-touched",
        ),
        pytest.param(
            lambda guest: guest.path("/usr/lib/grub/x86_64-xen/new.mod").touch(), id="module-added"
        ),
        pytest.param(lambda guest: guest.path(CFG).touch(), id="grub-cfg-touched"),
        pytest.param(
            lambda guest: guest.path("/boot/vmlinuz-6.99.0-cloud-amd64").write_bytes(b"x"),
            id="kernel-added",
        ),
        pytest.param(lambda guest: guest.path("/etc/fstab").touch(), id="fstab"),
        pytest.param(
            lambda guest: guest.write(FINGERPRINT, guest.read(FINGERPRINT).decode()[:-40]),
            id="fingerprint-damaged",
        ),
        pytest.param(upgraded, id="package-upgraded"),
        pytest.param(lambda guest: guest.write(FINGERPRINT, ""), id="fingerprint-empty"),
        pytest.param(lambda guest: guest.path(FINGERPRINT).unlink(), id="fingerprint-deleted"),
    ],
)
def test_what_may_matter_ends_the_cheap_look(
    settled: ChrootGuest, change: Callable[[ChrootGuest], object]
) -> None:
    change(settled)
    assert verb(settled, "sync").stdout != CHEAP
    for path in (
        "/etc/xen-guest-bootloader",
        "/usr/lib/grub/x86_64-xen/new.mod",
        "/boot/vmlinuz-6.99.0-cloud-amd64",
    ):
        there = settled.path(path)
        shutil.rmtree(there) if there.is_dir() else there.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "words",
    [["--force"], ["--dry-run"], ["--target=x86_64-xen", "--dry-run"], ["--json"], ["--adopt"]],
    ids=lambda words: words[0],
)
def test_whoever_asks_for_more_gets_more(settled: ChrootGuest, words: list[str]) -> None:
    assert verb(settled, "sync", *words).stdout != CHEAP


def test_named_targets_have_a_cheap_look_of_their_own(settled: ChrootGuest) -> None:
    named = ("sync", "--target", "x86_64-xen")
    assert verb(settled, *named).stdout != CHEAP
    assert verb(settled, *named).stdout == CHEAP
    settled.path(FILE).unlink()
    assert verb(settled, *named).stdout != CHEAP
    assert settled.path(FILE).exists()


SURVEYS = ["python3", "-X", "importtime", "-m", "guest_hooks", "sync"]
"""Python tells on standard error what it loads."""


def test_a_lost_second_stage_is_put_back_without_a_survey(settled: ChrootGuest) -> None:
    core = settled.read(FILE)
    verb(settled, "sync")
    settled.path(FILE).unlink()
    done = settled.run(*SURVEYS)
    assert done.stdout == f"Rebuilt {FILE}: it was missing.\n"
    assert "guest_hooks.survey" not in done.stderr
    assert settled.read(FILE) == core
    assert verb(settled, "sync").stdout == CHEAP
    assert verb(settled, "status", "--json", code=None).states() == {"x86_64-xen": "current"}


def test_it_is_not_where_repairs_are_turned_off(settled: ChrootGuest) -> None:
    settled.write("/etc/xen-guest-bootloader/config.toml", "repair = false\n")
    verb(settled, "sync")
    settled.path(FILE).unlink()
    verb(settled, "sync", "--automatic", code=3)
    assert not settled.path(FILE).exists()
    assert "guest_hooks.survey" in settled.run(*SURVEYS).stderr
    assert settled.path(FILE).exists()


@pytest.mark.parametrize(
    "words", [["status", "--metrics"], ["sync", "--force"], ["preflight"]], ids=" ".join
)
def test_grub_s_tools_are_found_where_cron_s_path_leaves_them_out(
    settled: ChrootGuest, words: list[str]
) -> None:
    expected = verb(settled, *words, code=None)
    done = settled.run(
        "env", "PATH=/usr/bin:/bin", "python3", "-m", "guest_hooks", *words, check=False
    )
    assert (done.returncode, done.stderr) == (expected.code, expected.stderr)
    assert "not installed" not in done.stderr


WITHOUT_AN_INITRD = """
import sys
from guest_hooks import cli
from guest_hooks.machine import mounts
mounts.MOUNTINFO = "/tmp/mountinfo"
sys.exit(cli.main(sys.argv[1:]))
"""
"""Runs the program with the mount table of a kernel that mounted its root itself."""


def test_a_root_that_the_kernel_mounted_by_itself(settled: ChrootGuest) -> None:
    device = settled.disk.root.device
    table = (
        f"sed 's# {device} # /dev/root #' /proc/self/mountinfo >/tmp/mountinfo; grep -q /dev/root"
        " /tmp/mountinfo"
    )
    settled.write("/tmp/program", WITHOUT_AN_INITRD)
    settled.path(FILE).unlink()
    settled.shell(f"{table}; python3 /tmp/program sync")
    assert f"\nuuid\t{device}\t{settled.disk.root.uuid} " in settled.read(FINGERPRINT).decode()
    assert verb(settled, "sync").stdout == CHEAP


def test_a_menu_of_grub_legacy_that_is_gone_is_made_anew(settled: ChrootGuest) -> None:
    menu = settled.path("/boot/grub/menu.lst")
    settled.write("/etc/xen-guest-bootloader/conf.d/legacy.toml", "legacy_menu = true\n")
    try:
        verb(settled, "sync")
        assert verb(settled, "sync").stdout == CHEAP
        menu.unlink()
        verb(settled, "status", code=3)
        verb(settled, "sync")
        assert menu.exists()
    finally:
        shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))
        menu.unlink(missing_ok=True)


def test_a_user_whom_nobody_tells_the_uuid_is_not_told_that_all_is_well(
    settled: ChrootGuest,
) -> None:
    """No udev runs here, and the disk is root's to read."""
    as_nobody = (
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "python3",
        "-m",
        "guest_hooks",
    )
    done = settled.run(*as_nobody, "status", "--json", check=False)
    table = json.loads(done.stdout)
    assert report_schema.complaints(table, "status") == []
    assert (done.returncode, table["ok"], table["grub_cfg"]["state"]) == (3, False, "unknown")
    (target,) = table["targets"]
    assert (target["state"], [problem["code"] for problem in target["problems"]]) == (
        "unknown",
        ["boot-not-known"],
    )
    assert "sudo" in target["problems"][0]["hint"]


def test_boot_at_another_place_of_its_file_system_ends_the_cheap_look(settled: ChrootGuest) -> None:
    """The same files behind a bind mount, none of them changed: GRUB comes to them by another
    path.
    """
    boot, moved = settled.path("/boot"), settled.path("/boot.moved")
    boot.rename(moved)
    boot.mkdir()
    images.tool("mount", "--bind", str(moved), str(boot))
    try:
        assert CHEAP not in verb(settled, "sync", code=None).stdout
        assert (
            verb(settled, "status", "--json", code=None).json["targets"][0]["prefix"]
            == "($root)/boot.moved/grub"
        )
    finally:
        images.tool("umount", str(boot))
        boot.rmdir()
        moved.rename(boot)
    verb(settled, "sync")


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param(place, words, id=f"{words[0]}-{place}")
        for place, verbs in (
            ("/boot", (("detect",), ("status",), ("preflight",), ("sync", "--dry-run"))),
            (
                "/boot/xen",
                (("status",), ("status", "--metrics"), ("preflight",), ("sync", "--dry-run")),
            ),
            ("/boot/grub", (("status",),)),
            ("/boot/grub/x86_64-xen", (("status",),)),
            ("/usr/lib/grub/x86_64-xen", (("status",),)),
        )
        for words in verbs
    ],
)
def test_what_is_root_s_alone_is_named_to_another(
    guest: ChrootGuest, place: str, words: tuple[str, ...]
) -> None:
    guest.platform = Platform.PV
    as_nobody = (
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "python3",
        "-m",
        "guest_hooks",
    )
    guest.path(place).chmod(0o700)
    try:
        done = guest.run(*as_nobody, *words, check=False)
    finally:
        guest.path(place).chmod(0o755)
    assert done.returncode == 7, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"xen-guest-bootloader: error: {place} could not be looked at: Permission denied",
        "  -> run as root",
    ]
