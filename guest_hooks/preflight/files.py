# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels and initrds that preflight looks into. No judgement."""

import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from guest_hooks.boot_images import ASTRAY, InitrdFacts, KernelFacts
from guest_hooks.formats import kernel_config
from guest_hooks.formats.grub_menu import Entry
from guest_hooks.machine import dpkg
from guest_hooks.machine.boot_files import Memory
from guest_hooks.machine.root import Root
from guest_hooks.preflight.grub_paths import AstrayError, GrubPaths
from guest_hooks.preflight.links import entries
from guest_hooks.preflight.links.entries import Files
from guest_hooks.preflight.needs import OPTIONS, Kernel
from guest_hooks.records import replace
from guest_hooks.volumes import BlockDevice

MAX_CONFIG = 2 << 20


def read(
    memory: Memory, kernels: Iterable[str], initrds: Iterable[str]
) -> tuple[Mapping[str, KernelFacts | None], Mapping[str, InitrdFacts | None]]:
    """The facts of these files (the guest's paths), several read at a time: the decompressors
    let go of the interpreter's lock.
    """
    kernel_paths, initrd_paths = tuple(dict.fromkeys(kernels)), tuple(dict.fromkeys(initrds))
    if not memory.knows((*kernel_paths, *initrd_paths)):
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - brings `logging`

        with (
            ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 4)) as pool,
            suppress(RuntimeError),  # no thread may be started: one after the other, below
        ):
            pool.map(memory.kernel, kernel_paths)
            pool.map(memory.initrd, initrd_paths)
    return (
        {path: memory.kernel(path) for path in kernel_paths},
        {path: memory.initrd(path) for path in initrd_paths},
    )


def named(
    paths: GrubPaths, memory: Memory, wanted: Iterable[Entry], devices: Sequence[BlockDevice]
) -> Files:
    """The kernels and initrds that the entries `wanted` load from /boot's file system."""
    names = entries.named_files(wanted, paths.boot, devices)
    kernels, initrds = _opened(memory, paths, *names)
    return Files(
        kernels={name: kernel(paths.root, name, found) for name, found in kernels.items()},
        initrds=initrds,
    )


def _opened(
    memory: Memory, paths: GrubPaths, kernels: Mapping[str, str], initrds: Mapping[str, str]
) -> tuple[Mapping[str, KernelFacts | None], Mapping[str, InitrdFacts | None]]:
    """The facts of the files that GRUB opens by its own paths, by those of the guest."""
    reached: dict[str, str] = {}
    astray: dict[str, AstrayError] = {}
    for name, path in (*kernels.items(), *initrds.items()):
        try:
            reached[name] = paths.reached(path, name)
        except AstrayError as error:
            astray[name] = error
    found_kernels, found_initrds = read(
        memory,
        [reached[name] for name in kernels if name in reached],
        [reached[name] for name in initrds if name in reached],
    )
    return (
        {
            name: KernelFacts(fault=ASTRAY, cause=lost.why, hint=lost.step)
            if (lost := astray.get(name))
            else found_kernels[reached[name]]
            for name in kernels
        },
        {
            name: InitrdFacts(fault=ASTRAY, cause=lost.why, hint=lost.step)
            if (lost := astray.get(name))
            else found_initrds[reached[name]]
            for name in initrds
        },
    )


def kernel(root: Root, path: str, facts: KernelFacts | None) -> Kernel:
    """A kernel with its packages, and what these left beside it: /boot/config-RELEASE and
    /lib/modules/RELEASE.
    """
    found = Kernel(path=path, facts=facts, options={})
    found = replace(found, packages=dpkg.kernel_packages(root, found.release))
    release = facts.release if facts else ""
    if not release or "/" in release:
        return found
    text = root.read_text(f"/boot/config-{release}", limit=MAX_CONFIG)
    builtin = root.read_text(f"/lib/modules/{release}/modules.builtin", limit=MAX_CONFIG)
    return replace(
        found,
        options=kernel_config.parse(text, OPTIONS) if text else {},
        builtin=kernel_config.builtin_modules(builtin) if builtin else frozenset(),
        has_modules=root.exists(f"/lib/modules/{release}"),
    )
