# SPDX-License-Identifier: GPL-3.0-or-later
"""Xen's own parser as an oracle: would the domain builder take this image?"""

import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from guest_hooks.model import Mode

SOURCE = Path(__file__).with_name("xen_oracle.c")
_CONTAINERS = {Mode.PV: 0, Mode.PVH: 1}


@dataclass(frozen=True, slots=True)
class Oracle:
    """A running oracle; a crash of the parser counts as a refusal."""

    process: "subprocess.Popen[bytes]"

    def accepts(self, image: bytes, mode: Mode) -> bool:
        """Whether libxenguest parses `image` as the kernel of a guest of `mode`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(struct.pack("=II", _CONTAINERS[mode], len(image)) + image)
        self.process.stdin.flush()
        answer = self.process.stdout.read(1)
        assert answer in (b"0", b"1", b"C"), "the oracle ended"
        return answer == b"1"


@contextmanager
def running(directory: Path) -> Iterator[Oracle]:
    """An oracle, compiled into `directory`."""
    program = directory / "xen-oracle"
    subprocess.run(["gcc", "-O2", "-o", program, SOURCE, "-lxenguest", "-lxenctrl"], check=True)
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        yield Oracle(process)
        assert process.stdin is not None
        process.stdin.close()
