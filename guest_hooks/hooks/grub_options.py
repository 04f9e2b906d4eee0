# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-install's command line: what each option means for a second stage. Pure but for where a
path leads.

The table holds the options of 2.06, 2.12 and 2.14, those that `--help` hides too (grub:
util/grub-install.c, include/grub/util/install.h).
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from guest_hooks.records import dataclass


class Meaning(StrEnum):
    """What an option is for a second stage.

    `TARGET`: which one. `BOOT`, `TOP`: where /boot is. `SOURCE`: other modules than the package's.
    `MODULES`, `KEPT`: what is in the core image, and stays in those that are built later. `LOST`: a
    choice that no repair keeps. `NONE`: nothing.
    """

    TARGET = "target"
    BOOT = "boot"
    TOP = "top"
    SOURCE = "source"
    MODULES = "modules"
    KEPT = "kept"
    LOST = "lost"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its one-letter form, whether it takes a value, its meaning."""

    letter: str
    takes_value: bool
    meaning: Meaning


def _options(meaning: Meaning, with_value: str, without: str = "") -> dict[str, Option]:
    """Rows for names such as `pubkey/k`."""
    rows = [(word, True) for word in with_value.split()] + [
        (word, False) for word in without.split()
    ]
    return {
        word.partition("/")[0]: Option(word.partition("/")[2], takes, meaning)
        for word, takes in rows
    }


OPTIONS: Mapping[str, Option] = {
    **_options(Meaning.TARGET, "target"),
    **_options(Meaning.BOOT, "boot-directory"),
    **_options(Meaning.TOP, "root-directory"),
    **_options(Meaning.SOURCE, "directory/d override-directory"),
    **_options(Meaning.MODULES, "modules"),
    **_options(Meaning.KEPT, "pubkey/k", "disable-cli"),
    **_options(Meaning.LOST, "install-modules compress", "force-file-id"),
    # For a screen, which a Xen console is not; for firmware that a PV or PVH guest lacks; for the
    # terminal. Keys of X.509 and signatures behind the image are for PowerPC alone: the real one
    # refuses them, as it refuses SBAT.
    **_options(
        Meaning.NONE,
        "fonts locales themes locale-directory themes-directory grub-mkimage grub-setup"
        " grub-mkrelpath grub-mkdevicemap grub-probe grub-editenv bootloader-id core-compress"
        " debug-image disk-module dtb efi-directory label-bgcolor label-color label-font"
        " macppc-directory product-version sbat appended-signature-size x509key/x",
        "verbose/v allow-floppy auto-nvram debug disable-shim-lock force force-extra-removable"
        " no-bootsector no-floppy no-nvram no-rs-codes no-uefi-secure-boot recheck removable"
        " skip-fs-probe/s uefi-secure-boot help/? usage version/V",
    ),
}
LOST: Mapping[str, str] = {
    "install-modules": "all of GRUB's modules lie beside the second stage",
    "compress": "GRUB's modules lie beside the second stage as they are in the package",
    "force-file-id": "a second stage looks for its file system by UUID",
}
_LETTERS = {option.letter: name for name, option in OPTIONS.items() if option.letter}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One option as it was given: its whole name, its value (or empty), and the words that gave
    it.
    """

    name: str
    value: str
    words: tuple[str, ...]

    @property
    def meaning(self) -> Meaning:
        """What it is for a second stage."""
        return OPTIONS[self.name].meaning


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandLine:
    """What grub-install was called with."""

    given: tuple[Given, ...]
    arguments: tuple[str, ...]

    def values(self, meaning: Meaning) -> tuple[str, ...]:
        """The values of all options with this meaning, in their order."""
        return tuple(each.value for each in self.given if each.meaning is meaning)

    def is_elsewhere(self, boot: str = "/boot") -> bool:
        """Whether it asks for another directory than the guest's own /boot, or for other
        modules than the package's.
        """
        tops = [os.path.join(top, "boot") for top in self.values(Meaning.TOP)]
        places = self.values(Meaning.BOOT) or tops
        return bool(self.values(Meaning.SOURCE)) or not all(
            _is_same(place, boot) for place in places[-1:]
        )

    def lost(self) -> tuple[tuple[str, str], ...]:
        """The choices that are not kept, and why."""
        return tuple(
            (each.name, LOST[each.name]) for each in self.given if each.meaning is Meaning.LOST
        )

    def for_staging(self) -> tuple[str, ...]:
        """The words to run the real one with: another name of /boot would lead it around what
        staging lays over /boot.
        """
        return (
            tuple(word for each in self.given if each.meaning not in _OURS for word in each.words)
            + self.arguments
        )


_OURS = (Meaning.TARGET, Meaning.BOOT, Meaning.TOP)


def parse(words: Sequence[str]) -> CommandLine | None:
    """The command line as getopt_long(3) reads it, options shortened and among arguments; None
    where one is not known.
    """
    try:
        return _parsed(words)
    except ValueError:
        return None


def _parsed(words: Sequence[str]) -> CommandLine:
    given: list[Given] = []
    arguments: list[str] = []
    rest = iter(words)
    for word in rest:
        if word == "--":
            arguments += [word, *rest]
        elif word.startswith("--"):
            given.append(_long(word, rest))
        elif word.startswith("-") and word != "-":
            given += _short(word, rest)
        else:
            arguments.append(word)
    return CommandLine(given=tuple(given), arguments=tuple(arguments))


def _long(word: str, rest: Iterator[str]) -> Given:
    start, equals, value = word[2:].partition("=")
    name = _whole(start)
    if not OPTIONS[name].takes_value:
        if equals:
            raise ValueError(word)
        return Given(name=name, value="", words=(word,))
    if equals:
        return Given(name=name, value=value, words=(word,))
    value = _next(rest, word)
    return Given(name=name, value=value, words=(word, value))


def _short(word: str, rest: Iterator[str]) -> Iterator[Given]:
    for at, letter in enumerate(word[1:], 2):
        name = _LETTERS.get(letter, "")
        if not name:
            raise ValueError(word)
        if not OPTIONS[name].takes_value:
            yield Given(name=name, value="", words=(f"-{letter}",))
            continue
        value = word[at:] or _next(rest, word)
        yield Given(name=name, value=value, words=(f"-{letter}", value))
        return


def _whole(start: str) -> str:
    """The one option that `start` can be short for."""
    if start in OPTIONS:
        return start
    names = [name for name in OPTIONS if name.startswith(start)]
    if len(names) != 1:
        raise ValueError(start)
    return names[0]


def _next(rest: Iterator[str], word: str) -> str:
    for value in rest:
        return value
    raise ValueError(word)


def _is_same(path: str, boot: str) -> bool:
    try:
        return os.path.samefile(path, boot)
    except OSError:
        return False
