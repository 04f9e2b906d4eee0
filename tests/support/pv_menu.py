# SPDX-License-Identifier: GPL-3.0-or-later
"""The script of /etc/grub.d that lets a PV boot start copies, run as grub-mkconfig runs it."""

import subprocess
from pathlib import Path

from guest_hooks.survey import menu_kernels
from tests.support.checkout import CHECKOUT

SCRIPT = "grub.d/99_xen_pv_kernels"


def rewritten(
    text: str, boot: Path, output: Path, *, program: str = "/bin/true", before: str = ""
) -> bytes:
    """The menu `text` after the script has run, for the kernels and copies in `boot`.

    Before and after it, something is printed to `output` through one descriptor, as by
    grub-mkconfig; `program` stands for the package's, `before` is what the shell does first.
    """
    script = output.with_suffix(".sh")
    words = (CHECKOUT / SCRIPT).read_text().replace(menu_kernels.PROGRAM, program)
    script.write_text(words.replace("/boot/", f"{boot}/"))
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
