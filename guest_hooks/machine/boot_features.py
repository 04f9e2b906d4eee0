# SPDX-License-Identifier: GPL-3.0-or-later
"""Which features of /boot's file systems a GRUB may be too old to read: this guest's own, and a
host's.
"""

import re
from collections.abc import Iterable

from guest_hooks.formats import fs_features
from guest_hooks.formats.fs_features import Feature
from guest_hooks.machine.root import Root
from guest_hooks.model import BootFilesystem, Unreadable
from guest_hooks.targets import TARGETS

_VERSION = re.compile(r'^grub_package_version="(.*)"$', re.MULTILINE)


def on(devices: Iterable[str]) -> tuple[Feature, ...]:
    """The features of the file systems on `devices` that not every GRUB reads; none of a device
    that can't be read.
    """
    return tuple(dict.fromkeys(feature for device in devices for feature in _of(device)))


def of_boot(boot: BootFilesystem) -> tuple[Feature, ...]:
    """The same of the file systems that the boot files are on."""
    places = (boot.xen_place, boot.grub_place, boot.boot_place)
    return on(dict.fromkeys(place.device for place in places))


def unreadable(
    root: Root, devices: Iterable[str], *, is_refused: bool = False
) -> Unreadable | None:
    """The features for which this guest's GRUB can't read the file systems on `devices`, None
    where there is none.

    A feature that is in no table counts where GRUB has refused the file system: `is_refused`.
    """
    version = own_version(root)
    found = fs_features.unreadable(on(devices), version) if version else ()
    named = tuple(feature for feature in found if feature.is_known or is_refused)
    if not named:
        return None
    names = tuple(feature.name for feature in named)
    return Unreadable(features=names, version=version, readers=fs_features.readers(named))


def own_version(root: Root) -> str:
    """The version of the GRUB that this guest makes second stages of; empty where none is
    installed.
    """
    texts = (root.read_text(f"{target.lib_dir}/modinfo.sh") or "" for target in TARGETS.values())
    found = (_VERSION.search(text) for text in texts)
    return next((match[1] for match in found if match), "")


def _of(device: str) -> tuple[Feature, ...]:
    try:
        with open(device, "rb") as file:
            return fs_features.features(file.read(fs_features.SIZE))
    except OSError:
        return ()
