# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guest this is, by the kernel's own word in /sys and /proc; nothing is asked of
xenstore, so nothing can be waited for.
"""

import os
from collections.abc import Callable

from guest_hooks.errors import GuestHooksError
from guest_hooks.machine.root import Root
from guest_hooks.model import Guest, Mode
from guest_hooks.records import dataclass, field

HYPERVISOR_TYPE = "/sys/hypervisor/type"
GUEST_TYPE = "/sys/hypervisor/guest_type"
FEATURES = "/sys/hypervisor/properties/features"
XEN_CAPABILITIES = "/proc/xen/capabilities"
DMI_PRODUCT = "/sys/class/dmi/id/product_name"
EFI = "/sys/firmware/efi"
ADDRESS_BITS = "/sys/kernel/address_bits"
KERNEL_ARCH = "/proc/sys/kernel/arch"
KALLSYMS = "/proc/kallsyms"

# xen/include/public/features.h
XENFEAT_AUTO_TRANSLATED_PHYSMAP = 2
XENFEAT_DOM0 = 11

HVM_PRODUCT = "HVM domU"  # tools/firmware/hvmloader/smbios.c
DENIED = "<denied>"  # drivers/xen/sys-hypervisor.c
MOST_READ = 4096
MOST_SHOWN = 80

_GUEST_TYPES = {"PV": Mode.PV, "PVH": Mode.PVH, "HVM": Mode.HVM, "Xen": Mode.ARM}
_ALL_IDS = ["0", "0", "4294967295"]
_WIDTHS: dict[str, Callable[[str], int]] = {
    ADDRESS_BITS: lambda text: int(text) if text in ("32", "64") else 0,
    KERNEL_ARCH: lambda text: (64 if text.endswith("64") else 32) if text else 0,
    # An address has the kernel's width, even a hidden one (kernel/kallsyms.c, s_show).
    KALLSYMS: lambda text: {8: 32, 16: 64}.get(text.find(" "), 0),
}
"""How the text of each file tells the kernel's width; 0 where it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """Whether something holds, and the "PATH: what it said" lines that say so."""

    holds: bool
    evidence: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return self.holds


@dataclass(slots=True)
class _Facts:
    """Reads small files of the kernel and keeps what each of them said."""

    root: Root
    evidence: list[str] = field(default_factory=list)

    def read(self, path: str) -> str:
        """The stripped text of `path`; empty where it is missing or refuses to be read, which
        is evidence like any other.
        """
        text = ""
        try:
            text = self.root.read(path, limit=MOST_READ).decode(errors="replace").strip()
            self.say(path, _one_line(text) or "empty")
        except (FileNotFoundError, NotADirectoryError):
            self.say(path, "missing")
        except OSError as error:
            self.say(path, f"refused: {error.strerror}")
        except GuestHooksError:
            self.say(path, "not a small regular file")
        return "" if text == DENIED else text

    def exists(self, path: str) -> bool:
        """Whether `path` is there, as far as it may be looked at."""
        try:
            found = self.root.exists(path)
        except OSError as error:
            self.say(path, f"refused: {error.strerror}")
            return False
        self.say(path, "present" if found else "missing")
        return found

    def say(self, path: str, said: str) -> None:
        """Keep one line of evidence."""
        self.evidence.append(f"{path}: {said}")


def detect(root: Root, *, machine: str | None = None) -> Guest:
    """The guest whose /sys and /proc are in `root`, with its evidence; never an error,
    `Mode.NONE` where nothing says Xen.

    `machine` is the kernel's, as uname(2) tells it; without it the kernel is asked, past any
    `setarch` around this process.
    """
    facts = _Facts(root)
    mode = _mode(facts, machine or os.uname().machine)
    bits = _bits(facts, machine)
    efi = facts.exists(EFI)
    return Guest(mode=mode, bits=bits, efi=efi, evidence=tuple(facts.evidence))


def is_container(root: Root) -> Claim:
    """Whether this system runs in a container, whose host owns kernel and boot loader."""
    facts = _Facts(root)
    for path in ("/run/systemd/container", "/run/host/container-manager"):
        if facts.read(path):
            return Claim(holds=True, evidence=tuple(facts.evidence))
    for path in ("/run/.containerenv", "/.dockerenv"):
        if facts.exists(path):
            return Claim(holds=True, evidence=tuple(facts.evidence))
    environment = facts.read("/proc/1/environ")
    facts.evidence.pop()  # the rest of that environment may hold secrets
    manager = next(
        (entry for entry in environment.split("\0") if entry.startswith("container=")), ""
    )
    facts.say("/proc/1/environ", _one_line(manager) or "no container=")
    if manager.removeprefix("container="):
        return Claim(holds=True, evidence=tuple(facts.evidence))
    ids = facts.read("/proc/self/uid_map").split()
    # user_namespaces(7): the first namespace maps every id to itself
    return Claim(holds=bool(ids) and ids != _ALL_IDS, evidence=tuple(facts.evidence))


