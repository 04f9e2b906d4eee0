# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an initrd brings a kernel to its root file system. Pure.

Sources: Linux init/initramfs.c, init/do_mounts.c; initramfs-tools scripts/{local,functions}.
"""

from collections.abc import Sequence
from functools import partial

from guest_hooks.boot_images import ASTRAY, IRREGULAR, InitrdFacts
from guest_hooks.formats.compression import Compression
from guest_hooks.preflight.links.kernels import NOT_REGULAR
from guest_hooks.preflight.needs import UNPACKERS, Driver, Kernel, Needs
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.problems.boot import RootProblem
from guest_hooks.problems.images import ImageProblem
from guest_hooks.problems.kernels import InitrdProblem
from guest_hooks.records import replace

_initrd = partial(Finding.of, link=Link.INITRD)
_UNKNOWN = "initrd-unknown"
"""The fault of a file that is neither an archive nor packed (`boot_images.InitrdFacts`)."""
_DAMAGES: dict[str, InitrdProblem] = {
    InitrdProblem.EMPTY: InitrdProblem.EMPTY,
    _UNKNOWN: InitrdProblem.INVALID,
    ImageProblem.TRUNCATED: InitrdProblem.TRUNCATED,
    IRREGULAR: InitrdProblem.INVALID,
}


_INSTEAD = {"cryptsetup": ("systemd-cryptsetup",)}
"""By what program an initrd of dracut's does what another does for initramfs-tools."""
DRACUT_WAITS = "dracut-initqueue: timeout"
"""dracut modules.d/98dracut-systemd/dracut-initqueue.sh, 99base/init.sh."""
DRACUT_KNOWS_NO = "Don't know how to handle"
"""dracut modules.d/*dracut-systemd/dracut-cmdline.sh"""
_NOT_MOUNTED = frozenset((RootProblem.NO_FILES, RootProblem.TYPE_DIFFERS, RootProblem.NO_SUBVOLUME))
_FAILED = "Failed to mount"
"""systemd, of sysroot.mount"""
_NO_ROOT = frozenset(
    (
        InitrdProblem.OF_ANOTHER_KERNEL,
        InitrdProblem.LACKS_MODULE,
        InitrdProblem.LACKS_PROGRAM,
        RootProblem.MISSING,
        RootProblem.OF_BUILDER,
        RootProblem.OF_ANOTHER_BUS,
    )
)


def is_by_dracut(initrds: Sequence[tuple[str, InitrdFacts | None]]) -> bool:
    """Whether dracut made one of them."""
    return any(facts is not None and facts.is_by_dracut for _, facts in initrds)


def as_dracut_says(
    found: Sequence[Finding], initrds: Sequence[tuple[str, InitrdFacts | None]]
) -> tuple[Finding, ...]:
    """The findings of an entry as the console shows them, which is dracut's where it made one of
    the `initrds`; without that an entry names no root, which dracut may have put into it.
    """
    if not is_by_dracut(initrds):
        return tuple(found)
    has_root = any(facts is not None and facts.names_root for _, facts in initrds)
    return tuple(
        replace(finding, console=_dracuts(finding))
        for finding in found
        if not (has_root and finding.code is RootProblem.NONE)
    )


def _dracuts(finding: Finding) -> str:
    """What dracut shows of it."""
    if finding.code is RootProblem.NOT_A_PATH:
        return f"{DRACUT_KNOWS_NO} '{finding.thing}'"
    if finding.code in _NOT_MOUNTED:
        return _FAILED
    return DRACUT_WAITS if finding.code in _NO_ROOT else finding.console


def initrd_findings(
    kernel: Kernel, initrds: Sequence[tuple[str, InitrdFacts | None]], needs: Needs
) -> tuple[Finding, ...]:
    """What keeps `kernel`, started with these initrds, from its root file system; they are one
    after another in memory.
    """
    found = [
        finding for path, facts in initrds for finding in _initrd_damage(kernel, path, facts, needs)
    ]
    if found:
        return tuple(found)
    contents = [facts for _, facts in initrds if facts is not None]
    if any(facts.unread for facts in contents) or kernel.facts is None or kernel.facts.fault:
        return ()
    lacking = [driver for driver in needs.drivers if _is_module(driver, kernel)]
    if not initrds:
        if not lacking:
            return ()
        message = (
            f"{kernel.path} is started without an initrd, and {lacking[0].what}"
            f" ({lacking[0].module}) is not built into it"
        )
        make = needs.steps.initrd(kernel.release, is_there=False)
        none = _initrd(
            InitrdProblem.NONE,
            thing=kernel.path,
            message=message,
            make=make,
        )
        return (none,)
    return tuple(_contents(kernel, initrds[-1][0], contents, lacking, needs))


