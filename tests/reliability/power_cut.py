# SPDX-License-Identifier: GPL-3.0-or-later
"""The power cut after every single write that the disk was given, with all of the unflushed
ones, one of them, or all but one.
"""

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.reliability import scenario
from tests.reliability.scenario import Scenario, Start
from tests.support import fault_lab, images, write_log
from tests.support.fault_lab import MENU, SECOND_STAGE, SIZES, Lab, View, cat, modules_there
from tests.support.write_log import RecordedDisk, Write

Look = Callable[[Path], str]
OPEN = 0o755
TIMEOUT = 600
"""Seconds: of XFS each barrier may take half a minute."""


def sweep(
    directory: Path,
    fs_type: str,
    start: Start,
    *,
    config: str = "",
    plain: bool = False,
    most: int = 0,
    program: tuple[str, ...] = (),
    is_closed: bool = True,
) -> Iterator[str]:
    """Record one run on `fs_type` and cut the power everywhere; `most` bounds the cuts that are
    looked at (0: all of them).

    `program` is what of Python is recorded instead of the sync as it is. An XFS that is not
    `is_closed` is waited for, not frozen.
    """
    with (
        write_log.recorded(directory / "disk", SIZES[fs_type]) as disk,
        fault_lab.lab(directory / "lab", fs_type, config=config, image=disk.image) as lab,
    ):
        made, base, writes, done = _recorded(
            lab, disk, start, plain=plain, program=program, is_closed=is_closed
        )
        look = _memory(made)
        name = f"{fs_type}, {made.name}"
        for what, fault in _cuts(lab.work / "cut.img", base, writes, look, most):
            yield f"{name}: {what}: {fault}" if fault else ""
        if done:
            yield _returned(lab, made, base, writes[:done], name)


def _recorded(
    lab: Lab,
    disk: RecordedDisk,
    start: Start,
    *,
    plain: bool,
    program: tuple[str, ...],
    is_closed: bool,
) -> tuple[Scenario, Path, list[Write], int]:
    """The scenario, the disk at its start, what was written since, and how much of that when
    the run returned.
    """
    scenario.prepare(lab, start, plain=plain)
    if not is_closed:
        (lab.work / "boot").chmod(OPEN)
    lab.settle()
    base = lab.work / "base.img"
    # All that may still come of the time before: else it would count as part of the run.
    time.sleep(0.2)
    _copy(disk.content, base)
    mark = disk.mark()
    old = _view(base)
    lab.program = program or lab.program
    command = list(scenario.PLAIN) if plain else lab.sync_command()
    ended = lab.run(*command, timeout=TIMEOUT)
    assert ended.returncode == 0, ended.stderr
    done = len(disk.writes(mark))
    images.close_xfs(lab.work / "boot")
    lab.settle()
    new = lab.view(_copied(disk.content, lab.work / "new.img"))
    writes = disk.writes(mark)
    stand_in = scenario.embedded_core(lab) if lab.config else None
    made = Scenario(
        start=start,
        config=lab.config,
        plain=plain,
        snapshot=None,
        old=old,
        new=new,
        stand_in=stand_in,
    )
    return made, base, writes, done


def _cuts(
    image: Path, base: Path, writes: Sequence[Write], look: Look, most: int
) -> Iterator[tuple[str, str]]:
    """Every moment of the log, and what a device that loses some of what was not flushed may
    make of it.
    """
    stride = max(1, len(writes) // most) if most else 1
    _copy(base, image)
    flushed = _copied(base, image.with_suffix(".flushed"))
    pending: list[Write] = []
    with image.open("r+b") as whole, flushed.open("r+b") as torn:
        for number, write in enumerate(writes):
            if write.is_flush:
                for each in pending:
                    _apply(torn, each)
                pending.clear()
                continue
            pending.append(write)
            _apply(whole, write)
            if number % stride == 0:
                yield f"cut after write {number} of {len(writes)}", look(image)
                # This write alone reached the medium, of all since the last flush.
                before = _replaced(torn, write)
                yield f"write {number} alone after the last flush", look(flushed)
                _apply(torn, before)
                # All of them but one in their middle.
                lost = pending[len(pending) // 2]
                if lost is not write and not _overlap(lost, pending):
                    kept = _replaced(whole, Write(lost.offset, _at(torn, lost)))
                    yield f"cut after write {number}, with an earlier one lost", look(image)
                    _apply(whole, kept)


def _returned(lab: Lab, made: Scenario, base: Path, writes: Sequence[Write], name: str) -> str:
    """What a device that loses all that was not flushed has, when the run has returned."""
    image = _copied(base, lab.work / "returned.img")
    last = max((number for number, write in enumerate(writes) if write.is_flush), default=0)
    with image.open("r+b") as file:
        for write in writes[:last]:
            if not write.is_flush:
                _apply(file, write)
    view = _view(image)
    is_new = view.core == made.new.core if made.plain else view == made.new
    return "" if is_new else f"{name}: the run returned, and what is flushed is not all of the new"


def _memory(made: Scenario) -> Look:
    def look(image: Path) -> str:
        core = cat(image, SECOND_STAGE)
        reads_modules = (
            bool(made.config or made.plain) and core is not None and core != made.stand_in
        )
        return made.fault(
            View(
                core=core,
                menu=cat(image, MENU),
                modules=modules_there(image) if reads_modules else "",
            )
        )

    return look


def _view(image: Path) -> View:
    return View(core=cat(image, SECOND_STAGE), menu=cat(image, MENU), modules=modules_there(image))


def _apply(file: object, write: Write) -> None:
    file.seek(write.offset)  # type: ignore[attr-defined]
    file.write(write.data)  # type: ignore[attr-defined]
    file.flush()  # type: ignore[attr-defined]


def _at(file: object, write: Write) -> bytes:
    file.seek(write.offset)  # type: ignore[attr-defined]
    data: bytes = file.read(len(write.data))  # type: ignore[attr-defined]
    return data


def _replaced(file: object, write: Write) -> Write:
    """Apply `write` and return what undoes it."""
    before = Write(write.offset, _at(file, write))
    _apply(file, write)
    return before


def _overlap(lost: Write, pending: Sequence[Write]) -> bool:
    end = lost.offset + len(lost.data)
    return (
        sum(
            1
            for each in pending
            if each.offset < end and lost.offset < each.offset + len(each.data)
        )
        > 1
    )


def _copied(source: Path, target: Path) -> Path:
    _copy(source, target)
    return target


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True, timeout=120)
