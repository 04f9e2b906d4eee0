# SPDX-License-Identifier: GPL-3.0-or-later
"""The cell of a tree's programs, as far as it can be looked at without root."""

import subprocess

from tests.support.checkout import CHECKOUT

CODE = """
import sys
sys.path.insert(0, "guest_hooks/machine")
import confine
confine.import_no_more()
try:
    import wave
except ImportError:
    print("refused")
"""


def test_no_module_of_the_tree_is_imported() -> None:
    command = ["/usr/bin/python3", "-I", "-S", "-c", CODE]
    done = subprocess.run(
        command, cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "refused\n", done.stderr
