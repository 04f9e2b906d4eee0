# SPDX-License-Identifier: GPL-3.0-or-later
"""A logical volume on a disk image, made where the kernel has no device-mapper: LVM writes what
it knows, the data is copied in.
"""

import os
import subprocess
from pathlib import Path

from tests.support import images, loops

GROUP = "guest"
VOLUME = "root"
MAPPED = f"/dev/mapper/{GROUP}-{VOLUME}"
EXTENT = 4 * images.MIB
START = images.MIB
"""Where LVM puts the first extent."""

CONFIG = (
    'devices {{ filter = [ "a|^{device}$|", "r|.*|" ] use_devicesfile = 0'
    " obtain_device_list_from_udev = 0 }} activation {{ udev_sync = 0 udev_rules = 0"
    " verify_udev_operations = 0 monitoring = 0 }} backup {{ backup = 0 archive = 0 }} global {{"
    ' locking_dir = "{locks}" event_activation = 0 }}'
)


def wrap(filesystem: Path, image: Path) -> str:
    """Make `image` a disk whose one logical volume holds the bytes of the file `filesystem`;
    GRUB's name of the volume.
    """
    size = filesystem.stat().st_size
    with image.open("wb") as file:
        file.truncate(START + -(-size // EXTENT) * EXTENT)
    locks = image.with_suffix(".locks")
    locks.mkdir()
    with loops.attached(image) as device:
        config = CONFIG.format(device=device, locks=locks)
        for command in (
            ("pvcreate", device),
            ("vgcreate", GROUP, device),
            (
                "lvcreate",
                "--driverloaded",
                "n",
                "-an",
                "-Zn",
                "-Wn",
                "--extents",
                "100%FREE",
                "--name",
                VOLUME,
                GROUP,
            ),
        ):
            _lvm(*command, config=config)
        fields = "pe_start,vg_uuid,lv_uuid"
        told = _lvm(
            "pvs",
            "--noheadings",
            "--nosuffix",
            "--units",
            "b",
            "--options",
            fields,
            device,
            config=config,
        )
        start, group, volume = told.split()
        assert int(start) == START
        images.tool(
            "dd",
            f"if={filesystem}",
            f"of={device}",
            "bs=1M",
            f"seek={START // images.MIB}",
            "conv=notrunc,sparse,fsync",
        )
    return f"(lvmid/{group}/{volume})"


def _lvm(command: str, *arguments: str, config: str) -> str:
    done = subprocess.run(
        ["lvm", command, "--config", config, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=os.environ | {"LVM_SUPPRESS_FD_WARNINGS": "1"},
    )
    assert done.returncode == 0, f"lvm {command}: {done.stderr}"
    return done.stdout
