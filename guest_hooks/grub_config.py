"""grub.cfg: whether the menu is whole and names the kernels there are, and making it anew without ever leaving a broken one."""

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator

from guest_hooks.compare import SYNC
from guest_hooks.errors import NotRepairedError
from guest_hooks.formats import disk_names, grub_cfg
from guest_hooks.machine import disks, durable, grub_tools
from guest_hooks.machine.root import NotRegularError, Root
from guest_hooks.machine.run import Run, run
from guest_hooks.model import Change, GrubCfgStatus, Problem, State

PATH = "/boot/grub/grub.cfg"
BOOT = "/boot"
KERNEL_DIRECTORIES = (BOOT, "")
"""Where 10_linux looks for kernels."""
KERNEL = re.compile(r"vmlinuz-(?P<version>.+)")
IGNORED_SUFFIXES = (".dpkg-tmp", ".dpkg-new", ".dpkg-old", ".dpkg-dist", ".bak", ".old", ".sig", ".signed", "~")
HANDOVER = "/etc/grub.d/00_chainload_xen_pvh"
"""The script that lets a host's PVH GRUB hand over to our second stage."""
PROGRAM = "/usr/bin/xen-guest-bootloader"
"""Without it the script prints nothing: then the package was removed, and the script is a conffile that stayed behind."""
LINUX_SCRIPT = "/etc/grub.d/10_linux"
FROM_OUTSIDE = (
    "grub-mkconfig lists no kernel where / is on /dev/loop0 to /dev/loop9; leave the chroot and work on the image from outside: "
    "xen-guest-bootloader sync --root DIR --target TARGET"
)
PASSWORD_LINE = re.compile(rb"^[ \t]*password", re.MULTILINE)


def kernels(root: Root) -> tuple[str, ...]:
    """The names of the kernel images in /boot, as grub-mkconfig's 10_linux takes them on x86."""
    names = (name for name in root.names(BOOT) if KERNEL.fullmatch(name) and not name.endswith(IGNORED_SUFFIXES))
    return tuple(name for name in names if (status := root.stat(f"{BOOT}/{name}")) is not None and status.st_size > 0)


def status(root: Root, *, fs_uuid: str = "", root_uuid: str = "", command: str = SYNC, run: Run = run) -> GrubCfgStatus:
    """The verdict for grub.cfg: missing, invalid (empty, cut off, refused by GRUB's parser), stale, current.

    It is stale where it names other kernels than there are, looks for another file system than /boot's, `fs_uuid`, or gives Linux
    another root than `root_uuid`; each is compared where it is known. `command` makes it anew.
    """
    try:
        data = root.read(PATH)
    except FileNotFoundError:
        return _verdict(State.MISSING, "grub-cfg-missing", f"{PATH} is missing")
    except (OSError, NotRegularError) as error:
        return _verdict(State.INVALID, "grub-cfg-unreadable", f"{PATH} can't be read: {error}")
    fault = _fault(root, data, run=run)
    if fault:
        return _verdict(State.INVALID, "grub-cfg-invalid", f"{PATH}: {fault}")
    text = data.decode(errors="replace")
    stale = (
        *_unlisted(root, text),
        *(list(_of_another_disk(text, fs_uuid)) or _of_another_root(text, root_uuid)),
        *_of_a_builder(text),
        *_without_handover(root, text),
    )
    hint = why_unlisted(root) or f"make it anew with: {command}"
    problems = tuple(Problem(code=code, message=message, hint=hint) for code, message in stale)
    return GrubCfgStatus(path=PATH, state=State.STALE if problems else State.CURRENT, problems=problems)


def refresh(root: Root, why: tuple[str, ...], *, run: Run = run) -> tuple[list[Change], tuple[Problem, ...]]:
    """Make grub.cfg anew as update-grub does, check it, and replace it unless it comes out the same.

    Returns what changed, and what could not be made sure of. Raises `NotRepairedError` where what grub-mkconfig made is empty, cut
    off or refused by GRUB's parser; the old one stays.
    """
    made = grub_tools.make_config(root, run=run)
    fault = _fault(root, made, run=run)
    if fault:
        raise NotRepairedError(
            f"grub-mkconfig made a grub.cfg that can't be right ({fault}); the old one was kept", hint="look at: grub-mkconfig"
        )
    before = _read(root)
    if before == made:
        return [], ()
    unsure = durable.replace_all(root, {PATH: made}, mode=0o600 if PASSWORD_LINE.search(made) else 0o444)
    return [Change(path=PATH, before=_sha256(before), after=_sha256(made), why=why)], unsure


