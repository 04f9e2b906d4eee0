# SPDX-License-Identifier: GPL-3.0-or-later
"""The cheap look: what differs, with a fingerprint and without one."""

import os
from pathlib import Path

import pytest

from guest_hooks.config import Config
from guest_hooks.daemon import glance
from guest_hooks.daemon.glance import Glance
from guest_hooks.machine import fingerprint, mounts
from guest_hooks.model import BootFilesystem, Guest, Mode, Status
from guest_hooks.survey import plan
from guest_hooks.survey.plan import Wanted
from guest_hooks.survey.status import Survey
from guest_hooks.sync import unchanged
from guest_hooks.targets import TARGETS
from tests.support.surveyed import surveyed


def test_the_cheap_look_asks_the_fingerprint_where_there_is_one(tmp_path: Path) -> None:
    watched, path = tmp_path / "second-stage", tmp_path / "fingerprint"
    watched.write_text("core")
    path.write_text(fingerprint.take([("stat", str(watched)), ("dir", str(tmp_path / "absent"))]))
    look = Glance(str(path))
    assert look.differences() == ()
    watched.write_text("CORE!")
    assert look.differences() == (str(watched),)


def test_a_boot_that_nobody_has_asked_for_is_not_mounted_by_a_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = "22 1 8:1 / / rw - ext4 /dev/xvda rw\n", "29 22 0:40 / /boot rw - autofs systemd-1 rw\n"
    look = Glance(str(tmp_path / "no-fingerprint"))
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse(lines[0]))
    assert look.differences() != ()
    monkeypatch.setattr(mounts, "here", lambda: mounts.parse("".join(lines)))
    assert look.differences() == ()


def test_without_a_fingerprint_only_a_change_since_the_last_repair_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched, path = tmp_path / "second-stage", tmp_path / "fingerprint"
    monkeypatch.setattr(glance, "_SUBJECTS", (("stat", str(watched)),))
    look = Glance(str(path))
    assert look.differences() == (str(path),)
    look.remember(is_repaired=True)
    assert look.differences() == ()
    watched.write_text("core")
    assert look.differences() == (str(watched),)
    look.remember(is_repaired=False)
    assert look.differences() == (str(path),)


def test_the_two_cheap_looks_see_the_same_files_of_boot() -> None:
    boot = BootFilesystem(
        mountpoint="/", device="/dev/xvda1", fs_type="ext4", fs_uuid="u", grub_dir="/boot/grub"
    )
    guest = Guest(mode=Mode.PV, bits=64)
    wants = [Wanted(target=target, required=True) for target in TARGETS.values()]
    plans = tuple(plan.make(want, guest, Config(), boot, {}) for want in wants)
    found = Survey(
        config=Config(),
        targets=tuple(map(surveyed, plans)),
        status=Status(guest=guest, boot=boot, targets=(), grub_cfg=None),
    )
    seen = {path for _, path in glance._SUBJECTS}
    subjects = unchanged._subjects(
        found, (boot.device, "/dev/xvda2", boot.device), ["/boot/grub/grub.cfg"]
    )
    assert [device for kind, device in subjects if kind == "uuid"] == ["/dev/xvda1", "/dev/xvda2"]
    asked = {path for _, path in subjects if path.startswith("/boot/")}
    assert {"/boot/grub/grub.cfg", "/boot/grub/menu.lst", "/boot/xen/pvboot-x86_64.elf"} < asked
    assert {
        path for path in asked if path not in seen and os.path.dirname(path) not in seen
    } == set()
