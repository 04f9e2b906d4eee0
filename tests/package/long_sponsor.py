# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sponsor runs beside lintian and the build: piuparts, and builds under varied conditions.

It needs programs that nothing else needs, so `make test-sponsor` runs it.
"""

import gzip
import shutil
import subprocess
from pathlib import Path

from tests.support import sources
from tests.support.apt_proxy import environment
from tests.support.debian_tree import MIRROR, Kind, Suite, tarball

BUILD = (
    "PATH=/usr/sbin:/usr/bin:/sbin:/bin DEB_BUILD_PROFILES=nocheck DEB_BUILD_OPTIONS=nocheck"
    " dpkg-buildpackage --no-sign --no-check-builddeps --build=binary"
)
VARIED = "+all,-domain_host,-user_group,-fileordering"
"""Not what needs another host or user, or a file system of its own."""


def said(*command: str, where: Path) -> str:
    done = subprocess.run(
        command,
        check=False,
        cwd=where,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=1800,
        env=environment(),
    )
    assert done.returncode == 0, done.stdout[-6000:]
    return done.stdout


def test_piuparts_finds_nothing(suite: Suite, deb: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.tar.gz"
    with tarball(suite, Kind.MINIMAL).open("rb") as plain, gzip.open(base, "wb", 1) as packed:
        shutil.copyfileobj(plain, packed)
    proxy = environment().get("http_proxy")
    words = said(
        "piuparts",
        f"--distribution={suite}",
        f"--basetgz={base}",
        f"--tmpdir={tmp_path}",
        f"--mirror={MIRROR} main",
        "--no-eatmydata",
        *([f"--proxy={proxy}"] if proxy else []),
        str(deb),
        where=tmp_path,
    )
    assert "PASS: All tests." in words


def test_builds_under_varied_conditions_are_alike(tmp_path: Path) -> None:
    """Another path, home, time, time zone, locale, mask, kernel's name, number of processors."""
    source = tmp_path / "xen-guest-bootloader"
    sources.copy(source)
    words = said(
        "reprotest",
        "--no-diffoscope",
        f"--variations={VARIED}",
        f"--build-command={BUILD}",
        ".",
        "../*.deb",
        where=source,
    )
    assert "Reproduction successful" in words
