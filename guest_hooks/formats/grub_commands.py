# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB's commands: what each does to variables and menu, and whether it succeeds, as far as
that is known.

Sources: GRUB grub-core/commands/{menuentry,search_wrap,loadenv,test}.c, grub-core/kern/corecmd.c,
grub-core/normal/main.c.
"""

from collections.abc import Callable

from guest_hooks.formats import grub_entry, grub_test
from guest_hooks.formats.grub_script import Command
from guest_hooks.formats.grub_state import LeaveError, Pending, State

FEATURES = {  # GRUB grub-core/normal/main.c: features[]
    "feature_chainloader_bpb": "y",
    "feature_ntldr": "y",
    "feature_platform_search_hint": "y",
    "feature_default_font_path": "y",
    "feature_all_video_module": "y",
    "feature_menuentry_id": "y",
    "feature_menuentry_options": "y",
    "feature_200_final": "y",
    "feature_nativedisk_cmd": "y",
    "feature_timeout_style": "y",
}
IN_DOUBT = "inside a condition that can't be decided"
Handler = Callable[[State, str, list[str], Command], bool | None]
"""Carries out a command by its name, arguments and statement; the status, None where it is not
known.
"""


def _menuentry(state: State, name: str, arguments: list[str], command: Command) -> bool | None:
    heading = grub_entry.heading(arguments)
    if command.block is None:
        return False  # commands/menuentry.c: no menuentry definition
    if heading is None:
        state.unclear.append(f"line {command.line}: an entry that GRUB refuses")
        return None
    pending = Pending(
        heading=heading, command=command, is_submenu=name == "submenu", is_in_doubt=state.doubt > 0
    )
    state.pending.append(pending)
    return True


def _set(state: State, _: str, arguments: list[str], __: Command) -> bool | None:
    """One assignment; what follows it is left out."""
    variable, equals, value = arguments[0].partition("=") if arguments else ("", "", "")
    if not equals:
        return None
    state.set(variable, value)
    return True


def _unset(state: State, _: str, arguments: list[str], __: Command) -> bool:
    """One variable, which is then exported no longer, either."""
    for variable in arguments[:1]:
        if state.doubt:
            state.scope.variables[variable] = None
        else:
            state.scope.variables.pop(variable, None)
            state.scope.exported.discard(variable)
    return True


def _export(state: State, _: str, arguments: list[str], __: Command) -> bool:
    state.scope.exported.update(arguments)
    return True


def _load_env(state: State, _: str, arguments: list[str], __: Command) -> bool:
    if any(argument.startswith(("-f", "--file")) for argument in arguments):
        for variable in arguments:  # of another file; a path among them does no harm
            state.set(variable, None)
        return True
    names = [argument for argument in arguments if not argument.startswith("-")]
    for variable, value in (state.grubenv or {}).items():
        if not names or variable in names:
            state.set(variable, value)
    return True


def _search(state: State, name: str, arguments: list[str], _: Command) -> None:
    variable, found = grub_entry.sought(name, arguments)
    before = state.scope.variables.get(variable) or ""
    state.set(variable, grub_entry.after_search(found, before))


def _test(state: State, name: str, arguments: list[str], _: Command) -> bool | None:
    return grub_test.evaluate(arguments[:-1] if name == "[" else arguments, state.is_file)


def _insmod(state: State, _: str, arguments: list[str], __: Command) -> bool:
    state.load.modules += arguments
    return True


def _load_kernel(state: State, name: str, arguments: list[str], _: Command) -> bool | None:
    if not arguments:
        return None
    load = state.load
    device = state.scope.variables.get("root", "")
    if name == "multiboot" and state.scope.variables.get("grub_platform") == "xen":
        name = "linux"  # two names of one loader: grub-core/loader/i386/xen.c
    named, load.kernel = grub_entry.split(arguments[0])
    device = named or device
    load.command, load.initrds, load.device = name, [], device or ""
    load.arguments = tuple(arguments[1:])
    if state.doubt and not load.not_understood:
        load.not_understood = f"{name} {IN_DOUBT}"
    elif (device is None or grub_test.UNKNOWN in arguments[0]) and not load.not_understood:
        load.not_understood = f"{name} of a file whose place is not known"
    return True


def _load_initrds(state: State, _: str, arguments: list[str], __: Command) -> bool:
    """All files of one command; of two commands Xen's loader refuses the second one, and that for
    PCs forgets the first (grub-core/loader/i386/{xen,linux}.c).
    """
    load = state.load
    if load.initrds and state.scope.variables.get("grub_platform") == "xen":
        return False
    paths = (argument.removeprefix("newc:") for argument in arguments)
    load.initrds = [_beside_kernel(load.device, path) for path in paths]
    return True


def _beside_kernel(device: str, path: str) -> str:
    """`path` without its device, where that is the kernel's."""
    named, rest = grub_entry.split(path)
    return rest if named == device else path


