# SPDX-License-Identifier: GPL-3.0-or-later
"""The words that preflight foretells and no test has seen on a console are those of Debian's own
scripts and programs, which say them here.
"""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from guest_hooks.preflight.links import init
from guest_hooks.problems.boot import FstabProblem, RootProblem
from guest_hooks.problems.kernels import KernelProblem
from guest_hooks.problems.row import ProblemCode
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball

SCRIPTS = "usr/share/initramfs-tools"
SYSTEMD = "usr/lib/systemd"
PROGRAMS = ("systemd", "systemd-sulogin-shell")
GONE = "UUID=11111111-2222-3333-4444-555555555555"
HERE = "/dev/null"
PRELUDE = """
quiet=y readonly=y break=premount rootmnt=$1 starttime=0 ROOTDELAY= ROOTFSTYPE= ROOTFLAGS= UBIMTD=
. "$2/scripts/functions"; . "$2/scripts/local"
wait_for_udev() { :; }; sleep() { :; }; time_elapsed() { echo 99; }; checkfs() { :; }
panic() { echo "$@"; exit; }
"""
"""What the scripts find in an initrd; a shell at the console is left out, and waiting."""


def console(code: ProblemCode, **fields: str) -> str:
    return code.row.console.format(**fields)


CASES: Mapping[str, tuple[str, str]] = {
    "root-none": ("ROOT= local_mount_root", console(RootProblem.NONE)),
    "root-missing": (f"ROOT={GONE}; local_mount_root", console(RootProblem.MISSING, root=GONE)),
    "root-type-differs": (
        f"ROOT={HERE}; get_fstype() {{ echo ext4; }}; mount() {{ return 32; }}; local_mount_root",
        console(RootProblem.TYPE_DIFFERS, device=HERE),
    ),
    "root-not-a-path": (
        "ROOT=xvda1; mount() { return 32; }; local_mount_root",
        console(RootProblem.NOT_A_PATH, root="xvda1"),
    ),
    "root-no-file-system": (
        f"ROOT={HERE}; get_fstype() {{ echo swap; }}; mount() {{ return 32; }}; local_mount_root",
        console(RootProblem.NO_FILES, device=HERE),
    ),
    "root-is-a-divided-disk": (
        f"ROOT={HERE}; get_fstype() {{ return 1; }}; local_mount_root",
        console(RootProblem.MISSING, root=HERE),
    ),
    "root-by-a-small-tag": (
        f"ROOT={GONE.lower()}; local_mount_root",
        console(RootProblem.MISSING, root=GONE.lower()),
    ),
    "fstab-usr-missing": ("local_mount_fs /usr", console(FstabProblem.USR_MISSING, what=GONE)),
    "resume-missing": (
        f'local_device_setup {GONE} "$(sed -n \'s/.*"\\(.*resume device\\)".*/\\1/p\' "$3")" false',
        console(RootProblem.RESUME_MISSING),
    ),
    "break": ("maybe_break premount", init.BROKEN_OFF),
}
"""What is run in an initrd, and the words that are foretold of it."""


@pytest.fixture(scope="module", params=RELEASES)
def shipped(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of initramfs-tools, and systemd, of a release."""
    top = tmp_path_factory.mktemp(f"words-{request.param}")
    source = str(tarball(Suite(request.param), Kind.FULL))
    names = [f"./{SCRIPTS}", *(f"./{SYSTEMD}/{name}" for name in ("system", *PROGRAMS))]
    names.append("./usr/lib/x86_64-linux-gnu/systemd")
    command = ["tar", "--extract", "--directory", str(top), "--file", source, *names]
    subprocess.run(command, check=True, timeout=300)
    (top / "etc").mkdir()
    (top / "etc/fstab").write_text(f"{GONE} /usr ext4 nofail 0 2\n")
    return top


@pytest.mark.parametrize(("script", "words"), CASES.values(), ids=list(CASES))
def test_initramfs_tools_says_so(shipped: Path, script: str, words: str) -> None:
    scripts = shipped / SCRIPTS
    arguments = (shipped, scripts, scripts / "scripts/local-premount/resume")
    done = subprocess.run(
        ["sh", "-c", f"{PRELUDE}{script}", "sh", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert words in done.stdout.splitlines(), done


def test_initramfs_tools_says_what_is_not_there_to_start(shipped: Path) -> None:
    text = (shipped / SCRIPTS / "init").read_text()
    assert f'echo "{console(RootProblem.NO_INIT, init="${init}")}"' in text
    assert f"for inittest in {' '.join(init.INITS)} /bin/sh; do" in text


def test_systemd_says_so(shipped: Path) -> None:
    programs = [shipped / SYSTEMD / name for name in PROGRAMS]
    libraries = (shipped / "usr/lib/x86_64-linux-gnu/systemd").iterdir()
    strings = b"".join(path.read_bytes() for path in (*programs, *libraries)).decode("latin-1")
    assert f"{console(FstabProblem.SWAP_MISSING)} %s" in strings
    assert "You are in %s mode." in strings
    assert "Falling back to rescue.target" in strings  # where the default is no unit
    unit = (shipped / SYSTEMD / "system/emergency.service").read_text()
    assert re.search(r"^ExecStart=-.*/systemd-sulogin-shell emergency$", unit, re.MULTILINE)
    assert console(FstabProblem.DISK_MISSING) == "emergency mode"
    for code in (FstabProblem.ROOT_MISSING, KernelProblem.MODULES_MISSING):
        said = re.fullmatch(r"(Failed to start )(\S+)", console(code))
        assert said
        assert f"{said[1]}%s" in strings
        assert (shipped / SYSTEMD / "system" / said[2]).is_file()