def _unlisted(root: Root, text: str) -> Iterator[tuple[str, str]]:
    """How the menu that 10_linux made differs from the kernels there are; an admin's own entries are no concern of ours."""
    section = grub_cfg.section(text, LINUX_SCRIPT)
    if section is None:
        return
    named = {name.rpartition("/")[2] for name in grub_cfg.kernels(section)}
    there = set(kernels(root))
    gone = {name for name in named - there if not any(root.exists(f"{top}/{name}") for top in KERNEL_DIRECTORIES)}
    rows = (
        ("kernel-not-in-menu", there - named, "does not name"),
        ("kernel-gone", gone, f"names what is no longer in {BOOT}:"),
    )
    for code, names, words in rows:
        if names:
            yield code, f"{PATH} {words} {', '.join(sorted(names))}"


def _of_another_disk(text: str, fs_uuid: str) -> Iterator[tuple[str, str]]:
    """Whether the menu that 10_linux made looks for its kernels where they are; a clone's has the UUID of another disk."""
    sought = _in_linux_section(grub_cfg.sought_file_systems, text)
    if fs_uuid and sought and fs_uuid.lower() not in sought:
        yield "menu-of-another-disk", f"{PATH} looks for file system {', '.join(sorted(sought))}; /boot is on {fs_uuid}"


def _of_another_root(text: str, root_uuid: str) -> Iterator[tuple[str, str]]:
    """Whether the menu that 10_linux made gives Linux the root that is there; beside an own /boot it has a UUID of its own."""
    given = _in_linux_section(grub_cfg.root_uuids, text)
    if root_uuid and given and root_uuid.lower() not in given:
        yield "menu-of-another-root", f"{PATH} starts Linux with root=UUID={', '.join(sorted(given))}; / is on {root_uuid}"


def _of_a_builder(text: str) -> Iterator[tuple[str, str]]:
    """Whether the menu names a disk of the machine that built this image as Linux's root."""
    given = grub_cfg.root_devices(grub_cfg.section(text, LINUX_SCRIPT) or "")
    names = ", ".join(name for name in given if disk_names.is_builders(name))
    if names:
        yield "menu-of-builders-disk", f"{PATH} starts Linux with root={names}, a disk of the machine that built the image"


def why_unlisted(root: Root) -> str:
    """Why grub-mkconfig lists no kernel here, and what to do; empty where nothing keeps it from that.

    A tree is worked on from outside, where the disk is shown to it as the guest's (`sandbox`).
    """
    device = os.path.realpath(disks.root_device(root)) if root.is_live else ""
    return FROM_OUTSIDE if disk_names.hides_kernels(device) else ""


def _in_linux_section(find: Callable[[str], Iterable[str]], text: str) -> set[str]:
    return {found.lower() for found in find(grub_cfg.section(text, LINUX_SCRIPT) or "")}


def _without_handover(root: Root, text: str) -> Iterator[tuple[str, str]]:
    """Whether a generated menu lacks what the handover's script prints; an admin may have taken the script's x bits away."""
    script = root.stat(HANDOVER)
    prints = script is not None and script.st_mode & 0o111 and root.exists(PROGRAM)
    if prints and _is_generated(text.encode()) and not grub_cfg.section(text, HANDOVER):
        yield "no-handover", f"{PATH} does not let a host's PVH GRUB hand over to this guest's second stage"


def _fault(root: Root, data: bytes, *, run: Run) -> str:
    """Why `data` can't be a whole grub.cfg, or an empty string."""
    if not data.strip():
        return "it is empty"
    if _is_generated(data):
        cut = grub_cfg.unclosed_section(data.decode(errors="replace"))
        if cut:
            return f"it is cut off: {cut} does not end"
    return grub_tools.script_error(root, data, run=run)


def _is_generated(data: bytes) -> bool:
    return b"### BEGIN /etc/grub.d/" in data


def _read(root: Root) -> bytes:
    try:
        return root.read(PATH)
    except (OSError, NotRegularError):
        return b""


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""


def _verdict(state: State, code: str, message: str) -> GrubCfgStatus:
    return GrubCfgStatus(path=PATH, state=state, problems=(Problem(code=code, message=message, hint=f"make it with: {SYNC}"),))
