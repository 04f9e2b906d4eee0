# SPDX-License-Identifier: GPL-3.0-or-later
"""What pygrub, a program of the host's, starts of this guest, by its own reading of the guest's
menu: no GRUB runs at all.

Source: xen tools/pygrub/src/pygrub, 4.17, which reads the file systems that libxenfsimage knows.
"""

from collections.abc import Callable

from guest_hooks.errors import FormatError
from guest_hooks.formats import pygrub_menu
from guest_hooks.formats.grub_menu import Boot, Choice, Entry, Menu
from guest_hooks.formats.pygrub_entries import Image, PygrubMenu
from guest_hooks.model import BootFilesystem
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.other_hosts import PygrubProblem
from guest_hooks.records import dataclass

READABLE = ("ext2", "ext3", "ext4")
"""Of the file systems that Debian installs /boot on; libxenfsimage's XFS and btrfs are those of
2008, or none.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What pygrub makes of this guest: the file that it reads, the menu in that, its choice,
    and what keeps it from booting.
    """

    path: str = ""
    menu: Menu | None = None
    choice: Choice | None = None
    findings: tuple[Finding, ...] = ()


def follow(boot: BootFilesystem, read: Callable[[str], str | None]) -> Chosen:
    """What pygrub starts; `read` gives the text of a file by its path on /boot's file system,
    None where there is none.
    """
    if boot.fs_type not in READABLE:
        message = f"pygrub can't read {boot.fs_type}, the file system of /boot"
        return Chosen(findings=(_finding(PygrubProblem.FILE_SYSTEM, boot.device, message),))
    texts = ((path, language, read(path)) for path, language in pygrub_menu.FILES)
    there = next(
        ((path, language, text) for path, language, text in texts if text is not None), None
    )
    if there is None:
        message = f"pygrub finds none of the menus that it looks for on {boot.device}"
        return Chosen(findings=(_finding(PygrubProblem.FINDS_NOTHING, boot.device, message),))
    path, language, text = there
    try:
        found = pygrub_menu.read(text[: pygrub_menu.MOST_BYTES], language)
    except FormatError as error:
        return Chosen(
            path=path, findings=(_finding(PygrubProblem.REFUSES, path, f"{path}: {error.message}"),)
        )
    entries = tuple(_entry(image) for image in found.images)
    if found.chosen is None or not found.chosen.kernel:
        message = f"{path} has no entry with a kernel where pygrub takes its default"
        return Chosen(path=path, findings=(_finding(PygrubProblem.STARTS_NOTHING, path, message),))
    entry = entries[found.images.index(found.chosen)]
    return Chosen(
        path=path,
        menu=Menu(entries=entries, variables={}),
        choice=Choice(entry=entry, wanted=str(found.default)),
        findings=_waits(path, found),
    )


def _entry(image: Image) -> Entry:
    boot = Boot(
        device="",
        command="linux",
        kernel=image.kernel,
        arguments=tuple(image.arguments.split()),
        initrds=(image.initrd,) if image.initrd else (),
        modules=(),
    )
    return Entry(title=image.title, id=image.title, line=0, boot=boot if image.kernel else None)


def _waits(path: str, found: PygrubMenu) -> tuple[Finding, ...]:
    if found.timeout >= 0:
        return ()
    return (
        Finding.of(
            PygrubProblem.WAITS,
            link=Link.GRUB_CFG,
            thing=path,
            message=f"{path} sets no timeout: pygrub waits for a key, unless the host sets one",
        ),
    )


def _finding(code: PygrubProblem, thing: str, message: str) -> Finding:
    is_of_menu = code in (PygrubProblem.REFUSES, PygrubProblem.STARTS_NOTHING)
    link = Link.GRUB_CFG if is_of_menu else Link.STAGE1
    return Finding.of(code, link=link, thing=thing, message=message)
