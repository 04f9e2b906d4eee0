# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB of other Debian releases: its modules and its own grub-mkimage, fetched once and kept
under .cache/grub.
"""

import fcntl
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support import apt_proxy
from tests.support.checkout import CHECKOUT

CACHE = CHECKOUT / ".cache" / "grub"
FETCH_TIMEOUT = 1200
PACKAGES = "grub-xen-bin,grub-common,grub-xen-host,python3-pyelftools"


@dataclass(frozen=True, slots=True)
class Grub:
    """One release's GRUB, unpacked at `tree`."""

    tree: Path

    @property
    def lib(self) -> str:
        """Where its modules are, by target."""
        return str(self.tree / "usr/lib/grub")

    @property
    def mkimage(self) -> tuple[str, ...]:
        """Its grub-mkimage, run with its own C library."""
        return self._program("grub-mkimage")

    @property
    def fstest(self) -> tuple[str, ...]:
        """Its grub-fstest: its drivers of file systems as a program."""
        return self._program("grub-fstest")

    def _program(self, name: str) -> tuple[str, ...]:
        loader = self.tree / "usr/lib64/ld-linux-x86-64.so.2"
        return (
            str(loader),
            "--library-path",
            str(self.tree / "usr/lib/x86_64-linux-gnu"),
            str(self.tree / f"usr/bin/{name}"),
        )

    @property
    def version(self) -> str:
        """The version of its package, as grub-mkimage tells it."""
        said = subprocess.run(
            [*self.mkimage, "--version"], check=True, capture_output=True, text=True, timeout=60
        )
        return said.stdout.split()[-1]

    def stage1(self, target: str) -> bytes:
        """The host's image that Debian builds for `target`."""
        return (self.tree / f"usr/lib/grub-xen/grub-{target}.bin").read_bytes()


def of(suite: str) -> Grub:
    """The GRUB of a Debian suite; fetched where it is not cached. Safe against another process
    that wants the same one.
    """
    CACHE.mkdir(parents=True, exist_ok=True)
    tree = CACHE / suite
    with (CACHE / f".{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            partial = CACHE / f"{suite}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            # an archive's copy may be older than its promise of freshness
            options = (
                "--aptopt=Acquire::Check-Valid-Until false",
                "--variant=extract",
                f"--include={PACKAGES}",
            )
            command = ["mmdebstrap", "--quiet", *options, suite, str(partial)]
            subprocess.run(command, check=True, timeout=FETCH_TIMEOUT, env=apt_proxy.environment())
            partial.rename(tree)
    return Grub(tree)
