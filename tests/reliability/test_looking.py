# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever error a guest's tree, its device or the machine answers a look with: an exit code of
the table, and what to do.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reliability import failing_calls
from tests.support import fault_lab
from tests.support.fault_lab import TARGET, Lab

MOST = 20
DEPTH = 1_200
TABLE = (0, 3, 4, 7)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with fault_lab.lab(tmp_path_factory.mktemp("looking") / "lab") as made:
        made.synced()
        yield made


@pytest.mark.parametrize("verb", failing_calls.VERBS)
def test_a_call_that_fails(lab: Lab, verb: str) -> None:
    found = failing_calls.sweep(lab, verb, MOST)
    assert len(found) == MOST
    assert [line for line in found if line] == []


@pytest.mark.parametrize("files", range(5, 21, 3))
def test_a_process_that_may_open_few_files(lab: Lab, files: int) -> None:
    done = limited(lab, f"resource.setrlimit(resource.RLIMIT_NOFILE, ({files}, {files}))")
    assert (
        done.returncode != 7 or "ulimit -n" in done.stderr or "could not be started" in done.stderr
    ), done.stderr


@pytest.mark.parametrize("mib", [2, 4, 8, 16, 64])
def test_a_process_that_may_have_little_memory(lab: Lab, mib: int) -> None:
    limited(
        lab, f"resource.setrlimit(resource.RLIMIT_AS, (mapped + {mib << 20}, mapped + {mib << 20}))"
    )


def limited(lab: Lab, limit: str) -> subprocess.CompletedProcess[str]:
    """What a preflight comes to that is limited once all of it is loaded."""
    program = f"import resource, sys\nfrom {failing_calls.__name__} import cli\n"
    program += (
        "mapped = int(open('/proc/self/statm').read().split()[0]) *"
        f" resource.getpagesize()\n{limit}\nsys.exit(cli.main())"
    )
    done = lab.run("/usr/bin/python3", "-c", program, "preflight", f"--target={TARGET}")
    assert done.returncode in TABLE, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_directories_nested_deep_where_ours_is_to_stand(lab: Lab) -> None:
    """What a killed run would leave there is removed, however deep somebody made it."""
    top = lab.work / f"boot/grub/{TARGET}.xen-guest-bootloader-new"
    nested(top, DEPTH)
    (lab.work / "boot/xen/pvboot-x86_64.elf").unlink()
    lab.synced()
    assert not top.exists()


def nested(top: Path, depth: int) -> None:
    top.mkdir()
    here = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
