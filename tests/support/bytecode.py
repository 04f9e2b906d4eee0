# SPDX-License-Identifier: GPL-3.0-or-later
"""The program's byte code, made once: a test starts the program thousands of times, each time told
to write none, so that it leaves nothing in the tree.
"""

import functools
import subprocess

from tests.support.checkout import CHECKOUT


def command(directory: str) -> list[str]:
    """What compiles all of a directory that is not compiled yet, by the Python that users run."""
    return ["/usr/bin/python3", "-m", "compileall", "-q", directory]


@functools.cache
def make() -> None:
    """Compile the checkout's program, as far as this user may write there: nothing but time
    depends on it.
    """
    compiler = command(str(CHECKOUT / "guest_hooks"))
    subprocess.run(compiler, capture_output=True, check=False, timeout=120)
