# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of /etc/grub.d that lets a PV boot start copies, run as grub-mkconfig runs it."""

import subprocess
from pathlib import Path

from tests.support.checkout import CHECKOUT

SCRIPT = "grub.d/99_xen_pv_kernels"


def rewritten(text: str, boot: Path, output: Path, *, before: str = "") -> bytes:
    """The menu `text` after the script has run, for the kernels and copies in `boot`.

    Before and after it, something is printed to `output` through one descriptor, as by
    grub-mkconfig; `before` is what the shell does first.
    """
    script = output.with_suffix(".sh")
    script.write_text((CHECKOUT / SCRIPT).read_text().replace("/boot/", f"{boot}/"))
    with output.open("wb") as file:
        file.write(text.encode())
        file.flush()
        done = subprocess.run(
            ["sh", "-c", f"echo '### BEGIN ###'; {before}\nsh {script}; c=$?; echo END; exit $c"],
            stdout=file,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr
    found = output.read_bytes()
    head, begin, tail = found.rpartition(b"### BEGIN ###\n")
    assert begin
    assert tail == b"END\n", found
    return head
