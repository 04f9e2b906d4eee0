# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest's menu as pygrub reads it, which is not as GRUB does: line by line, every condition
ignored, entries in one flat list.

Source: xen tools/pygrub/src/{pygrub,GrubConf.py,ExtLinuxConf.py}, 4.17: read_config, image_index,
run_grub.
"""

import re
from collections.abc import Callable
from enum import StrEnum

from guest_hooks.formats.pygrub_entries import Image, Lines, PygrubMenu
from guest_hooks.formats.pygrub_extlinux import read_extlinux
from guest_hooks.formats.pygrub_lines import (
    command_of,
    default_number,
    kernel_of,
    refused,
    require_device,
    require_path,
    set_path,
    timeout,
    without_device,
    words_of,
)

MOST_BYTES = 1024 * 1024
"""FS_READ_MAX: what comes after so many bytes of a menu is not read."""


class Language(StrEnum):
    """By which of pygrub's parsers a file is read."""

    GRUB_2 = "grub2"
    EXTLINUX = "extlinux"
    GRUB_LEGACY = "grub"


FILES: tuple[tuple[str, Language], ...] = (
    *(
        (f"{top}/grub.cfg", Language.GRUB_2)
        for top in ("/boot/grub", "/grub", "/boot/grub2", "/grub2")
    ),
    ("/boot/isolinux/isolinux.cfg", Language.EXTLINUX),
    *(
        (f"{top}/extlinux.conf", Language.EXTLINUX)
        for top in ("/boot/extlinux", "/boot", "/extlinux", "")
    ),
    *(
        (f"{top}/{name}", Language.GRUB_LEGACY)
        for top in ("/boot/grub", "/grub")
        for name in ("menu.lst", "grub.conf")
    ),
)
"""Where pygrub looks in a file system, in this order; the first that is there is read, and no
other.
"""


def read(text: str, language: Language) -> PygrubMenu:
    """The menu in `text`.

    Raises `FormatError` (`pygrub-syntax`) where pygrub gives up on the file, and so on the file
    system: one line it can't read is enough, in whichever entry.
    """
    lines = [
        (number, line)
        for number, each in enumerate(text.split("\n"), 1)
        if (line := each.strip()) and line[0] != "#"
    ]
    return _READERS[language](lines)


class _Reader:
    """What the parsers of GRUB's two languages have in common: settings before and between
    entries, and the entries.
    """

    def __init__(self) -> None:
        self.images: list[Image] = []
        self.default = 0
        self.timeout = -1

    def add(self, title: str, commands: dict[str, str]) -> None:
        kernel, arguments = kernel_of(commands.get("kernel", ""))
        initrd = without_device(commands.get("initrd", ""))
        self.images.append(
            Image(
                title=title.strip(),
                kernel=without_device(kernel),
                arguments=arguments,
                initrd=initrd,
            )
        )

    def setting(self, name: str, value: str, line: int) -> None:
        match name:
            case "default":
                self.default = (
                    0
                    if value in ("saved", "${saved_entry}", "${next_entry}")
                    else default_number(value)
                )
                if self.default < 0:
                    raise refused(line, f"the default is {value}")
            case "timeout":
                self.timeout = timeout(value, line)
            case "splashimage":
                require_path(value, line)

    def menu(self) -> PygrubMenu:
        return PygrubMenu(images=tuple(self.images), default=self.default, timeout=self.timeout)


_GRUB_2_ENTRY = {"linux": "kernel", "linux16": "kernel", "initrd": "initrd", "initrd16": "initrd"}


class _Grub2(_Reader):
    """A grub.cfg: of all that GRUB's language has only functions, entries and submenus are
    known, by how their lines begin.
    """

    def __init__(self) -> None:
        super().__init__()
        self._title = ""
        self._entry: dict[str, str] | None = None
        self._submenus = 0
        self._is_in_function = False

    def line(self, text: str, at: int) -> None:
        """Take one line, the `at`th of the file."""
        if self._is_in_function:
            self._is_in_function = not text.startswith("}")
        elif text.startswith("function"):
            self._is_in_function = True
        elif (title := _title(text)) is not None:
            if self._entry is not None:
                raise refused(at, "an entry inside an entry")
            self._title, self._entry = title, {}
        elif text.startswith("submenu"):
            self._submenus += 1
        elif text.startswith("}"):
            self._close(at)
        else:
            self._command(text, at)

    def end(self, at: int) -> None:
        """No line follows the `at`th."""
        if self._entry is not None:
            raise refused(at, "the file ends inside an entry")

    def _close(self, at: int) -> None:
        if self._entry is not None:
            self.add(self._title, self._entry)
            self._entry = None
        elif self._submenus:
            self._submenus -= 1
        else:
            raise refused(
                at, "a closing brace where no entry begins that it can read (menuentry 'TITLE' … {)"
            )

    def _command(self, text: str, at: int) -> None:
        name, value = _grub_2_words(text, at)
        if self._entry is None:
            self.setting(name.removeprefix("set:") if name.startswith("set:") else "", value, at)
        elif name == "set:root":
            require_device(value, at)
        elif name in _GRUB_2_ENTRY:
            set_path(self._entry, _GRUB_2_ENTRY[name], value, at)


def _grub_2(lines: Lines) -> PygrubMenu:
    reader = _Grub2()
    for at, text in lines:
        reader.line(text, at)
    reader.end(lines[-1][0] if lines else 1)
    return reader.menu()


def _title(line: str) -> str | None:
    """The title of the entry that `line` begins: in quotes, with one blank before and after,
    and a brace behind it.

    `menuentry "Debian"{` begins none, so that its closing brace is one too many.
    """
    found = re.match(r"menuentry [\"']", line)
    end = re.search(r"[\"'] ", line[found.end() :]) if found else None
    if found is None or end is None or line.rfind("{") < found.end() + end.end():
        return None
    return line[found.end() : found.end() + end.start()]


def _grub_2_words(line: str, number: int) -> tuple[str, str]:
    """The command of a line and the rest of it; a `set` is called `set:VARIABLE`."""
    name, value = command_of(line)
    if name != "set":
        return name, value
    words = words_of(value, 2)
    if len(words) != 2:
        raise refused(number, f"set with {len(words)} words where it can read two: {line}")
    quoted = re.match(r"([\"'])(.*)\1", words[1])
    return f"set:{words[0]}", (quoted[2] if quoted else words[1]).strip()


def _grub_legacy(lines: Lines) -> PygrubMenu:
    reader = _Reader()
    title = ""
    entry: dict[str, str] | None = None
    has_lines = False
    for at, line in lines:
        if line.startswith("title"):
            if entry is not None:
                reader.add(title, entry)
            title, entry, has_lines = line[6:], {}, False
            continue
        name, value = command_of(line)
        if entry is None:
            reader.setting(name if name in ("default", "timeout", "splashimage") else "", value, at)
            continue
        has_lines = True
        if name in ("root", "rootnoverify"):
            require_device(value, at)
        elif name in ("kernel", "initrd"):
            set_path(entry, name, value, at)
    if entry is not None and has_lines:  # a last title with nothing behind it is no entry
        reader.add(title, entry)
    return reader.menu()


_READERS: dict[Language, Callable[[Lines], PygrubMenu]] = {
    Language.GRUB_2: _grub_2,
    Language.EXTLINUX: read_extlinux,
    Language.GRUB_LEGACY: _grub_legacy,
}
