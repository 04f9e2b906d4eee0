# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's own checks as an oracle: would grub-file call this image a PV kernel?"""

import subprocess
from pathlib import Path

CHECKS = {"x86_64-xen": "--is-x86_64-xen-domu", "i386-xen": "--is-i386-xen-pae-domu"}
"""There is none for PVH."""


def accepts(image: bytes, target: str, directory: Path) -> bool:
    """Whether grub-file takes `image` for a kernel of `target`'s kind, as far as it has a check
    for it.
    """
    if target not in CHECKS:
        return True
    path = directory / "image"
    path.write_bytes(image)
    return (
        subprocess.run(
            ["grub-file", CHECKS[target], str(path)], check=False, capture_output=True, timeout=60
        ).returncode
        == 0
    )
