# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an initrd brings a kernel to its root file system. Pure.

Sources: Linux init/initramfs.c, init/do_mounts.c; initramfs-tools scripts/{local,functions}.
"""

from collections.abc import Sequence
from functools import partial

from guest_hooks.formats.compression import Compression
from guest_hooks.model import InitrdFacts
from guest_hooks.preflight.needs import UNPACKERS, Driver, Kernel, Needs
from guest_hooks.preflight.result import Certainty, Finding, Link
from guest_hooks.problems.boot import InitrdProblem
from guest_hooks.problems.images import ImageProblem

_initrd = partial(Finding, link=Link.INITRD)
_NO_ROOT = "ALERT!  … does not exist.  Dropping to a shell!"
_PANIC = "Kernel panic - not syncing: VFS: Unable to mount root fs"
_UNPACKING = "Initramfs unpacking failed"
"""Linux goes on with what came before the damage, as far as that gets it."""
_DAMAGES = {
    InitrdProblem.EMPTY: (InitrdProblem.EMPTY, _PANIC),
    "initrd-unknown": (InitrdProblem.INVALID, _PANIC),
    ImageProblem.TRUNCATED: (InitrdProblem.TRUNCATED, _PANIC),
}


def initrd_findings(
    kernel: Kernel, initrds: Sequence[tuple[str, InitrdFacts | None]], needs: Needs
) -> tuple[Finding, ...]:
    """What keeps `kernel`, started with these initrds, from its root file system; they are one
    after another in memory.
    """
    again = _again(kernel)
    found = [finding for path, facts in initrds for finding in _initrd_damage(path, facts, again)]
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
        hint = f"make one: update-initramfs -c -k {_version(kernel)}, then update-grub"
        return (
            _initrd(
                code=InitrdProblem.NONE,
                thing=kernel.path,
                message=message,
                console=_PANIC,
                hint=hint,
            ),
        )
    return tuple(_contents(kernel, initrds[-1][0], contents, lacking, needs.programs))


def _contents(
    kernel: Kernel,
    path: str,
    contents: Sequence[InitrdFacts],
    lacking: Sequence[Driver],
    programs: Sequence[str],
) -> list[Finding]:
    again = _again(kernel)
    compressions = [Compression(facts.compression) for facts in contents if facts.compression]
    for compression in compressions:
        option = UNPACKERS.get(compression)
        if option and kernel.options and kernel.options.get(option) != "y":
            message = (
                f"{path} is packed with {compression}, and {kernel.path} was built without"
                f" CONFIG_{option}"
            )
            return [
                _initrd(
                    code=InitrdProblem.COMPRESSION,
                    thing=path,
                    message=message,
                    console=_PANIC,
                    hint=f"set COMPRESS, then {again}",
                )
            ]
    versions = {version for facts in contents for version in facts.kernels}
    release = kernel.facts.release if kernel.facts else ""
    if lacking and versions and release and release not in versions:
        message = (
            f"{path} was made for {', '.join(sorted(versions))}, and {kernel.path} is {release}"
        )
        return [
            _initrd(
                code=InitrdProblem.OF_ANOTHER_KERNEL,
                thing=path,
                message=message,
                console=_NO_ROOT,
                hint=again,
            )
        ]
    modules = {module for facts in contents for module in facts.modules}
    present = {program for facts in contents for program in facts.programs}
    found = []
    for driver in lacking:
        if driver.module not in modules:
            message = (
                f"{path} lacks {driver.module}, {driver.what}, which is not built into"
                f" {kernel.path}"
            )
            found.append(
                _initrd(
                    code=InitrdProblem.LACKS_MODULE,
                    thing=path,
                    message=message,
                    console=_NO_ROOT,
                    hint=again,
                    certainty=_sure(kernel),
                )
            )
    for program in programs:
        if program not in present:
            message = f"{path} lacks {program}, without which the root file system can't be set up"
            found.append(
                _initrd(
                    code=InitrdProblem.LACKS_PROGRAM,
                    thing=path,
                    message=message,
                    console=_NO_ROOT,
                    hint=again,
                )
            )
    return found


def _initrd_damage(path: str, facts: InitrdFacts | None, again: str) -> list[Finding]:
    if facts is None:
        console = f"error: file `{path}' not found."
        return [
            _initrd(
                code=InitrdProblem.MISSING,
                thing=path,
                message=f"{path} is not there",
                console=console,
                hint=again,
            )
        ]
    if not facts.fault:
        return []
    code, console = _DAMAGES.get(facts.fault, (InitrdProblem.DAMAGED, _UNPACKING))
    return [
        _initrd(
            code=code, thing=path, message=f"{path}: {facts.cause}", console=console, hint=again
        )
    ]


def _is_module(driver: Driver, kernel: Kernel) -> bool:
    """Whether the kernel can't do it by itself; a kernel without any record of its options is
    taken to be built as Debian's are.
    """
    return kernel.options.get(driver.option) != "y" and driver.module not in kernel.builtin


def _sure(kernel: Kernel) -> Certainty:
    return Certainty.CERTAIN if kernel.options or kernel.builtin else Certainty.LIKELY


def _again(kernel: Kernel) -> str:
    return f"make it anew: update-initramfs -u -k {_version(kernel)}"


def _version(kernel: Kernel) -> str:
    return kernel.facts.release if kernel.facts and kernel.facts.release else "VERSION"