def _load_module(state: State, name: str, arguments: list[str], command: Command) -> bool:
    """One file and its arguments; a PV guest's kernel does not take it for an initrd."""
    if state.scope.variables.get("grub_platform") == "xen":
        return _load_other(state, name, arguments, command)
    state.load.initrds += [word for word in arguments if not word.startswith("--")][:1]
    return True


def _other_menu(state: State, name: str, _: list[str], command: Command) -> bool:
    """Show another menu, or add entries that are not in this file."""
    state.is_whole = False
    return _load_other(state, name, [], command)


def _load_other(state: State, name: str, _: list[str], command: Command) -> bool:
    state.load.not_understood = f"line {command.line}: {name}"
    state.unclear.append(f"line {command.line}: {name}")
    return True


def _end(state: State, name: str, _: list[str], __: Command) -> None:
    """What waits for a line, or ends GRUB or the guest."""
    if not state.doubt and not state.load.does:
        state.load.does = name


def _leave(state: State, name: str, arguments: list[str], command: Command) -> None:
    if state.doubt or arguments:
        state.lose(f"line {command.line}: {name}")
        return
    raise LeaveError(name)


def _shift(state: State, _: str, __: list[str], ___: Command) -> bool:
    state.scope.arguments = (state.scope.arguments or ())[1:]
    return True


def _lose(state: State, name: str, _: list[str], command: Command) -> None:
    state.lose(f"line {command.line}: {name}")


def _succeed(_: State, __: str, ___: list[str], ____: Command) -> bool:
    return True


def _fail(_: State, __: str, ___: list[str], ____: Command) -> bool:
    return False


def _all(names: str, handler: Handler) -> dict[str, Handler]:
    return dict.fromkeys(names.split(), handler)


HANDLERS: dict[str, Handler] = {
    **_all("menuentry submenu", _menuentry),
    **_all("set", _set),
    **_all("unset", _unset),
    **_all("export", _export),
    **_all("load_env", _load_env),
    **_all("search search.fs_uuid search.fs_label search.file", _search),
    **_all("test [", _test),
    **_all("insmod", _insmod),
    **_all("linux linux16 linuxefi multiboot multiboot2 xen_hypervisor", _load_kernel),
    **_all("initrd initrd16 initrdefi", _load_initrds),
    **_all("module module2 xen_module", _load_module),
    **_all(
        "chainloader kfreebsd ntldr knetbsd kopenbsd loopback xnu_kernel64",
        _load_other,
    ),
    **_all("configfile legacy_configfile syslinux_configfile blscfg uki", _other_menu),
    **_all("return break continue", _leave),
    **_all("shift", _shift),
    **_all(
        "setparams eval normal normal_exit extract_entries_source extract_entries_configfile", _lose
    ),
    **_all(
        "true echo save_env terminal_output terminal_input serial clear boot sleep loadfont",
        _succeed,
    ),
    **_all("false", _fail),
    **_all("read halt reboot exit", _end),
}
"""By name; what is not here may do anything but change a variable, and its status is not known."""

LOADERS = frozenset(
    """linux linux16 linuxefi initrd initrd16 initrdefi multiboot multiboot2 xen_hypervisor
    module module2 xen_module chainloader pxechainloader fwsetup kfreebsd knetbsd knetbsd_aout
    kopenbsd ntldr freedos plan9 truecrypt xnu_kernel xnu_kernel64 appleloader blscfg uki""".split()
)
"""What starts something, or lists what does, each on some of GRUB's platforms: one that lacks it
complains, goes on, and in the end has nothing to start.
"""
