# SPDX-License-Identifier: GPL-3.0-or-later
"""A newer kernel as a Debian package: the guest's own kernel and configuration, with Debian's
own maintainer scripts.
"""

import hashlib
import shutil
from pathlib import Path

from tests.support import debian_package
from tests.support.chroot_guest import ChrootGuest

MODULES = (
    "kernel/drivers/block",
    "kernel/fs/ext4",
    "kernel/fs/jbd2",
    "kernel/fs/mbcache.ko",
    "kernel/lib",
)
"""Enough for an initrd that brings this kernel to its root, made in a few seconds."""


def own_release(guest: ChrootGuest) -> str:
    """The release of the kernel that came with the tree; those that tests add begin with 9 or 5."""
    (image,) = guest.path("/boot").glob("vmlinuz-[6-8]*")
    return image.name.removeprefix("vmlinuz-")


def newer_release(guest: ChrootGuest) -> str:
    """A release that every rule sorts before the guest's own one; as long as that, so that the
    image can bear it.
    """
    return f"9{own_release(guest)[1:]}"


def build(guest: ChrootGuest, directory: Path) -> Path:
    """Build linux-image-RELEASE of `newer_release` for this guest; the path of the .deb."""
    old, new = own_release(guest), newer_release(guest)
    name = f"linux-image-{new}"
    top = directory / name
    (top / "boot").mkdir(parents=True)
    (top / "DEBIAN").mkdir()
    for kind in ("vmlinuz", "config"):
        data = guest.read(f"/boot/{kind}-{old}")
        (top / f"boot/{kind}-{new}").write_bytes(data.replace(old.encode(), new.encode()))
    _modules(guest.path(f"/lib/modules/{old}"), top / f"lib/modules/{new}")
    for script in ("preinst", "postinst", "prerm", "postrm"):
        text = (
            guest.read(f"/var/lib/dpkg/info/linux-image-{old}.{script}").decode().replace(old, new)
        )
        (top / "DEBIAN" / script).write_text(text)
        (top / "DEBIAN" / script).chmod(0o755)
    sums = [
        f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()} "
        f" {path.relative_to(top)}\n"
        for path in sorted((top / "boot").iterdir())
    ]
    (top / "DEBIAN/md5sums").write_text("".join(sums))
    fields = {
        "Package": name,
        "Version": "9.1-1",
        "Architecture": "amd64",
        "Maintainer": "nobody <nobody@example.org>",
        "Description": "a newer kernel",
    }
    (top / "DEBIAN/control").write_text(
        "".join(f"{key}: {value}\n" for key, value in fields.items())
    )
    made = directory / f"{name}.deb"
    debian_package.host("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(top), str(made))
    shutil.rmtree(top)
    return made


def _modules(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    for file in source.glob("modules.*"):
        shutil.copy2(file, target)
    for name in MODULES:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name)
        elif (source / name).exists():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, target / name)
