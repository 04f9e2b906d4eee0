# SPDX-License-Identifier: GPL-3.0-or-later
"""The project's own .deb, built as `make deb` builds it, and the same content under another
version.
"""

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.support.checkout import CHECKOUT

NAME = "xen-guest-bootloader"


def build(directory: Path) -> Path:
    """Build the package into `directory`; the .deb's path."""
    built = host(str(CHECKOUT / "debian/build"), str(directory))
    return Path(built.splitlines()[-1])


def repacked(
    deb: Path, directory: Path, *, version: str, change: Callable[[Path], object] = lambda _: None
) -> Path:
    """The content of any `deb`, after `change` was made to it, as another version of the
    package.
    """
    work = directory / f"{deb.stem}-{version}"
    host("dpkg-deb", "--raw-extract", str(deb), str(work))
    control = work / "DEBIAN/control"
    lines = [
        f"Version: {version}" if line.startswith("Version: ") else line
        for line in control.read_text().splitlines()
    ]
    control.write_text("\n".join(lines) + "\n")
    change(work)
    _write_sums(work)
    made = directory / f"{deb.name.split('_')[0]}_{version}.deb"
    host("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(work), str(made))
    shutil.rmtree(work)
    return made


def _write_sums(work: Path) -> None:
    """What dpkg remembers of each file, as dh_md5sums writes it."""
    files = sorted(path for path in work.rglob("*") if path.is_file() and not path.is_symlink())
    conffiles = work / "DEBIAN/conffiles"
    kept = set(conffiles.read_text().split()) if conffiles.exists() else set()
    rows = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {name}\n"
        for path in files
        if not (name := str(path.relative_to(work))).startswith("DEBIAN/")
        and f"/{name}" not in kept
    ]
    (work / "DEBIAN/md5sums").write_text("".join(rows))


def host(*command: str) -> str:
    """What a command on this machine prints; raises AssertionError with its words where it
    fails.
    """
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (
        f"{command} exited {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    )
    return done.stdout