def is_chroot(root: Root, *, init_root: str = "/proc/1/root") -> Claim:
    """Whether this process sees another root directory than init does, as in the build of an image.

    Asked of the running system only (`root` is `/`); a tree that is worked on from outside is not
    one. Without /proc there is no init to compare with, and no guest that booted: that is a chroot,
    too.
    """
    if not root.is_live:
        return Claim(holds=False, evidence=(f"{root.path}: worked on from outside",))
    try:
        init = os.stat(init_root)
    except FileNotFoundError:
        return Claim(holds=True, evidence=(f"{init_root}: missing, /proc is not mounted",))
    except OSError as error:
        facts = _Facts(root, [f"{init_root}: refused: {error.strerror}"])
        return _is_root_unmounted(facts)
    own = os.stat("/")
    holds = not os.path.samestat(own, init)
    said = "another directory than /" if holds else "the same as /"
    return Claim(holds=holds, evidence=(f"{init_root}: {said}",))


def _is_root_unmounted(facts: _Facts) -> Claim:
    # proc_pid_mountinfo(5) lists what is mounted below the process's own root: a root that is a
    # plain directory is not in it
    table = facts.root.read_text("/proc/self/mountinfo", limit=1 << 20) or ""
    points = [fields[4] for fields in map(str.split, table.splitlines()) if len(fields) > 4]
    holds = bool(points) and "/" not in points
    facts.say(
        "/proc/self/mountinfo",
        "nothing is mounted at /" if holds else "/ is a mount" if points else "unreadable",
    )
    return Claim(holds=holds, evidence=tuple(facts.evidence))


def _mode(facts: _Facts, machine: str) -> Mode:
    hypervisor = facts.read(HYPERVISOR_TYPE)
    kind = _GUEST_TYPES.get(facts.read(GUEST_TYPE))
    if kind is None and facts.read(DMI_PRODUCT) == HVM_PRODUCT:
        kind = Mode.HVM
    if hypervisor not in ("", "xen") or (not hypervisor and kind is None):
        return Mode.NONE
    features = _features(facts)
    if (features is not None and _has(features, XENFEAT_DOM0)) or "control_d" in facts.read(
        XEN_CAPABILITIES
    ):
        return Mode.DOM0
    if machine.startswith(("arm", "aarch64")):
        facts.say("uname", machine)
        return Mode.ARM
    return kind or _untold_kind(facts, features)


def _untold_kind(facts: _Facts, features: int | None) -> Mode:
    """The kind of a Xen guest whose kernel has no guest_type (Linux before 4.13)."""
    if features is None:
        facts.say("/sys/hypervisor", "Xen, but nothing tells which kind of guest")
        return Mode.NONE
    return Mode.PVH if _has(features, XENFEAT_AUTO_TRANSLATED_PHYSMAP) else Mode.PV


def _features(facts: _Facts) -> int | None:
    text = facts.read(FEATURES)
    try:
        return int(text, 16)
    except ValueError:
        return None


def _has(features: int, bit: int) -> bool:
    return bool(features >> bit & 1)


def _bits(facts: _Facts, machine: str | None) -> int:
    """The width of the running kernel: `uname` is what `setarch` made of it, so files of the
    kernel are asked first.
    """
    if machine is None:
        for asked in [facts] if facts.root.is_live else [facts, _Facts(Root(), facts.evidence)]:
            if bits := _kernel_bits(asked):
                return bits
        machine = os.uname().machine
    facts.say("uname", machine)
    return 64 if machine.endswith("64") or machine == "s390x" else 32


def _kernel_bits(facts: _Facts) -> int:
    """The kernel's width by its own files, or 0; the last file asked stands in the evidence."""
    before = len(facts.evidence)
    for path, width in _WIDTHS.items():
        if bits := width(facts.read(path)):
            return bits
        del facts.evidence[before:]
    return 0


def _one_line(text: str) -> str:
    first = text.splitlines()[0] if text else ""
    shown = "".join(character if character.isprintable() else "?" for character in first)
    return shown if len(shown) <= MOST_SHOWN else shown[:MOST_SHOWN] + "…"
