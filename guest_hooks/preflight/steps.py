# SPDX-License-Identifier: GPL-3.0-or-later
"""The next steps that repair a guest of this kind: its menu, its initial RAM disks, its kernels.
Pure.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

from guest_hooks.model import Mode
from guest_hooks.paths import GRUB_CFG
from guest_hooks.problems.row import Actor
from guest_hooks.program import SYNC
from guest_hooks.records import dataclass, field, replace

UPDATE_GRUB = "update-grub"
SETTINGS = "/etc/default/grub"


@dataclass(frozen=True, slots=True, kw_only=True)
class NextStep:
    """What to do, as words with the commands to run, and who does it."""

    words: str
    actor: Actor = Actor.GUEST


def _names(text: str, wrong: str) -> bool:
    """Whether a file has `wrong` in it; a letter or two only as a word of its own."""
    return wrong in (text if len(wrong) > 2 else re.split(r"[\s\"']", text))


class InitrdMaker(StrEnum):
    """What makes a guest's initial RAM disks."""

    INITRAMFS_TOOLS = "initramfs-tools"
    DRACUT = "dracut"


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """How a guest is repaired.

    `is_menu_ours`: a sync sees by itself that grub.cfg has to be made again; `is_by_hand`: it is no
    menu of grub-mkconfig's. `bits` is the width of the guest's kernels, `has_kernels` whether there
    is any. `sources` are the texts of the files from which update-grub makes the menu, by path;
    `saved` are the variables of grubenv. `copied` are the kernels of which there is a copy for PV,
    `makes_copies` says whether a sync makes any.
    """

    is_menu_ours: bool = False
    is_by_hand: bool = False
    maker: InitrdMaker = InitrdMaker.INITRAMFS_TOOLS
    bits: int = 64
    has_kernels: bool = True
    sources: Mapping[str, str] = field(default_factory=dict)
    saved: Mapping[str, str] = field(default_factory=dict)
    copied: frozenset[str] = frozenset()
    makes_copies: bool = True

    def menu(self, wrong: str = "") -> NextStep:
        """Make a menu without `wrong`, a word of it: update-grub writes again what a file says, and
        writes over what a person wrote.
        """
        if self.is_by_hand:
            what = f"correct {wrong or 'that'} in {GRUB_CFG}, or in what it reads"
            return NextStep(words=f"{what}; or have Debian's in its place: {UPDATE_GRUB}")
        found = (path for path, text in self.sources.items() if wrong and _names(text, wrong))
        source = next(found, "")
        if source:
            return NextStep(words=f"correct {wrong} in {source}, then: {UPDATE_GRUB}")
        if self.is_menu_ours:
            return NextStep(words=f"make the menu again: {SYNC}", actor=Actor.HERE)
        return NextStep(words=f"make the menu again: {UPDATE_GRUB}")

    def default(self, wanted: str, otherwise: str) -> str:
        """Have another entry started than `wanted`; `otherwise` where GRUB's settings choose it."""
        if wanted and wanted == self.saved.get("next_entry"):
            return "let the next boot take the usual entry: grub-editenv - unset next_entry"
        if wanted and wanted == self.saved.get("saved_entry"):
            return "choose another entry: grub-set-default 0"
        return self.where("default=", "set another default", otherwise)

    def where(self, word: str, what: str, otherwise: str) -> str:
        """Do `what` in the file, other than GRUB's settings, that has `word`; else `otherwise`."""
        own = (
            path
            for path, text in self.sources.items()
            if word in text and not path.startswith(SETTINGS)
        )
        path = GRUB_CFG if self.is_by_hand else next(own, "")
        made = f", then: {UPDATE_GRUB}" if path.startswith("/etc/") else ""
        return f"{what} in {path}{made}" if path else otherwise

    def first_entries(self) -> NextStep:
        """Make a menu that has entries."""
        if self.has_kernels:
            return replace(self, is_by_hand=False).menu()
        return NextStep(words=f"apt install {self.kernel(Mode.PVH)}")

    def unpacked(self, path: str) -> NextStep:
        """Have a PV boot start the kernel at `path` by a copy that GRUB can unpack."""
        if path in self.copied:
            step = self.menu()
            return replace(step, words=f"{step.words}; it then starts the copy")
        first = "" if self.makes_copies else 'set pv_kernels = "auto"; '
        return NextStep(words=f"{first}make a copy that it can: {SYNC}", actor=Actor.HERE)

    def copied_again(self) -> NextStep:
        """Make a kernel's copy for PV again, of the kernel that is there."""
        first = "" if self.makes_copies else 'set pv_kernels = "auto"; '
        return NextStep(words=f"{first}make the copy again: {SYNC}", actor=Actor.HERE)

    def initrd(self, release: str, path: str = "", *, is_there: bool) -> str:
        """The command that makes the initial RAM disk of a kernel, again if one `is_there`; and
        what has a menu take it that names another `path`.
        """
        made = f"/boot/initrd.img-{release}"
        is_other = bool(path) and path != made
        match self.maker:
            case InitrdMaker.INITRAMFS_TOOLS:
                how = "u" if is_there and not is_other else "c"
                command = f"update-initramfs -{how} -k {release}"
            case InitrdMaker.DRACUT:
                command = f"dracut --force {made} {release}"
        if not is_other:
            return command
        name = path.rpartition("/")[2]
        return f"{command}, and have the menu name {made}: {self.menu(name).words}"

    def kernel(self, mode: Mode) -> str:
        """A package of Debian's with a kernel for this guest."""
        if self.bits == 64:
            return "linux-image-amd64"
        # Linux 5.9 and later can't be a 32-bit PV guest.
        return "one of Linux before 5.9" if mode is Mode.PV else "linux-image-686-pae"
