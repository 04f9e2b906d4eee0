# SPDX-License-Identifier: GPL-3.0-or-later
"""The one table of GRUB targets that a Xen guest can be chainloaded with. A new platform is a
row here and a fixture.
"""

from collections.abc import Iterable

from guest_hooks.errors import UsageError, did_you_mean
from guest_hooks.model import Mode
from guest_hooks.paths import BOOT_XEN
from guest_hooks.records import dataclass

HANDOVER = "/etc/grub.d/00_chainload_xen_pvh"
"""The script that lets a host's PVH GRUB hand over to our second stage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One row: GRUB's name, what its core image must be, and the names stage 1 knows it by.

    `cpu` and `platform` are GRUB's $grub_cpu and $grub_platform. `arches` are the values of ARCH in
    the protocol's file name, the image's own first; `bridge` is the file name of the Linux-header
    twin that a PVH stage 1 can start, or empty.
    """

    cpu: str
    platform: str
    mode: Mode
    elf_class: int
    elf_machine: int
    file_name: str
    arches: tuple[str, ...]
    bridge: str = ""

    @property
    def name(self) -> str:
        """What grub-install calls it."""
        return f"{self.cpu}-{self.platform}"

    @property
    def lib_dir(self) -> str:
        """Where grub-xen-bin keeps this target's modules."""
        return f"/usr/lib/grub/{self.name}"

    @property
    def grub_dir(self) -> str:
        """Where grub-install copies them, and leaves core.elf."""
        return f"/boot/grub/{self.name}"

    @property
    def files(self) -> tuple[str, ...]:
        """Every path at which a file for it may be."""
        bridge = (f"{BOOT_XEN}/{self.bridge}",) if self.bridge else ()
        return (*(self.path(arch) for arch in self.arches), *bridge)

    def path(self, arch: str) -> str:
        """The protocol's path for one ARCH."""
        return f"{BOOT_XEN}/{self.file_name.format(arch=arch)}"


EM_386 = 3
EM_X86_64 = 62
MACHINES = {EM_386: "i386", EM_X86_64: "x86_64"}
"""What reports call them."""

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (
        Target(
            cpu="x86_64",
            platform="xen",
            mode=Mode.PV,
            elf_class=64,
            elf_machine=EM_X86_64,
            file_name="pvboot-{arch}.elf",
            arches=("x86_64",),
        ),
        Target(
            cpu="i386",
            platform="xen",
            mode=Mode.PV,
            elf_class=32,
            elf_machine=EM_386,
            file_name="pvboot-{arch}.elf",
            arches=("i386",),
        ),
        Target(
            cpu="i386",
            platform="xen_pvh",
            mode=Mode.PVH,
            elf_class=32,
            elf_machine=EM_386,
            file_name="pvhboot-{arch}.elf",
            arches=("i386", "x86_64"),
            bridge="pvhboot-i386.linux",
        ),
    )
}


PLATFORMS = {target.platform: target.mode for target in TARGETS.values()}
"""The ways to start a guest by GRUB's $grub_platform; of `pc` and `efi`, the guest's own GRUB is
the only one.
"""


def of_boot(mode: Mode, names: Iterable[str]) -> Target:
    """The target whose GRUB starts a boot as `mode`: the first of `names` that can."""
    fitting = {target.name: target for target in TARGETS.values() if target.mode is mode}
    return next((fitting[name] for name in names if name in fitting), next(iter(fitting.values())))


def pv_kernel(version: str) -> str:
    """Where the copy of a kernel is that GRUB can start as PV; 10_linux lists none there."""
    return f"{BOOT_XEN}/vmlinux-{version}.gz"


def named(name: str) -> Target:
    """The row called `name`; raises `UsageError` that lists the names there are."""
    try:
        return TARGETS[name]
    except KeyError:
        raise UsageError(f"unknown target {name!r}", hint=suggestion(name)) from None


def suggestion(name: str, *, otherwise: str = f"targets are: {', '.join(TARGETS)}") -> str:
    """A hint for `name`, which is no target: the targets of the way to start a guest that it
    names, else the target that is nearest to it, else `otherwise`.
    """
    meant = [target.name for target in TARGETS.values() if target.mode == name.lower()]
    if meant:
        return f"did you mean {' or '.join(meant)}?"
    return did_you_mean(name, TARGETS, otherwise=otherwise)
