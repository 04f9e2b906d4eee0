# SPDX-License-Identifier: GPL-3.0-or-later
"""A second stage: the core image that stage 1 chainloads, what it is and whether it may be
installed for a target.
"""

import re
from functools import lru_cache

from guest_hooks.errors import CodedFormatError, FormatError
from guest_hooks.formats import elf as elf_format
from guest_hooks.formats import grub_core, second_stage_rules, xen_notes
from guest_hooks.formats.digests import sha256
from guest_hooks.formats.grub_core import Core
from guest_hooks.formats.xen_notes import Note
from guest_hooks.model import Problem
from guest_hooks.problems.images import ImageProblem
from guest_hooks.records import dataclass
from guest_hooks.targets import Target

_GRUB_2 = b"grub rescue> "
"""The prompt of every GRUB 2 kernel (grub-core/kern/rescue_reader.c)."""

# What grub-install writes into its load.cfg, and nothing else (util/grub-install.c).
_LOAD_CFG_LINE = re.compile(
    r"search\.(?:fs_uuid|file) [^\s;&|{}]+ root(?: [^\s;&|{}]+)* ?"
    r"|set prefix=\(\$root\)'[^\n]*'"
    r"|cryptomount -u \S+"
    r"|set debug='[^\n]*'"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStage:
    """What a file is: `core` is None where it holds no GRUB core image (GRUB Legacy's pvgrub, a
    Linux kernel).

    `kernel_sha256` is the hash of the first LOAD segment, which tells one build of GRUB from
    another; see `grub_core`.
    """

    elf_class: int
    machine: int
    entry: int
    notes: tuple[Note, ...]
    core: Core | None
    kernel_sha256: str
    sha256: str
    size: int

    @property
    def grub_version(self) -> str:
        """The version of GRUB, or empty where the image does not tell."""
        return self.core.grub_version if self.core else ""


@lru_cache(maxsize=elf_format.RECENT)
def read(data: bytes) -> SecondStage:
    """The second stage that `data` holds.

    Raises `FormatError` where it is no ELF file, its notes can't be read, it is cut off, or its
    module block is damaged.
    """
    elf = elf_format.read(data)
    loads = elf.loads
    if not loads:
        raise CodedFormatError(ImageProblem.NO_LOAD_SEGMENT, "there is no LOAD segment")
    try:
        core = grub_core.read(elf, data)
    except FormatError as error:
        if error.code != ImageProblem.NO_MODULE_BLOCK:
            raise
        core = None
    return SecondStage(
        elf_class=elf.elf_class,
        machine=elf.machine,
        entry=elf.entry,
        notes=xen_notes.read(elf, data),
        core=core,
        kernel_sha256=sha256(elf_format.content(data, loads[0])),
        sha256=sha256(data),
        size=len(data),
    )


def problems(data: bytes, target: Target) -> tuple[Problem, ...]:
    """Everything that forbids to install `data` for `target`; empty where nothing does. Never
    raises.
    """
    return tuple(second_stage_rules.broken(data, target))


def is_another_program(data: bytes, target: Target) -> bool:
    """Whether `data` is a whole Xen image of something else than GRUB 2, such as GRUB Legacy's
    pvgrub: all it lacks are modules.
    """
    return [problem.code for problem in problems(data, target)] == [
        ImageProblem.NO_MODULE_BLOCK
    ] and _GRUB_2 not in data


def is_from_grub_install(stage: SecondStage) -> bool:
    """Whether the core image finds its prefix as grub-install makes it: by a search for it, or
    on a drive named outright.
    """
    core = stage.core
    if core is None or core.has_memdisk:
        return False
    lines = core.config.splitlines()
    if not all(_LOAD_CFG_LINE.fullmatch(line) for line in lines):
        return False
    searches, sets = (
        any(line.startswith(word) for line in lines) for word in ("search.", "set prefix=")
    )
    return (searches and sets) or (
        not searches and not sets and re.fullmatch(r"\([^(),]+.*\)/.*", core.prefix) is not None
    )
