# SPDX-License-Identifier: GPL-3.0-or-later
"""For a host's admin: a stage 1 that looks for every second stage of the protocol, PVH ones
too, and then for grub.cfg.
"""

import io
import os
import shlex
import stat
import tarfile
import tempfile

from guest_hooks.errors import LackingError, UsageError
from guest_hooks.machine import durable
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Run, run
from guest_hooks.machine.trusted_root import TrustedRoot
from guest_hooks.paths import BOOT_XEN
from guest_hooks.records import dataclass
from guest_hooks.targets import Target

BOOTSTRAP = "normal (memdisk)/grub.cfg\n"
"""The rescue parser's only line: `if` and `search` come with normal mode."""
MEMDISK_CONFIG = "grub.cfg"
MENU = "grub/grub.cfg"
BUILD_TIMEOUT = 120
NOT_IN_A_BOOT_LOADER = (
    "_test",
    "test_blockarg",
    "testload",
    "testspeed",
    "exfctest",
    "videotest",
    "videotest_checksum",
)
"""Endings of modules that only test GRUB itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """One stage-1 image: where it is, its size in bytes and how many modules it has."""

    path: str
    size: int
    modules: int


def config(target: Target) -> str:
    """The grub.cfg of a stage 1 for `target`: second stages first, then the guest's grub.cfg,
    on any device.

    What can't be started is passed over. PVH second stages are looked for by their bridge, which
    GRUB's `linux` command starts; no GRUB starts the protocol's own file for PVH.
    """
    name, command = (
        (target.bridge, "linux")
        if target.bridge
        else (os.path.basename(target.path(target.arches[0])), "multiboot")
    )
    # /boot may be a file system of its own, which then has its files at the top.
    directories = (BOOT_XEN, BOOT_XEN.removeprefix("/boot"))
    tries = [
        (f"{directory}/{name}", "Chainloading", f"if {command} '{{}}' ; then\n\t\tboot\n\tfi")
        for directory in directories
    ]
    tries += [(path, "Reading", "configfile {}") for path in (f"/boot/{MENU}", f"/{MENU}")]
    blocks = (
        f'if search -s -f {path} ; then\n\techo "{word}'
        f' (${{root}}){path}"\n\t{start.format(path)}\nfi\n'
        for path, word, start in tries
    )
    return (
        f"# Stage 1 for {target.name}: the guest's own second stage, then its"
        f" grub.cfg.\n{''.join(blocks)}"
    )


def build(target: Target, output: str, root: Root, *, run: Run = run) -> Made:
    """Make a stage-1 image for `target` with every module of the GRUB in `root`, and put it at
    `output` in one step.

    Raises `UsageError` where something else than a file is called `output`, `LackingError` where
    the modules or the directory of `output` are missing, `CommandError` where grub-mkimage fails.
    """
    output = _place(output)
    lib_dir = root.outside(target.lib_dir)
    modules = _modules(target, lib_dir)
    with tempfile.TemporaryDirectory(prefix="xen-guest-bootloader-") as work:
        files = {"bootstrap.cfg": BOOTSTRAP.encode(), "memdisk.tar": _memdisk(config(target))}
        for name, data in files.items():
            with open(os.path.join(work, name), "wb") as file:
                file.write(data)
        image = os.path.join(work, "image")
        command = ["grub-mkimage", "--format", target.name, "--directory", lib_dir]
        command += [
            "--config",
            os.path.join(work, "bootstrap.cfg"),
            "--memdisk",
            os.path.join(work, "memdisk.tar"),
        ]
        run([*command, "--output", image, *modules], timeout=BUILD_TIMEOUT)
        with open(image, "rb") as file:
            made = file.read()
    durable.replace(TrustedRoot(), output, made)
    return Made(path=output, size=len(made), modules=len(modules))


def _place(output: str) -> str:
    """The path of the file to make or to replace, a link to it followed; a device, a pipe or a
    directory is not replaced.
    """
    root = TrustedRoot()
    path = os.path.join(os.getcwd(), output)
    try:
        directory = root.resolve(os.path.dirname(path))
    except (FileNotFoundError, NotADirectoryError) as error:
        where = os.path.dirname(path)
        raise LackingError(
            f"there is no directory {where}", hint=f"mkdir -p {shlex.quote(where)}"
        ) from error
    place = os.path.join(directory, os.path.basename(path))
    status = root.lstat(place)
    if status is not None and stat.S_ISLNK(status.st_mode):
        place = root.resolve(place) if root.exists(place) else ""
        status = root.lstat(place) if place else status
    if (
        output in ("", "-")
        or output.endswith("/")
        or (status is not None and not stat.S_ISREG(status.st_mode))
    ):
        raise UsageError(
            f"--output: {output or 'an empty name'} is no regular file",
            hint="name the file to make: -o stage1.bin",
        )
    return place


def _modules(target: Target, lib_dir: str) -> list[str]:
    try:
        names = sorted(
            name.removesuffix(".mod") for name in os.listdir(lib_dir) if name.endswith(".mod")
        )
    except FileNotFoundError as error:
        raise LackingError(
            f"GRUB's modules for {target.name} are not installed: no {lib_dir}",
            hint="apt install grub-xen-bin",
        ) from error
    return [name for name in names if not name.endswith(NOT_IN_A_BOOT_LOADER)]


def _memdisk(text: str) -> bytes:
    """A tar of one file; the same bytes at any time."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        member = tarfile.TarInfo(MEMDISK_CONFIG)
        member.size = len(text.encode())
        tar.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()
