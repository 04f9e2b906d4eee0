# SPDX-License-Identifier: GPL-3.0-or-later
"""What is fuzzed: a parser, what it may raise, and real input to start from."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache

from guest_hooks import config
from guest_hooks import targets as guest_targets
from guest_hooks.errors import FormatError, UsageError
from guest_hooks.formats import (
    bzimage,
    grub_cfg,
    grub_menu,
    initrd,
    inspection,
    pvh_bridge,
    second_stage,
)
from guest_hooks.machine import receipts
from tests.support import generated_menus, kernels, second_stages


@dataclass(frozen=True, slots=True, kw_only=True)
class Parser:
    """`attempt` parses an input and lets only undocumented exceptions out; `seeds` are real inputs.

    `runs` is how many inputs take about two seconds.
    """

    what: str
    runs: int
    attempt: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]


def _second_stage(data: bytes) -> None:
    inspection.inspect("input", data)
    for target in guest_targets.TARGETS.values():
        second_stage.problems(data, target)


def _module_block(data: bytes) -> None:
    for image in _images():
        at = second_stages.block_at(image)
        _second_stage(image[:at] + data[: len(image) - at] + image[at + len(data) :])


def _notes(data: bytes) -> None:
    for image in _images():
        _second_stage(second_stages.with_notes(image, data))


def _grub_cfg(data: bytes) -> None:
    text = data.decode(errors="replace")
    grub_cfg.kernels(text)
    grub_cfg.unclosed_section(text)
    grub_cfg.section(text, "/etc/grub.d/10_linux")
    grub_cfg.sought_file_systems(text)
    grub_cfg.root_uuids(text)
    with suppress(FormatError):
        grub_menu.default(grub_cfg.read(text))


def _kernel(data: bytes) -> None:
    with suppress(FormatError):
        image = bzimage.parse(data)
        bzimage.notes(data, image)
        bzimage.notes(data, image, to_the_end=True)


def _initrd(data: bytes) -> None:
    with suppress(FormatError):
        initrd.read(data)


def _configuration(data: bytes) -> None:
    with suppress(UsageError):
        config.parse([config.Source(name="input", data=data)])


def _receipt(data: bytes) -> None:
    receipts.parse(data)


@cache
def _images() -> list[bytes]:
    return [second_stages.core_image(target) for target in guest_targets.TARGETS]


def _with_bridge() -> list[bytes]:
    return [*_images(), pvh_bridge.wrap(second_stages.core_image("i386-xen_pvh"))]


def _blocks() -> list[bytes]:
    return [image[second_stages.block_at(image) :][:4096] for image in _images()]


def _note_seeds() -> list[bytes]:
    return [second_stages.notes(image) for image in _images()]


def _kernels() -> list[bytes]:
    return [
        kernels.bzimage(kernels.vmlinux(), compression=name)
        for name in ("none", "gzip", "xz", "lz4", "zstd")
    ]


def _menus() -> list[bytes]:
    return [path.read_bytes() for path in generated_menus.PATHS]


TARGETS = {
    "elf": Parser(what="ELF", runs=600, attempt=_second_stage, seeds=_with_bridge),
    "notes": Parser(what="notes", runs=40, attempt=_notes, seeds=_note_seeds),
    "modules": Parser(what="module block", runs=80, attempt=_module_block, seeds=_blocks),
    "menu": Parser(what="grub.cfg", runs=50, attempt=_grub_cfg, seeds=_menus),
    "kernel": Parser(what="kernel images", runs=600, attempt=_kernel, seeds=_kernels),
    "initrd": Parser(
        what="initrds",
        runs=4000,
        attempt=_initrd,
        seeds=lambda: [b"070701" + b"0" * 104 + b"TRAILER!!!\0\0\0\0"],
    ),
    "config": Parser(
        what="configuration",
        runs=4000,
        attempt=_configuration,
        seeds=lambda: [
            b'targets = ["auto"]\nmodules = "minimal"\nsettle_seconds = 0.3\nupdate_grub = true\n'
        ],
    ),
    "receipt": Parser(
        what="receipts",
        runs=8000,
        attempt=_receipt,
        seeds=lambda: [
            (
                b'{"schema": 1, "targets": {"x86_64-xen": {"core_sha256": "00", "request": ["ls"],'
                b' "held_sha256": ""}}}'
            )
        ],
    ),
}
