# SPDX-License-Identifier: GPL-3.0-or-later
"""What a verdict rests on, gathered from a guest's tree: installed files, GRUB's package,
/boot/grub/<target>, the receipt.
"""

import re
import stat

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_core, moddep, second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine import directory
from guest_hooks.machine.directory import Directory
from guest_hooks.machine.receipts import Receipt
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.model import Choices
from guest_hooks.records import replace
from guest_hooks.survey.observed import Evidence, Found, ModuleDir, Packaged, SurveyedTarget
from guest_hooks.survey.plan import Plan
from guest_hooks.targets import Target

LISTS = frozenset(
    f"{name}.lst" for name in "moddep command fs partmap parttool video crypto terminal".split()
)
"""The lists that grub-install copies beside all modules (grub: util/grub-install-common.c,
pkglib_DATA).
"""
MADE_FILES = (".img", "core.elf", "load.cfg", "modinfo.sh", "efiemu32.o", "efiemu64.o")
"""What else grub-install puts into /boot/grub/<target> (grub: util/grub-install-common.c)."""
_DESCRIBING = ("kernel.img", "modinfo.sh")
"""What tells which GRUB the modules are of."""
_VERSION = re.compile(r'^grub_package_version="(.*)"$', re.MULTILINE)


def gather(
    root: Root, plan: Plan, receipt: Receipt, package: Directory, known: Evidence | None = None
) -> Evidence:
    """All the evidence on one target; nothing is changed, and of what is `known` only what has
    changed is read again. `package` is what `package_files` found.
    """
    standing = directory.read(
        root, plan.target.grub_dir, is_of_grub_install, known.standing if known else None
    )
    is_known = known is not None and known.package is package
    return Evidence(
        found={
            file.path: installed(root, file.path, known.found.get(file.path) if known else None)
            for file in plan.files
        },
        packaged=known.packaged if known and is_known else packaged(package),
        module_dir=_module_dir(package, standing),
        remembered=receipt.target(plan.target.name),
        package=package,
        standing=standing,
    )


def package_files(root: Root, target: Target, known: Directory | None = None) -> Directory:
    """The files of GRUB's package that a second stage of `target` is made of; empty where it is
    not installed.
    """
    return directory.read(
        root, target.lib_dir, lambda name: is_from_package(name) or name in _DESCRIBING, known
    )


def copied(package: Directory) -> dict[str, bytes]:
    """Those that grub-install copies to /boot/grub/<target>."""
    return {name: data for name, data in package.files.items() if is_from_package(name)}


def choices(there: SurveyedTarget) -> Choices:
    """What to keep of a grub-install by hand: as asked or remembered, or as in an installed
    core image that is not ours.
    """
    plan = there.plan
    found = there.evidence.found[plan.files[0].path]
    if plan.is_asked or found.data is None or found.sha256 == there.evidence.remembered.core_sha256:
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


def installed(root: Root, path: str, known: Found | None = None) -> Found:
    """A file that stage 1 reads; it and GRUB follow a link by their own rules, on their own
    file system. `known` itself where it has not changed since.
    """
    status = root.lstat(path)
    if status is not None and stat.S_ISLNK(status.st_mode):
        return Found(unread=f"{path} is a symbolic link, which stage 1 may not be able to follow")
    signature = directory.signature(status) if status is not None else None
    if known is not None and signature is not None and signature == known.signature:
        return known
    return replace(find(root, path), signature=signature)


def is_from_package(name: str) -> bool:
    """Whether grub-install copies the file `name` of /usr/lib/grub/<target> to
    /boot/grub/<target>.
    """
    return name.endswith(".mod") or name in LISTS


def is_of_grub_install(name: str) -> bool:
    """Whether a file of /boot/grub/<target> is one that grub-install copies or makes there; others
    may stand beside them, in any number.
    """
    return is_from_package(name) or name.endswith(MADE_FILES)


def dependencies(package: Directory) -> dict[str, tuple[str, ...]]:
    """Which of the target's modules needs which; empty where GRUB's modules are not installed."""
    data = package.files.get("moddep.lst")
    return moddep.parse(data) if data else {}


def packaged(package: Directory) -> Packaged:
    """What grub-xen-bin offers for a target; empty where it is not installed."""
    kernel = package.files.get("kernel.img")
    version = _VERSION.search(package.files.get("modinfo.sh", b"").decode(errors="replace"))
    try:
        kernel_sha256 = grub_core.kernel_sha256(kernel) if kernel else ""
    except FormatError:
        kernel_sha256 = ""  # sync finds out: grub-install refuses it
    return Packaged(
        version=version[1] if version else "",
        kernel_sha256=kernel_sha256,
        modules={
            name.removesuffix(".mod"): sha256(data)
            for name, data in package.files.items()
            if name.endswith(".mod")
        },
    )


def _module_dir(package: Directory, standing: Directory) -> ModuleDir:
    files, there = copied(package), standing.files
    core = there.get("core.elf")
    return ModuleDir(
        missing=tuple(sorted(files.keys() - there.keys())),
        differing=tuple(
            name for name, data in files.items() if name in there and there[name] != data
        ),
        core_sha256=sha256(core) if core is not None else "",
    )
