# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this boot came by the second stage that stood ready for it."""

import os
from pathlib import Path

import pytest

from guest_hooks.machine.root import Root
from guest_hooks.model import FileStatus, Severity, State, TargetStatus
from guest_hooks.survey import last_boot

STARTED = 1_700_000_000
BEFORE, SINCE = STARTED - 60, STARTED + 60
PV, PVH = "x86_64-xen", "i386-xen_pvh"
FILES = {
    PV: ("/boot/xen/pvboot-x86_64.elf",),
    PVH: ("/boot/xen/pvhboot-i386.elf", "/boot/xen/pvhboot-i386.linux"),
}
MENU = "/boot/grub/grub.cfg"
CAME_BY = {
    PV: "xen_guest_bootloader.via=xen:(memdisk)/boot/grub",
    PVH: "xen_guest_bootloader.via=xen_pvh:(memdisk)/boot/grub",
}


class Guest:
    """A tree with what was written before this boot began, and a statistic that tells when it
    did.
    """

    def __init__(self, top: Path, cmdline: str) -> None:
        self.top = top
        self.write("/proc/cmdline", f"root=/dev/xvda ro {cmdline}\n")
        self.write("/proc/stat", f"cpu 1 2 3\nbtime {STARTED}\nprocesses 4\n")
        for path in (*FILES[PV], *FILES[PVH], MENU):
            self.write(path)

    def write(self, path: str, text: str = "x", *, at: int = BEFORE) -> None:
        file = self.top / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (at, at))

    def problems(self, target: str, *states: State, required: bool = True) -> list[str]:
        found = [
            FileStatus(path=path, state=state)
            for path, state in zip(FILES[target], states, strict=True)
        ]
        status = TargetStatus(target=target, required=required, state=states[0], files=tuple(found))
        root = Root(str(self.top))
        problems = last_boot.problems(root, last_boot.read(root), [status])
        assert all(problem.severity is Severity.WARNING and problem.hint for problem in problems)
        assert all(FILES[target][0] in problem.message for problem in problems)
        return [problem.code for problem in problems]


READY = {PV: (State.CURRENT,), PVH: (State.CURRENT, State.CURRENT)}
TOLD = ["not-booted-by-second-stage"]


@pytest.mark.parametrize("target", [PV, PVH])
def test_a_second_stage_that_was_there_and_not_used_is_told(tmp_path: Path, target: str) -> None:
    assert Guest(tmp_path, CAME_BY[target]).problems(target, *READY[target]) == TOLD


@pytest.mark.parametrize("target", [PV, PVH])
@pytest.mark.parametrize(
    "cmdline",
    [
        "",
        "xen_guest_bootloader.via=$grub_platform:$prefix",
        "xen_guest_bootloader.via=xen:(xen/xvda)/boot/grub",
    ],
)
def test_nothing_is_said_of_another_way(tmp_path: Path, target: str, cmdline: str) -> None:
    assert Guest(tmp_path, cmdline).problems(target, *READY[target]) == []


def test_the_other_platform_s_is_no_concern(tmp_path: Path) -> None:
    assert Guest(tmp_path, CAME_BY[PV]).problems(PVH, *READY[PVH]) == []


@pytest.mark.parametrize("target", [PV, PVH])
def test_an_optional_one_is_no_concern(tmp_path: Path, target: str) -> None:
    assert Guest(tmp_path, CAME_BY[target]).problems(target, *READY[target], required=False) == []


@pytest.mark.parametrize(
    ("target", "path"),
    [(PV, FILES[PV][0]), (PVH, FILES[PVH][1]), (PVH, MENU)],
    ids=["second-stage", "bridge", "handover"],
)
def test_what_was_made_since_will_be_used_next_time(tmp_path: Path, target: str, path: str) -> None:
    guest = Guest(tmp_path, CAME_BY[target])
    guest.write(path, at=SINCE)
    assert guest.problems(target, *READY[target]) == []
    (tmp_path / path.lstrip("/")).unlink()
    assert guest.problems(target, *READY[target]) == []


def test_a_menu_made_since_does_not_matter_to_pv(tmp_path: Path) -> None:
    guest = Guest(tmp_path, CAME_BY[PV])
    guest.write(MENU, at=SINCE)
    assert guest.problems(PV, State.STALE) == TOLD


@pytest.mark.parametrize(
    ("target", "states"),
    [
        (PV, (State.INVALID,)),
        (PV, (State.MISSING,)),
        (PVH, (State.CURRENT, State.MISSING)),
        (PVH, (State.CURRENT, State.INVALID)),
    ],
)
def test_what_could_not_be_started_was_not_ready(
    tmp_path: Path, target: str, states: tuple[State, ...]
) -> None:
    assert Guest(tmp_path, CAME_BY[target]).problems(target, *states) == []


def test_where_the_start_is_not_known_it_is_told(tmp_path: Path) -> None:
    guest = Guest(tmp_path, CAME_BY[PV])
    (tmp_path / "proc/stat").unlink()
    assert guest.problems(PV, State.CURRENT) == TOLD
