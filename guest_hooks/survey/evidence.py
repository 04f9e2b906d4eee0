# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verdict rests on, gathered from a guest's tree: installed files, GRUB's package,
/boot/grub/<target>, the receipt.
"""

import hashlib
import re
import stat
from dataclasses import replace

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_core, moddep, second_stage
from guest_hooks.machine.receipts import Receipt, TargetReceipt
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.model import Choices
from guest_hooks.survey.observed import Evidence, Found, ModuleDir, Packaged
from guest_hooks.survey.plan import Plan
from guest_hooks.targets import Target

LISTS = frozenset(
    f"{name}.lst" for name in "moddep command fs partmap parttool video crypto terminal".split()
)
"""The lists that grub-install copies beside all modules (grub: util/grub-install-common.c,
pkglib_DATA).
"""
_VERSION = re.compile(r'^grub_package_version="(.*)"$', re.MULTILINE)


def gather(root: Root, plan: Plan, receipt: Receipt) -> Evidence:
    """All the evidence on one target; nothing is changed."""
    files = _grub_files(root, plan.target)
    return Evidence(
        found={file.path: installed(root, file.path) for file in plan.files},
        packaged=_packaged(root, plan.target, files),
        module_dir=_module_dir(root, plan.target, files),
        remembered=receipt.target(plan.target.name),
    )


def choices(root: Root, plan: Plan, remembered: TargetReceipt) -> Choices:
    """What to keep of a grub-install by hand: as asked or remembered, or as in an installed
    core image that is not ours.
    """
    found = find(root, plan.files[0].path)
    if plan.is_asked or found.data is None or found.sha256 == remembered.core_sha256:
        return plan.choices
    try:
        core = second_stage.read(found.data).core
    except FormatError:
        return plan.choices
    return (
        replace(plan.choices, public_keys=core.public_keys, has_cli=core.has_cli)
        if core
        else plan.choices
    )


def packaged(root: Root, target: Target) -> Packaged:
    """What grub-xen-bin offers for `target`; empty where it is not installed."""
    return _packaged(root, target, _grub_files(root, target))


def find(root: Root, path: str) -> Found:
    """The file at `path` as a verdict sees it; never blocks, never raises."""
    try:
        data = root.read(path)
    except FileNotFoundError:
        return Found()
    except NotRegularError as error:
        return Found(unread=error.message)
    except OSError as error:
        return Found(unread=f"{path} can't be read: {error.strerror}")
    return Found(data=data, sha256=sha256(data))


def installed(root: Root, path: str) -> Found:
    """A file that stage 1 reads; it and GRUB follow a link by their own rules, on their own
    file system.
    """
    status = root.lstat(path)
    if status is not None and stat.S_ISLNK(status.st_mode):
        return Found(unread=f"{path} is a symbolic link, which stage 1 may not be able to follow")
    return find(root, path)


def is_from_package(name: str) -> bool:
    """Whether grub-install copies the file `name` of /usr/lib/grub/<target> to
    /boot/grub/<target>.
    """
    return name.endswith(".mod") or name in LISTS


def dependencies(root: Root, target: Target) -> dict[str, tuple[str, ...]]:
    """Which of the target's modules needs which; empty where GRUB's modules are not installed."""
    data = _bytes(root, f"{target.lib_dir}/moddep.lst")
    return moddep.parse(data) if data else {}


def _packaged(root: Root, target: Target, files: dict[str, bytes]) -> Packaged:
    kernel = _bytes(root, f"{target.lib_dir}/kernel.img")
    version = _VERSION.search(root.read_text(f"{target.lib_dir}/modinfo.sh") or "")
    try:
        kernel_sha256 = grub_core.kernel_sha256(kernel) if kernel else ""
    except FormatError:
        kernel_sha256 = ""  # sync finds out: grub-install refuses it
    return Packaged(
        version=version[1] if version else "",
        kernel_sha256=kernel_sha256,
        modules={
            name.removesuffix(".mod"): sha256(data)
            for name, data in files.items()
            if name.endswith(".mod")
        },
    )


def _module_dir(root: Root, target: Target, files: dict[str, bytes]) -> ModuleDir:
    there = root.files(target.grub_dir, lambda name: name in files)
    core = find(root, f"{target.grub_dir}/core.elf")
    return ModuleDir(
        missing=tuple(sorted(files.keys() - there.keys())),
        differing=tuple(name for name, data in there.items() if data != files[name]),
        core_sha256=core.sha256,
    )


def _grub_files(root: Root, target: Target) -> dict[str, bytes]:
    return root.files(target.lib_dir, is_from_package)


def _bytes(root: Root, path: str) -> bytes | None:
    return find(root, path).data


def sha256(data: bytes) -> str:
    """The hash of `data` as every verdict and receipt writes it."""
    return hashlib.sha256(data).hexdigest()
