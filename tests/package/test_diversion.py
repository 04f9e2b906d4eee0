# SPDX-License-Identifier: GPL-3.0-or-later
"""At every instant of an installation, an upgrade and a removal, however it ends,
/usr/sbin/grub-install is one that works.
"""

import re
import subprocess
from itertools import count
from pathlib import Path, PurePosixPath

import pytest

from tests.package.conftest import MakeGuest
from tests.package.test_lifecycle import (
    REAL,
    WRAPPER,
    assert_diverted,
    assert_grub_install_works,
    assert_not_diverted,
    differences,
)
from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest, Platform

CALLS = "rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat"
STEP = re.compile(r"^( +)(?:\S.*\|\| )?(ln|mv|rm|dpkg-divert --package) .*$", re.MULTILINE)
"""The commands of a maintainer script that change something."""
KILLED = '\nstep() {\n    if [ "$(cat /root/step)" = "$1" ]; then kill -KILL $PPID $$; fi\n}\n'


def instants(guest: ChrootGuest, log: Path, *command: str) -> list[set[str]]:
    """Which names like grub-install's there are after each system call of `command` that
    changes them, before the first, too.
    """
    tracer = [
        "strace",
        "--follow-forks",
        "--seccomp-bpf",
        "--quiet=all",
        f"--trace={CALLS}",
        "--successful-only",
        f"--output={log}",
    ]
    there = {
        path
        for path in (WRAPPER, REAL)
        if guest.path(path).is_symlink() or guest.path(path).exists()
    }
    done = subprocess.run(
        [*tracer, *guest.command(*command)],
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = []
    for line in log.read_text().splitlines():
        call = re.search(r"\b(rename|link|symlink|unlink)\w*\(", line)
        names = [
            str(PurePosixPath("/", name.lstrip("/"))) for name in re.findall(r'"([^"]+)"', line)
        ]
        if call and any(name.startswith(WRAPPER) for name in names):
            found.append((call[1], names))
    return replayed(there, found)


def replayed(there: set[str], calls: list[tuple[str, list[str]]]) -> list[set[str]]:
    states = [set(there)]
    for kind, names in calls:
        if kind in ("rename", "unlink"):
            there = there - {names[0]}
        if kind != "unlink":
            there = there | {names[-1]}
        states.append(set(there))
    return states


def test_there_always_is_one(
    make_guest: MakeGuest, deb: Path, newer_deb: Path, tmp_path: Path
) -> None:
    guest = make_guest(platform=Platform.NONE)
    for file in (deb, newer_deb):
        guest.path(f"/root/{file.name}").write_bytes(file.read_bytes())
    seen = []
    for command in (
        ["--install", f"/root/{deb.name}"],
        ["--install", f"/root/{newer_deb.name}"],
        ["--remove", "xen-guest-bootloader"],
        ["--install", f"/root/{newer_deb.name}"],
        ["--purge", "xen-guest-bootloader"],
    ):
        states = instants(guest, tmp_path / "strace.log", "dpkg", *command)
        assert [state for state in states if WRAPPER not in state] == [], command
        assert_grub_install_works(guest)
        seen.append(len(states))
    assert seen[0] > 2, "nothing was seen to change"
    assert_not_diverted(guest)


@pytest.fixture(scope="session")
def killed_deb(deb: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, whose scripts are killed with the dpkg that runs them behind the command
    that /root/step names.
    """
    return debian_package.repacked(
        deb, tmp_path_factory.mktemp("killed"), version="9.5", change=_with_steps
    )


def _with_steps(tree: Path) -> None:
    for name in ("postinst", "prerm"):
        path = tree / "DEBIAN" / name
        head, _, text = path.read_text().partition("\nset -e\n")
        path.write_text(f"{head}\n{KILLED}{_counted(name, text)}")


def _counted(name: str, text: str) -> str:
    numbers = count()
    return STEP.sub(lambda found: f"{found[0]}\n{found[1]}step {name}-{next(numbers)}", text)


def steps(killed: Path, name: str, directory: Path) -> list[str]:
    """The steps of one script, by name."""
    directory.mkdir()
    control = directory / "control"
    debian_package.host("dpkg-deb", "--control", str(killed), str(control))
    return re.findall(rf"step ({name}-\d+)", (control / name).read_text())


def test_dpkg_killed_between_two_steps(
    make_guest: MakeGuest, killed_deb: Path, tmp_path: Path
) -> None:
    """Then grub2-common is upgraded, and the next try ends as if nothing had happened."""
    guest = make_guest(platform=Platform.NONE)
    archives = sorted((guest.apt_cache / "archives").glob("grub2-common_*.deb"))
    if not archives:
        guest.apt("install", "--reinstall", "--download-only", "grub2-common")
        archives = sorted((guest.apt_cache / "archives").glob("grub2-common_*.deb"))
    grub = debian_package.repacked(archives[-1], tmp_path, version="99:1", change=_marked)
    for file in (killed_deb, grub):
        guest.path(f"/root/{file.name}").write_bytes(file.read_bytes())
    before = guest.snapshot()
    installing, removing = (
        steps(killed_deb, name, tmp_path / name) for name in ("postinst", "prerm")
    )
    assert (len(installing), len(removing)) == (4, 4)
    for number, step in enumerate([*installing, *removing]):
        is_removal = step in removing
        if is_removal:
            guest.run("dpkg", "--force-depends", "--install", f"/root/{killed_deb.name}")
        guest.write("/root/step", step)
        words = (
            ["--remove", "xen-guest-bootloader"]
            if is_removal
            else ["--install", f"/root/{killed_deb.name}"]
        )
        assert guest.run("dpkg", *words, check=False).returncode != 0, step
        guest.path("/root/step").unlink()
        assert_grub_install_works(guest)
        if number % 2:
            guest.run("dpkg", "--force-depends", "--install", f"/root/{grub.name}")
            assert_grub_install_works(guest)
        guest.run("dpkg", "--force-depends", *words)
        (assert_not_diverted if is_removal else assert_diverted)(guest)
        assert guest.read(WRAPPER if is_removal else REAL).endswith(b"newer") is (number > 0), step
        guest.run("dpkg", "--purge", "xen-guest-bootloader")
        assert_not_diverted(guest)
    guest.path(f"/root/{grub.name}").unlink()
    changed = {line.split()[0] for line in differences(before, guest.snapshot())}
    assert {
        path for path in changed if "grub-install" in path or "xen-guest-bootloader" in path
    } <= {WRAPPER}


def _marked(tree: Path) -> None:
    """A grub-install that is another one, and runs."""
    with (tree / "usr/sbin/grub-install").open("ab") as file:
        file.write(b"newer")
