# SPDX-License-Identifier: GPL-3.0-or-later
"""extlinux.conf as pygrub reads it.

Source: xen tools/pygrub/src/ExtLinuxConf.py, 4.17.
"""

import re

from guest_hooks.formats.pygrub_entries import Image, Lines, PygrubMenu
from guest_hooks.formats.pygrub_lines import command_of, kernel_of, timeout


def read_extlinux(lines: Lines) -> PygrubMenu:
    """The menu in `lines`; every label is an entry."""
    images: list[Image] = []
    entry: dict[str, str] | None = None
    default, seconds = "", -1
    for at, line in lines:
        name, value = command_of(line)
        name = name.lower()
        if line.lower().startswith("label"):
            images += [_image(entry)] if entry is not None else []
            entry = {"label": _unquoted(value)}
        elif entry is not None:
            _line(entry, name, value)
        elif name == "default":
            default = value.strip()
        elif name == "timeout":
            seconds = timeout(value.strip(), at)
    images += [_image(entry)] if entry is not None else []
    number = next((index for index, image in enumerate(images) if image.title == default), 0)
    return PygrubMenu(images=tuple(images), default=number, timeout=seconds)


def _line(entry: dict[str, str], name: str, value: str) -> None:
    if name == "append" and "kernel" in entry:
        if entry["kernel"].split(" ", 1)[0].endswith("mboot.c32"):
            # "xen.gz … --- kernel … --- initrd", or without the first
            parts = value.split("---")
            named = parts[1:] if len(parts) == 3 else parts if len(parts) == 2 else []
            if named and named[0]:
                entry.pop("append", None)
                entry["kernel"] = named[0].strip()
            if named and named[1]:
                entry["initrd"] = named[1].strip()
            return
        for word in value.strip().split(" "):
            if word.lower().startswith("initrd="):
                entry["initrd"] = word.replace("initrd=", "")
                value = value.replace(word, "")
    if name in ("kernel", "append"):
        entry[name] = _unquoted(value)
        if name == "kernel":
            entry.pop("append", None)


def _image(entry: dict[str, str]) -> Image:
    kernel, arguments = kernel_of(entry.get("kernel", ""))
    return Image(
        title=entry["label"],
        kernel=kernel,
        arguments=entry.get("append", arguments),
        initrd=entry.get("initrd", ""),
    )


def _unquoted(value: str) -> str:
    return re.sub('^"(.+)"$', r"\1", value.strip())
