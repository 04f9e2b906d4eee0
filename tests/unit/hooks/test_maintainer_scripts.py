# SPDX-License-Identifier: GPL-3.0-or-later
"""dpkg's scripts of the package in another tree than the one that they run in (DPKG_ROOT), with the
real dpkg-divert.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.checkout import CHECKOUT
from tests.support.other_users import NOBODY

NAME = "xen-guest-bootloader"
PROGRAM = "usr/sbin/grub-install"
REAL = "usr/sbin/grub-install.distrib"
WRAPPER = f"../lib/{NAME}/grub-install"
MENU = "    linux /vmlinuz root=/dev/xvda xen_guest_bootloader.via=$grub_platform:$prefix\n"
USER = NOBODY if os.geteuid() == 0 else None
"""Of whom nothing outside the tree can be changed."""


@pytest.fixture
def tree() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        for place in ("usr/sbin", "var/lib/dpkg", "boot/grub", f"var/lib/{NAME}"):
            (top / place).mkdir(parents=True)
        (top / PROGRAM).write_text("GRUB's own")
        (top / "boot/grub/grub.cfg").write_text(MENU)
        for path in (top, *top.rglob("*")):
            os.chown(path, -1 if USER is None else USER, -1)
        yield top


def asked(tree: Path, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        command,
        check=False,
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        user=USER,
        env={
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "DPKG_ROOT": str(tree),
            "DPKG_ADMINDIR": f"{tree}/var/lib/dpkg",
        },
    )
    assert done.returncode == 0, done.stderr
    return done


def script(tree: Path, name: str, *words: str) -> str:
    """Run one of them as dpkg does; what it said."""
    text = (CHECKOUT / f"debian/{NAME}.{name}").read_text()
    return asked(tree, "/bin/sh", "-s", *words, stdin=text).stderr


def test_another_tree_gets_its_own_wrapper(tree: Path) -> None:
    for _ in range(2):
        script(tree, "postinst", "configure", "")
        assert os.readlink(tree / PROGRAM) == WRAPPER
        assert (tree / REAL).read_text() == "GRUB's own"
        assert asked(tree, "dpkg-divert", "--listpackage", f"/{PROGRAM}").stdout == f"{NAME}\n"
    for words in (("prerm", "remove"), ("postrm", "remove"), ("postrm", "purge")):
        script(tree, *words)
    assert asked(tree, "dpkg-divert", "--list").stdout == ""
    assert (tree / PROGRAM).read_text() == "GRUB's own"
    assert not (tree / REAL).exists()
    assert not (tree / f"var/lib/{NAME}").exists()
    assert (tree / "boot/grub/grub.cfg").read_text() == MENU


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        pytest.param("--local", "(LOCAL)", id="admin"),
        pytest.param("--package=other", "(other)", id="package"),
    ],
)
def test_a_diversion_that_is_there_stays(tree: Path, owner: str, told: str) -> None:
    """dpkg-divert would end with an error, and so would the installation."""
    asked(tree, "dpkg-divert", owner, "--rename", f"--divert=/{PROGRAM}.own", f"/{PROGRAM}")
    (tree / PROGRAM).write_text("somebody's")
    before = asked(tree, "dpkg-divert", "--list").stdout
    said = script(tree, "postinst", "configure", "")
    assert f"grub-install is diverted already {told}" in said
    for words in (("prerm", "remove"), ("postrm", "remove"), ("postrm", "purge")):
        assert (tree / PROGRAM).read_text() == "somebody's"
        assert not (tree / REAL).exists()
        script(tree, *words)
    assert asked(tree, "dpkg-divert", "--list").stdout == before


CONTROL = f"""\
Package: {NAME}
Version: 1
Architecture: all
Maintainer: nobody <nobody@localhost>
Description: its scripts alone
"""


def test_removed_while_it_is_not_configured_it_gives_grub_install_back(tree: Path) -> None:
    """By dpkg itself, which then runs no prerm: it does for a package that is configured."""
    control = tree / "package/DEBIAN"
    control.mkdir(parents=True)
    (control / "control").write_text(CONTROL)
    for name in ("postinst", "prerm", "postrm"):
        (control / name).write_text((CHECKOUT / f"debian/{NAME}.{name}").read_text())
        (control / name).chmod(0o755)
    for name in ("info", "updates"):
        (tree / "var/lib/dpkg" / name).mkdir()
    (tree / "var/lib/dpkg/status").touch()
    for path in (tree / "var/lib/dpkg").iterdir():
        os.chown(path, -1 if USER is None else USER, -1)
    deb = f"{tree}/{NAME}.deb"
    asked(tree, "dpkg-deb", "--root-owner-group", "--build", str(control.parent), deb)
    dpkg = ("dpkg", f"--root={tree}", "--force-not-root,script-chrootless", "--log=/dev/null")

    asked(tree, *dpkg, "--install", deb)
    assert os.readlink(tree / PROGRAM) == WRAPPER
    asked(tree, *dpkg, "--unpack", deb)
    assert os.readlink(tree / PROGRAM) == WRAPPER
    asked(tree, *dpkg, "--remove", NAME)
    assert (tree / PROGRAM).read_text() == "GRUB's own"
    assert not (tree / REAL).exists()
    assert asked(tree, "dpkg-divert", "--list").stdout == ""


def test_it_is_given_back_where_another_package_took_all_files(tree: Path) -> None:
    script(tree, "postinst", "configure", "")
    for _ in range(2):
        script(tree, "postrm", "disappear", "other", "2")
        assert (tree / PROGRAM).read_text() == "GRUB's own"
        assert not (tree / REAL).exists()
        assert asked(tree, "dpkg-divert", "--list").stdout == ""


def test_both_scripts_give_it_back_in_the_same_way() -> None:
    texts = [(CHECKOUT / f"debian/{NAME}.{name}").read_text() for name in ("prerm", "postrm")]
    function = re.compile(r"^unwrap\(\) \{\n.*?^\}\n", re.MULTILINE | re.DOTALL)
    before, after = (function.findall(text) for text in texts)
    assert len(before) == 1
    assert before == after
