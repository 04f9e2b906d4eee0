# SPDX-License-Identifier: GPL-3.0-or-later
"""trixie's GRUB for a guest of bookworm: the modules, and the package that an upgrade would
bring.
"""

import subprocess
import tarfile
from pathlib import Path

from tests.support import debian_package
from tests.support.debian_tree import Kind, Suite, tarball

TARGETS = ("x86_64-xen", "i386-xen_pvh")


def modules(directory: Path) -> Path:
    """Trixie's /usr/lib/grub in `directory`."""
    wanted = [f"./usr/lib/grub/{target}" for target in TARGETS]
    subprocess.run(
        ["tar", "-xf", tarball(Suite.TRIXIE, Kind.MINIMAL), "-C", directory, *wanted],
        check=True,
        timeout=120,
    )
    return directory / "usr/lib/grub"


def package(directory: Path) -> Path:
    """A grub-xen-bin of trixie's version with trixie's modules, which bookworm's dpkg takes
    without the rest of trixie.
    """
    tree = directory / "grub-xen-bin"
    (tree / "DEBIAN").mkdir(parents=True)
    modules(tree)
    with tarfile.open(tarball(Suite.TRIXIE, Kind.MINIMAL)) as tar:
        status = tar.extractfile("./var/lib/dpkg/status")
        assert status is not None
        paragraphs = status.read().decode().split("\n\n")
    (own,) = [text for text in paragraphs if text.startswith("Package: grub-xen-bin\n")]
    fields = dict(
        line.split(": ", 1)
        for line in own.splitlines()
        if ": " in line and not line.startswith(" ")
    )
    control = (
        f"Package: grub-xen-bin\nVersion: {fields['Version']}\nArchitecture: amd64\nMaintainer:"
        f" {fields['Maintainer']}\n"
    )
    (tree / "DEBIAN/control").write_text(f"{control}Description: modules of a newer GRUB\n")
    made = directory / "newer-grub-xen-bin.deb"
    debian_package.host("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(made))
    return made
