# SPDX-License-Identifier: GPL-3.0-or-later
"""What a make target runs comes from the lists that it installs; and what stands in two places
is the same in both.
"""

import configparser
import importlib.metadata
import re
import tomllib

import pytest

from guest_hooks.formats.compression import PACKAGES, Compression
from tests.support import needed, needs
from tests.support.checkout import CHECKOUT

MAKEFILE = (CHECKOUT / "Makefile").read_text()
TARGETS = {
    name: (tuple(groups.split()), commands)
    for name, groups, commands in re.findall(
        r"^([a-z-]+):.*\n\ttests/install-needs (.+)\n((?:\t.+\n)+)", MAKEFILE, re.MULTILINE
    )
}
"""Of each target that installs something: the lists it installs, and its commands."""
TOOLS = {
    line.partition("==")[0]
    for line in (needs.LISTS / "tools.txt").read_text().splitlines()
    if "==" in line
}
WORDS = {"file", "hexdump"}
"""What the tests have to say, not to start, though programs are called so."""

INSTALLED = (
    *("guest_hooks/**/*.py", "scripts/*", "grub.d/*", "kernel-postinst.d/*"),
    *("debian/*.postinst", "debian/*.prerm", "debian/*.postrm"),
)
"""What the package installs that starts programs."""
USED_IF_THERE = {
    "btrfs-progs": "btrfs is a file system's name",
    "cryptsetup-bin": "a word of what an initrd must hold",
    "grub-common": "grub2-common depends on it",
    "mdadm": "a word of what an initrd must hold",
    "procps": "watch is a verb of our own",
    "systemd": "without it nothing watches; hooks and trigger do the work",
}
"""Packages of programs that it does without, or whose names are only words; with the reason."""

PYTHON_DEPENDS = {name for name in needs.control("Depends") if name.startswith("python3-")}

AWK = {"mawk"}
"""Any awk will do, and base-files, which is essential, depends on one."""
UNPACKERS = {PACKAGES[Compression.ZSTD], PACKAGES[Compression.LZ4]}
"""Of Debian's kernels."""

CONTROL = """\
Source: it
# a comment
Build-Depends: debhelper-compat (= 13), gcc:native, libfoo-dev [amd64] <!cross>, tst <!nocheck>,
# another
               python3-all | python3
Standards-Version: 4.6.2

Package: it
Depends: grub-xen-bin (>= 2.06), ${misc:Depends},
         ${python3:Depends}
"""


def test_the_makefile_was_read() -> None:
    assert {"demo", "test", "check", "deb", "test-xen", "bench", "reliability"} <= TARGETS.keys()
    for _, commands in TARGETS.values():
        assert "install-needs" not in commands


@pytest.mark.parametrize("target", TARGETS)
def test_its_imports_are_listed(target: str) -> None:
    groups, commands = TARGETS[target]
    modules = needed.foreign_modules(needed.reached(commands)) - (
        TOOLS if "check" in groups else set()
    )
    packages = needed.packages_of_modules(modules)
    assert {
        name: package for name, package in packages.items() if package not in needs.listed(*groups)
    } == {}


@pytest.mark.parametrize("target", TARGETS)
def test_its_programs_are_listed(target: str) -> None:
    groups, commands = TARGETS[target]
    # Of the helpers, unit tests use what needs no root; which that is, a run on a fresh machine
    # shows.
    passed_over = ("guest_hooks",) if groups != ("check",) else ("guest_hooks", "support")
    paths = [path for path in needed.reached(commands) if not set(path.parts) & set(passed_over)]
    packages = needed.packages_of_programs(
        {name for path in paths for name in needed.programs(path)} - WORDS
    )
    listed = needed.essential().union(needs.listed(*groups))
    assert {name: package for name, package in packages.items() if package not in listed} == {}


def test_installing_needs_nothing_yet() -> None:
    assert needed.foreign_modules(needed.reached("tests/install-needs")) == set()


@pytest.mark.parametrize("field", ["Depends", "Build-Depends"])
def test_a_field_of_debian_control(field: str) -> None:
    expected = {
        "Depends": ("grub-xen-bin",),
        "Build-Depends": ("debhelper-compat", "gcc", "libfoo-dev", "python3-all"),
    }
    assert needs.control(field, CONTROL) == expected[field]


def test_a_field_that_is_not_there_ends_the_run() -> None:
    with pytest.raises(SystemExit, match="Recommends"):
        needs.control("Recommends", CONTROL)


def test_the_package_depends_on_what_it_imports() -> None:
    """The unpackers too, whose absence in the middle of an upgrade is answered all the same."""
    modules = needed.foreign_modules((CHECKOUT / "guest_hooks").rglob("*.py"))
    assert set(needed.packages_of_modules(modules).values()) | UNPACKERS == PYTHON_DEPENDS


def test_the_package_depends_on_the_programs_it_starts() -> None:
    """A priority of `required` is no promise: only an essential package is always there."""
    paths = [path for name in INSTALLED for path in CHECKOUT.glob(name) if path.is_file()]
    names = {name for path in paths for name in needed.programs(path)} - WORDS
    assert {"mount", "unshare", "lsblk", "grub-mkimage", "systemctl", "dpkg-divert"} <= names
    there = needed.always_there().union(needs.control("Depends"), USED_IF_THERE, AWK)
    packages = needed.packages_of_programs(names)
    assert {name: package for name, package in packages.items() if package not in there} == {}


def test_setup_cfg_requires_what_the_package_depends_on() -> None:
    setup = configparser.ConfigParser()
    setup.read(CHECKOUT / "setup.cfg")
    required = setup["options"]["install_requires"].split()
    tops = [
        importlib.metadata.distribution(name).read_text("top_level.txt") or "" for name in required
    ]
    packages = needed.packages_of_modules(name for top in tops for name in top.split())
    assert set(packages.values()) - {""} == PYTHON_DEPENDS


def test_one_oldest_python() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["tool"]
    oldest = {
        re.findall(
            r"^python_requires = >=(.+)$", (CHECKOUT / "setup.cfg").read_text(), re.MULTILINE
        )[0],
        project["mypy"]["python_version"],
        project["ruff"]["target-version"].replace("py3", "3."),
    }
    assert len(oldest) == 1, oldest
