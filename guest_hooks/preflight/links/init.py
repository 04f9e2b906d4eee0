# SPDX-License-Identifier: GPL-3.0-or-later
"""What is started on the root file system, and whether that is the guest or a shell. Pure.

Sources: initramfs-tools init (maybe_break, validate_init); systemd src/core/main.c
(parse_proc_cmdline_item), kernel-command-line(7), src/sulogin-shell; dracut.cmdline(7).
"""

from collections.abc import Callable, Sequence
from functools import partial

from guest_hooks.preflight.links import root_fs
from guest_hooks.preflight.result import Finding, Link
from guest_hooks.preflight.steps import Steps
from guest_hooks.problems.boot import RootProblem
from guest_hooks.records import replace

INIT = "/sbin/init"
DEFAULT_TARGET = "/etc/systemd/system/default.target"
INITS = (INIT, "/etc/init", "/bin/init")
"""What initramfs-tools starts where init= names nothing that is there; and then a shell."""
_SHELLS = frozenset("sh bash dash ash zsh busybox sulogin".split())
_RESCUE = dict.fromkeys("rescue single -s s S 1".split(), "rescue")
_EMERGENCY = dict.fromkeys(("emergency", "-b"), "emergency")
_MULTI_USER = dict.fromkeys("2 3 4 5".split(), "")
_UNIT = "systemd.unit="
_UNITS = {f"{_UNIT}{mode}.target": mode for mode in ("rescue", "emergency")}
_MODE = "You are in {mode} mode."
_MODES = _RESCUE | _EMERGENCY | _MULTI_USER | _UNITS
"""Words that choose what systemd starts, and the mode of those that end in a shell."""
_BREAKS = {False: ("break", "break="), True: ("rd.break", "rd.break=")}
"""What ends in the initrd, by whether it is dracut's."""
BROKEN_OFF = "Spawning shell within the initramfs"
"""What initramfs-tools says there."""

_KILLED = "Kernel panic - not syncing: Attempted to kill init!"
"""Linux kernel/exit.c, after the initrd could not start an empty file."""
NONE, SOME = -1, 1
SizeOf = Callable[[str], int]
"""The size of a program by its path, `NONE` where there is none that may be started, `SOME` where
there may be one.
"""

_root = partial(Finding.of, link=Link.ROOT)


def findings(
    arguments: Sequence[str],
    steps: Steps,
    *,
    is_by_dracut: bool,
    target: str = "",
    is_unit: Callable[[str], bool] = lambda _name: True,
) -> tuple[Finding, ...]:
    """That the words of the default entry end its boot in a shell; or that `target` does, to which
    the guest's own default.target leads (empty: not known). What is no unit (`is_unit`) systemd
    replaces by rescue.target.
    """
    word, console = _shell(arguments, is_by_dracut=is_by_dracut)
    chosen = _chosen(arguments)
    unit = chosen.removeprefix(_UNIT)
    if not word and unit != chosen and not is_unit(unit):
        word, console = chosen, _MODE.format(mode="rescue")
    if not word:
        return () if chosen or not target else _of_target(target, is_unit)
    message = f"the default entry has {word}: its boot ends in a shell on the console"
    code, by = RootProblem.ENDS_IN_SHELL, steps.menu(word)
    return (_root(code, thing=word, message=message, words=console, by=by),)


def no_system(
    arguments: Sequence[str], steps: Steps, device: str, size_of: SizeOf
) -> tuple[Finding, ...]:
    """That the default entry's root, on `device`, is not this guest's and has nothing to start."""
    wanted, size = _started(arguments, size_of)
    if size > 0:
        return ()
    thing = f"root={root_fs.wanted(arguments)}"
    message = f"the default entry has {thing}, and {device} has no {wanted}"
    step = steps.menu(thing)
    return (_root(RootProblem.NO_SYSTEM, thing=thing, message=message, init=wanted, by=step),)


def missing(arguments: Sequence[str], size_of: SizeOf) -> tuple[Finding, ...]:
    """That there is nothing to start on the root file system."""
    wanted, size = _started(arguments, size_of)
    if size > 0:
        return ()
    what = f"no {INIT} that can be started" if size < 0 else f"an empty {wanted}"
    message = f"the root file system has {what}"
    found = _root(RootProblem.NO_INIT, thing=INIT, message=message, init=wanted)
    return (found if size < 0 else replace(found, console=_KILLED),)


def _started(arguments: Sequence[str], size_of: SizeOf) -> tuple[str, int]:
    """The program that is started, or would be, and its size."""
    wanted = root_fs.last("init=", arguments) or INIT
    sizes = ((path, size_of(path)) for path in dict.fromkeys((wanted, *INITS)))
    return next(((path, size) for path, size in sizes if size >= 0), (wanted, NONE))


def _shell(arguments: Sequence[str], *, is_by_dracut: bool) -> tuple[str, str]:
    """The word that ends the boot in a shell, and what the console then says."""
    exact, start = _BREAKS[is_by_dracut]
    for word in arguments:
        if word == exact or word.startswith(start):
            return word, "" if is_by_dracut else BROKEN_OFF
    for name in ("rdinit=", "init="):
        program = root_fs.last(name, arguments)
        if program.rpartition("/")[2] in _SHELLS:
            return f"{name}{program}", ""
    chosen = _chosen(arguments)
    mode = _MODES.get(chosen, "")
    return (chosen, _MODE.format(mode=mode)) if mode else ("", "")


def _chosen(arguments: Sequence[str]) -> str:
    """The word that chooses what systemd starts; empty where none does."""
    given = [word for word in arguments if word in _MODES or word.startswith(_UNIT)]
    return given[-1] if given else ""


def _of_target(target: str, is_unit: Callable[[str], bool]) -> tuple[Finding, ...]:
    mode = _MODES.get(f"{_UNIT}{target}", "") if is_unit(target) else "rescue"
    if not mode:
        return ()
    message = f"{DEFAULT_TARGET} leads to {target}: the boot ends in a shell on the console"
    found = _root(
        RootProblem.ENDS_IN_SHELL,
        thing=DEFAULT_TARGET,
        message=message,
        words=_MODE.format(mode=mode),
        step="systemctl set-default multi-user.target",
    )
    return (found,)
