# SPDX-License-Identifier: GPL-3.0-or-later
"""The package can be installed on ARM, by apt's and dpkg's own judgement; on amd64 and i386
with nothing in the place of GRUB's modules for Xen.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.apt_proxy import environment
from tests.support.checkout import CACHE
from tests.support.debian_tree import MIRROR, Suite

SOURCES = "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]"
STAND_IN = {
    "amd64": "grub-xen-bin",
    "i386": "grub-xen-bin",
    "arm64": "grub-efi-arm64-bin",
    "armhf": "grub-efi-arm-bin",
}
PARAGRAPH = """\
Package: {name}
Status: install ok {state}
Version: 99
Architecture: all
Multi-Arch: allowed
Maintainer: nobody <nobody@localhost>
Description: there
"""


def apt(suite: Suite, architecture: str, *command: str) -> str:
    """What apt-get says on a machine of another architecture on which nothing is installed; its
    lists of packages are fetched once and kept.
    """
    top = CACHE / "apt" / f"{suite}-{architecture}"
    (top / "lists/partial").mkdir(parents=True, exist_ok=True)
    (top / "archives/partial").mkdir(parents=True, exist_ok=True)
    (top / "status").touch()
    (top / "sources").write_text(f"{SOURCES} {MIRROR} {suite} main\n")
    settings = {
        "APT::Architecture": architecture,
        "APT::Architectures::": architecture,
        "APT::Sandbox::User": "root",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
        "Dir::Cache": str(top),
        "Dir::Cache::archives": str(top / "archives"),
        "Dir::Etc::SourceList": str(top / "sources"),
        "Dir::Etc::SourceParts": "-",
        "Dir::State": str(top),
        "Dir::State::lists": str(top / "lists"),
        "Dir::State::status": str(top / "status"),
    }
    options = [f"--option={name}={value}" for name, value in settings.items()]
    done = subprocess.run(
        ["apt-get", *options, *command],
        check=False,
        capture_output=True,
        text=True,
        timeout=600,
        env=environment(),
    )
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    return done.stdout


def chosen(suite: Suite, architecture: str, deb: Path) -> set[str]:
    """The packages that would be installed with ours, without what is only recommended."""
    if not any((CACHE / "apt" / f"{suite}-{architecture}" / "lists").glob("*_Packages")):
        apt(suite, architecture, "update")
    words = ("--simulate", "--no-install-recommends", "install", str(deb))
    return set(re.findall(r"^Inst (\S+)", apt(suite, architecture, *words), re.MULTILINE))


@pytest.mark.parametrize("architecture", STAND_IN)
def test_apt_finds_what_it_depends_on(deb: Path, architecture: str) -> None:
    found = chosen(Suite.TRIXIE, architecture, deb)
    assert "xen-guest-bootloader" in found
    assert found & set(STAND_IN.values()) == {STAND_IN[architecture]}


@pytest.mark.parametrize("there", dict.fromkeys(STAND_IN.values()))
def test_dpkg_takes_each_of_them(deb: Path, tmp_path: Path, there: str) -> None:
    others = sorted(set(re.findall(r"[a-z][a-z0-9+.-]+", depends(deb))) - set(STAND_IN.values()))
    assert complaints(deb, tmp_path / "with", [*others, there]) == ""
    assert "depends on grub-xen-bin | " in complaints(deb, tmp_path / "without", others)


def depends(deb: Path) -> str:
    command = ["dpkg-deb", "--field", str(deb), "Depends"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def complaints(deb: Path, admin: Path, installed: list[str]) -> str:
    """Why dpkg would not configure the package where these are installed."""
    for name in ("info", "updates", "triggers"):
        (admin / name).mkdir(parents=True)
    (admin / "available").touch()
    status = [PARAGRAPH.format(name=name, state="installed") for name in installed]
    ours = PARAGRAPH.format(name="xen-guest-bootloader", state="unpacked")
    (admin / "status").write_text("\n".join([*status, f"{ours}Depends: {depends(deb)}"]))
    command = ["dpkg", f"--admindir={admin}", "--no-act", "--configure", "xen-guest-bootloader"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    return done.stderr if done.returncode else ""