def _contents(
    kernel: Kernel,
    path: str,
    contents: Sequence[InitrdFacts],
    lacking: Sequence[Driver],
    needs: Needs,
) -> list[Finding]:
    make = needs.steps.initrd(kernel.release, path, is_there=True)
    found = partial(_initrd, thing=path, make=make, root=needs.root)
    compressions = [Compression(facts.compression) for facts in contents if facts.compression]
    for compression in compressions:
        option = UNPACKERS.get(compression)
        if option and kernel.options and kernel.options.get(option) != "y":
            message = (
                f"{path} is packed with {compression}, and {kernel.path} was built without"
                f" CONFIG_{option}"
            )
            return [found(InitrdProblem.COMPRESSION, message=message)]
    versions = {version for facts in contents for version in facts.kernels}
    release = kernel.facts.release if kernel.facts else ""
    if lacking and versions and release and release not in versions:
        message = (
            f"{path} was made for {', '.join(sorted(versions))}, and {kernel.path} is {release}"
        )
        return [found(InitrdProblem.OF_ANOTHER_KERNEL, message=message)]
    modules = {module for facts in contents for module in facts.modules}
    present = {program for facts in contents for program in facts.programs}
    rows = []
    for driver in lacking:
        if driver.module not in modules:
            message = (
                f"{path} lacks {driver.module}, {driver.what}, which is not built into"
                f" {kernel.path}"
            )
            lacks = found(InitrdProblem.LACKS_MODULE, message=message)
            console = driver.console or lacks.console
            rows.append(replace(lacks, certainty=_sure(kernel), console=console))
    for program in needs.programs:
        if present.isdisjoint((program, *_INSTEAD.get(program, ()))):
            message = f"{path} lacks {program}, without which the root file system can't be set up"
            rows.append(found(InitrdProblem.LACKS_PROGRAM, message=message, program=program))
    return rows


def _initrd_damage(
    kernel: Kernel, path: str, facts: InitrdFacts | None, needs: Needs
) -> list[Finding]:
    make = needs.steps.initrd(kernel.release, path, is_there=facts is not None)
    if facts is None or facts.fault == ASTRAY:
        message = facts.cause if facts else f"{path} is not there"
        found = _initrd(InitrdProblem.MISSING, thing=path, message=message, path=path, make=make)
        return [replace(found, hint=facts.hint) if facts else found]
    if not facts.fault:
        return []
    # Linux goes on with what came before the damage, as far as that gets it.
    code = _DAMAGES.get(facts.fault, InitrdProblem.DAMAGED)
    damaged = _initrd(code, thing=path, message=f"{path}: {facts.cause}", make=make)
    if facts.fault == IRREGULAR:
        damaged = replace(damaged, console=NOT_REGULAR, is_refused_by_grub=True)
    return [damaged]


def _is_module(driver: Driver, kernel: Kernel) -> bool:
    """Whether the kernel can't do it by itself; a kernel without any record of its options is
    taken to be built as Debian's are.
    """
    return kernel.options.get(driver.option) != "y" and driver.module not in kernel.builtin


def _sure(kernel: Kernel) -> Certainty:
    return Certainty.CERTAIN if kernel.options or kernel.builtin else Certainty.LIKELY


def memory_findings(
    initrds: Sequence[tuple[str, InitrdFacts | None]], memory: int
) -> tuple[Finding, ...]:
    """Whether these initrds fit in `memory` (bytes; 0: not known).

    GRUB has no room for a file that is larger. Linux unpacks it beside that; whether it goes on
    without the rest is not known: 300 MB unpacked have started in 256 MB.
    """
    known = [(path, facts) for path, facts in initrds if facts is not None and facts.unpacked]
    needed = sum(facts.size + facts.unpacked for _, facts in known)
    if not memory or needed <= memory:
        return ()
    message = (
        f"{known[-1][0]} needs {needed >> 20} MiB, packed and unpacked, and this guest has"
        f" {memory >> 20} MiB"
    )
    too_big = _initrd(InitrdProblem.TOO_BIG, thing=known[-1][0], message=message)
    if sum(facts.size for _, facts in known) > memory:
        return (too_big,)
    return (replace(too_big, console="", certainty=Certainty.UNKNOWN),)
