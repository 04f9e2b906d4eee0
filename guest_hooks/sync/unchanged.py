# SPDX-License-Identifier: GPL-3.0-or-later
"""The cheap path: what has to stay as it is for "nothing to do" to stay true, remembered after
a sync that found all well.
"""

from collections.abc import Sequence
from contextlib import suppress

from guest_hooks.config import LOCAL_DIR, MAIN_FILE, VENDOR_DIR
from guest_hooks.errors import GuestHooksError
from guest_hooks.machine import disks, durable, fingerprint
from guest_hooks.machine.root import Root
from guest_hooks.paths import DIVERTED, GRUB_CFG, MENU_LST, RECEIPT, STATE_DIR
from guest_hooks.problems.second_stage import FOR_STATUS_ALONE
from guest_hooks.survey import kernel_images
from guest_hooks.survey.evidence import installed
from guest_hooks.survey.status import Survey

GUEST = (
    "/sys/hypervisor/type",
    "/sys/hypervisor/guest_type",
    "/sys/hypervisor/properties/features",
)
CORE = "core.elf"
UNITS = ("/etc/systemd/system/boot.mount", "/etc/systemd/system/boot.automount")
TOOLS = (
    "/usr/sbin/grub-install",
    DIVERTED,
    "/usr/sbin/grub-mkconfig",
    "/usr/bin/grub-mkimage",
    "/etc/fstab",
)


def remember(root: Root, found: Survey, named: Sequence[str]) -> None:
    """Write the fingerprint of a guest that is as it should be; remove it from any other.

    Where that can't be done, the next run takes longer, and no more. Only for the running system;
    the targets that were `named` have a fingerprint of their own.
    """
    path = fingerprint.path_for(*named)
    if not root.is_live or not path:
        return
    with suppress(GuestHooksError):
        _remember(root, found, path)


def _remember(root: Root, found: Survey, path: str) -> None:
    boot = found.status.boot
    menu = found.status.grub_cfg
    judged = (*found.status.targets, *((menu,) if menu else ()), *found.status.kernels)
    if not found.status.ok or boot is None or any(each.problems for each in judged):
        durable.remove(root, path)
        return
    menus = (GRUB_CFG, root.destination(GRUB_CFG))
    devices = (boot.device, disks.root_device(root))
    text = fingerprint.take(_subjects(found, devices, menus), _spares(found))
    if any(
        installed(root, file, known).sha256 != known.sha256
        for target in found.targets
        for file, known in target.evidence.found.items()
    ):
        return  # one was replaced since it was judged
    if root.read_text(path, limit=1024 * 1024) != text:
        durable.make_dirs(root, STATE_DIR)
        durable.replace(root, path, text.encode(), sync=False)  # without one, a survey looks


def _spares(found: Survey) -> dict[str, tuple[str, str]]:
    """The second stages that GRUB's core image beside its modules is the same as, by path; none
    where a run says more than what it has put back, or may not put it back.
    """
    told = [each for each in found.status.problems if each.code not in FOR_STATUS_ALONE]
    if told or not found.config.repair:
        return {}
    return {
        path: (f"{target.plan.target.grub_dir}/{CORE}", fingerprint.checksum(known.data))
        for target in found.targets
        for path, known in target.evidence.found.items()
        if known.data is not None and known.data == target.evidence.standing.files.get(CORE)
    }


def _subjects(found: Survey, devices: Sequence[str], menus: Sequence[str]) -> list[tuple[str, str]]:
    files = [file.path for plan in found.plans for file in plan.files]
    directories = [
        path for plan in found.plans for path in (plan.target.lib_dir, plan.target.grub_dir)
    ]
    return [
        ("uname", "-"),
        *(("text", path) for path in GUEST),
        *((kind, path) for path in disks.DIRECTORIES for kind in ("fs", "place")),
        *(("uuid", device) for device in dict.fromkeys(devices)),
        *(
            ("stat", path)
            for path in (
                MAIN_FILE,
                *TOOLS,
                *UNITS,
                *dict.fromkeys(menus),
                MENU_LST,
                RECEIPT,
                *files,
                *(kernel.copy.path for kernel in found.status.kernels if kernel.copy),
            )
        ),
        *(("dir", path) for path in (VENDOR_DIR, LOCAL_DIR, *directories)),
        *(("kernels", directory or "/") for directory in kernel_images.directories()),
    ]
