# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grub.cfg offers: the menu it makes, the kernels it names, where it was cut off."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from guest_hooks.errors import FormatError
from guest_hooks.formats import grub_menu, grub_script
from guest_hooks.formats.grub_budget import Budget
from guest_hooks.formats.grub_commands import FEATURES
from guest_hooks.formats.grub_follow import Follower
from guest_hooks.formats.grub_menu import Menu
from guest_hooks.formats.grub_scope import Scope
from guest_hooks.formats.grub_state import Exists, Look, State, UnknownFileError


def read(  # noqa: PLR0913 - what a script does depends on all of these
    text: str,
    *,
    variables: Mapping[str, str] | None = None,
    grubenv: Mapping[str, str] | None = None,
    look: Look | None = None,
    commands: frozenset[str] | None = None,
    exists: Exists | None = None,
    is_strict: bool = True,
) -> Menu:
    """The menu that `text` makes with GRUB's `variables` ($prefix, $grub_platform …), the
    environment block, other files, and the `commands` of this GRUB (None: not known).

    Raises `FormatError` (`grub-cfg-syntax`, `grub-cfg-too-long`); of what makes no sense only if it
    `is_strict`, for GRUB goes on behind that.
    """
    script = grub_script.read(text)
    if is_strict and script.refusals:
        raise script.refusals[0]
    known = FEATURES | dict(variables or {})
    scope = Scope(known, known, Budget(len(text)))
    state = State(
        scope=scope,
        grubenv=grubenv,
        look=look or _unknown_file,
        exists=exists,
        commands=commands,
    )
    follower = Follower(state)
    follower.follow(script.statements)
    entries = follower.entries()
    return Menu(
        entries=entries,
        variables=scope.variables,
        not_understood=tuple(dict.fromkeys(follower.state.unclear)),
        waits=bool(state.load.does)
        or (grub_menu.waits(scope.variables) if state.is_whole else None),
        is_whole=state.is_whole,
        refused=tuple(each.message for each in script.refusals),
    )


@lru_cache(maxsize=grub_script.RECENT)
def kernels(text: str) -> tuple[str, ...]:
    """The path of every kernel that `text`, a grub.cfg or a part of one, names; in order, each
    once.

    Where the script can't be followed the lines that begin with `linux` are taken for what they
    say.
    """
    try:
        boots = [entry.boot for entry in read(text).all()]
    except FormatError:
        return tuple(
            dict.fromkeys(re.findall(r"^[ \t]*linux(?:16|efi)?[ \t]+(\S+)", text, re.MULTILINE))
        )
    return tuple(
        dict.fromkeys(boot.kernel for boot in boots if boot and boot.command.startswith("linux"))
    )


def section(text: str, script: str) -> str | None:
    """What the script of /etc/grub.d printed into `text`, between grub-mkconfig's two marks;
    None where they are not there.
    """
    _, begin, rest = text.partition(f"### BEGIN {script} ###\n")
    inside, end, _ = rest.partition(f"### END {script} ###")
    return inside if begin and end else None


def sought_file_systems(text: str) -> tuple[str, ...]:
    """The UUIDs that `search` looks for, as prepare_grub_to_access_device of grub-mkconfig_lib
    writes it: the last word.
    """
    return tuple(
        words[-1] for words in _commands(text) if words[0] == "search" and "--fs-uuid" in words
    )


def root_uuids(text: str) -> tuple[str, ...]:
    """The UUIDs of the root file systems that the kernels' command lines name."""
    return _roots(text, "UUID=")


def root_devices(text: str) -> tuple[str, ...]:
    """The devices that they name, each once."""
    return tuple(f"/dev/{name}" for name in dict.fromkeys(_roots(text, "/dev/")))


def _roots(text: str, kind: str) -> tuple[str, ...]:
    word = f"root={kind}"
    lines = (words for words in _commands(text) if words[0].startswith("linux"))
    given = ([each for each in words if each.startswith("root=")] for words in lines)
    # Of several Linux takes the last (init/do_mounts.c; initramfs-tools: init).
    last = (each[-1] for each in given if each)
    return tuple(each.removeprefix(word) for each in last if each.startswith(word))


def _commands(text: str) -> Iterator[list[str]]:
    return (words for line in text.splitlines() if (words := line.split()))


def unclosed_section(text: str) -> str:
    """The script of /etc/grub.d in whose section `text` ends, or an empty string; grub-mkconfig
    marks where each begins.
    """
    name = ""
    # What a script prints may lack its last newline: then the mark of its end stands behind it on
    # the line.
    for word, script in re.findall(r"### (BEGIN|END) (\S+) ###$", text, re.MULTILINE):
        name = script if word == "BEGIN" else ""
    return str(name)


def sections(text: str) -> tuple[tuple[str, str], ...]:
    """Each script of /etc/grub.d that grub-mkconfig ran, with what it printed."""
    found: dict[str, list[str]] = {}
    script = ""
    for line in text.splitlines(keepends=True):
        mark = re.search(r"### (BEGIN|END) (\S+) ###$", line)
        if mark:
            found.setdefault(script, []).append(line[: mark.start()])
            script = mark[2] if mark[1] == "BEGIN" else ""
        elif script:
            found.setdefault(script, []).append(line)
    return tuple((script, "".join(lines)) for script, lines in found.items() if script)


def _unknown_file(path: str) -> str | None:
    raise UnknownFileError(path)
