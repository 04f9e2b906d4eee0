# SPDX-License-Identifier: GPL-3.0-or-later
"""Version 1.0.0 of the package: its own maintainer scripts, conffiles and shell scripts, with the
program of today.
"""

from pathlib import Path

from tests.support import debian_package
from tests.support.checkout import CHECKOUT

VERSION = "1.0.0"
FILES = CHECKOUT / "tests/data/package-1.0.0"


def build(deb: Path, directory: Path) -> Path:
    """Make it of today's `deb`; the path of the .deb."""
    return debian_package.repacked(deb, directory, version=VERSION, change=_as_it_was)


def _as_it_was(tree: Path) -> None:
    for source in sorted(path for path in FILES.rglob("*") if path.is_file()):
        target = tree / source.relative_to(FILES)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())
        target.chmod(source.stat().st_mode)
