# SPDX-License-Identifier: GPL-3.0-or-later
"""Each system call by which a run changes the file system failing: what the run says, what GRUB
reads, how the next run ends.
"""

import errno
import os
from collections.abc import Iterator, Sequence

from tests.reliability import scenario
from tests.reliability.kills import Point, inject, repeatable
from tests.reliability.scenario import Scenario
from tests.support.fault_lab import Lab

ERRORS = ("ENOSPC", "EIO", "EROFS", "EDQUOT", "EINTR")
_CODES = {"ENOSPC": (7,), "EDQUOT": (7,), "EROFS": (7,), "EIO": (4,), "EINTR": (4,)}
"""The exit codes of a run that could not do without the call; one that could ends with 0."""


def sweep(lab: Lab, made: Scenario, chosen: Sequence[Point], error: str) -> Iterator[str]:
    """Let each of the points fail with `error`; for each, what was broken or an empty string."""
    for point in chosen:
        fault = _failed_at(lab, made, point, error)
        yield f"{made.name}: {error} from {point.shown}: {fault}" if fault else ""


def _failed_at(lab: Lab, made: Scenario, point: Point, error: str) -> str:
    lab.fresh(made.start_disk)
    log = lab.work / "injected"
    done = lab.run(*inject(point, f"error={error}", log=str(log)), *repeatable(lab, made))
    if "(INJECTED)" not in log.read_text(errors="replace"):
        return f"the call was not made to fail, and the run ended with {done.returncode}"
    lab.settle()
    fault = made.fault(lab.view())
    if fault:
        return f"{fault} (exit {done.returncode})"
    if made.plain:
        return ""
    if done.returncode == 0:
        fault = (
            "it ended with 0 and not with what should be"
            if lab.view().core != made.new.core
            else ""
        )
    else:
        fault = _unexplained(done.returncode, done.stderr, error)
    return fault or scenario.after(lab, made)


def _unexplained(code: int, said: str, error: str) -> str:
    """What is wrong with how a failed run explains itself."""
    if code not in _CODES[error]:
        return f"it ended with {code}: {said.strip()[-300:]}"
    if "error: /" not in said or (
        error != "EROFS" and _strerror(error) not in said and "is written, but" not in said
    ):
        return f"it names no path or no cause: {said.strip()[-300:]}"
    if error in ("ENOSPC", "EDQUOT") and not ("it needs " in said and " free" in said):
        return f"it does not say need and have: {said.strip()[-300:]}"
    return ""


def _strerror(error: str) -> str:
    return os.strerror(getattr(errno, error))
