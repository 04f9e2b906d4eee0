# SPDX-License-Identifier: GPL-3.0-or-later
"""What pvgrub-legacy, which reads menu.lst alone, starts of this guest. Pure.

Sources: GRUB Legacy 0.97 stage2/{stage2,builtins}.c; Xen stubdom/grub/mini-os.c, which gives the
kernel to libxenguest.
"""

from collections.abc import Callable, Sequence
from functools import partial

from guest_hooks.formats import menu_lst
from guest_hooks.formats.grub_menu import Boot, Choice, Entry, Menu
from guest_hooks.formats.menu_lst import File, LegacyEntry
from guest_hooks.model import BootFilesystem
from guest_hooks.paths import MENU_LST
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.problems.other_hosts import LegacyProblem
from guest_hooks.records import dataclass

_found = partial(Finding.of, link=Link.STAGE1, thing=MENU_LST)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """What pvgrub-legacy starts: a second stage, or the kernel of `menu`; what keeps it from that,
    and what is not known.
    """

    is_second_stage: bool = False
    menu: Menu | None = None
    choice: Choice | None = None
    findings: tuple[Finding, ...] = ()
    unknown: tuple[str, ...] = ()


def follow(
    boot: BootFilesystem,
    text: str | None,
    drive: str,
    names: Sequence[str],
    is_there: Callable[[str], bool],
) -> Started:
    """Follow menu.lst, whose `text` None is where there is none; `drive` is pv-grub's name of
    /boot's disk, empty where that is not known, `names` the second stages' file names.
    """
    found: list[Finding] = []
    if not boot.fs_type.startswith("ext"):
        message = f"pvgrub-legacy can't read {boot.fs_type}, the file system of /boot"
        found.append(_found(LegacyProblem.FILE_SYSTEM, message=message))
    if text is None:
        message = f"{MENU_LST} is missing, and pvgrub-legacy reads no other menu"
        return _ends([*found, _found(LegacyProblem.MENU_MISSING, message=message)])
    menu = menu_lst.parse(text)
    if not menu.entries:
        message = f"{MENU_LST} has no entry: a title, and commands behind it"
        return _ends([*found, _found(LegacyProblem.MENU_EMPTY, message=message)])
    if menu.timeout is None:
        message = f"{MENU_LST} sets no timeout: pvgrub-legacy waits for a key"
        found.append(_found(LegacyProblem.MENU_WAITS, message=message))
    entry = menu.chosen
    if entry is None or entry.other or entry.kernel is None:
        return _unclear(found, entry)
    wrong = _of_file(entry, entry.kernel, drive, is_there)
    if wrong:
        return _ends([*found, *wrong])
    unknown = () if drive else ("what pvgrub-legacy calls the disk with /boot",)
    if entry.kernel.path.rpartition("/")[2] in names:
        return Started(is_second_stage=True, findings=tuple(found), unknown=unknown)
    message = f"{MENU_LST} does not name the second stage"
    found.append(_found(LegacyProblem.MENU_OTHER, message=message))
    loaded = _entry(entry, entry.kernel)
    return Started(
        menu=Menu(entries=(loaded,), variables={}),
        choice=Choice(entry=loaded, wanted="", way=(loaded,)),
        findings=tuple(found),
        unknown=unknown,
    )


def _ends(found: Sequence[Finding]) -> Started:
    return Started(findings=tuple(found))


def _unclear(found: Sequence[Finding], entry: LegacyEntry | None) -> Started:
    if entry is None:
        what = f"which entry {MENU_LST} starts: /boot/grub/default says that"
    else:
        what = f"what the entry {entry.title!r} of {MENU_LST} starts ({entry.other or 'no kernel'})"
    return Started(findings=tuple(found), unknown=(what,))


def _of_file(
    entry: LegacyEntry, kernel: File, drive: str, is_there: Callable[[str], bool]
) -> list[Finding]:
    """Whether the kernel is where the entry says."""
    if drive and kernel.drive != drive:
        message = (
            f"{MENU_LST}: the entry {entry.title!r} takes its kernel from"
            f" {kernel.drive or 'no disk'}, and pvgrub-legacy calls the disk with /boot {drive}"
        )
        return [_found(LegacyProblem.DRIVE, message=message, name=f"{drive}{kernel.path}")]
    if not is_there(kernel.path):
        message = f"{MENU_LST}: the entry {entry.title!r} names {kernel.path}, which is not there"
        return [_found(LegacyProblem.KERNEL_MISSING, message=message)]
    return []


def _entry(entry: LegacyEntry, kernel: File) -> Entry:
    boot = Boot(
        device="",
        command="linux",
        kernel=kernel.path,
        arguments=entry.arguments,
        initrds=(entry.initrd.path,) if entry.initrd else (),
        modules=(),
    )
    return Entry(title=entry.title, id=entry.title, line=0, boot=boot)
