# SPDX-License-Identifier: GPL-3.0-or-later
"""Menus that are made to cost much."""

from collections.abc import Callable

from tests.support import generated_menus


def real(size: int) -> bytes:
    """A real menu, repeated up to `size` bytes."""
    text = max((path.read_bytes() for path in generated_menus.PATHS), key=len)
    return (text * (size // len(text) + 1))[: max(size, len(text))]


def _doubling() -> str:
    return "set a=aaaaaaaaaaaaaaaa\n" + 'set a="$a$a"\n' * 40


def _calls() -> str:
    functions = "".join(f"function f{n} {{\n" + f"f{n + 1}\n" * 40 + "}\n" for n in range(12))
    return functions + "f0\n"


MENUS: dict[str, Callable[[], str]] = {
    "a variable doubled 40 times": _doubling,
    "blank lines": lambda: "\n" * 200_000,
    "spaces": lambda: " " * 200_000,
    "lines of blanks": lambda: " \t\n" * 70_000,
    "separators": lambda: ";\n" * 100_000,
    "BEGIN lines": lambda: "### BEGIN /etc/grub.d/10_linux ###\n" * 6000,
    "END lines": lambda: "### END /etc/grub.d/10_linux ###\n" * 6000,
    "search words": lambda: "search --fs-uuid " * 12_000,
    "search lines": lambda: "search --fs-uuid \n" * 11_000,
    "linux words": lambda: "linux root=UUID= " * 12_000,
    "sources of itself": lambda: "source ($root)/boot/grub/custom.cfg\n" * 5000,
    "a word of many parts": lambda: "echo " + '"a"' * 66_000,
    "a word of many variables": lambda: "set a=b\necho " + "$a" * 100_000,
    "words split at blanks": lambda: 'set a="' + "b " * 20_000 + '"\n' + "echo $a\n" * 15_000,
    "variables, then entries": lambda: (
        "".join(f"set v{n}=1\n" for n in range(8000)) + "menuentry a {\ntrue\n}\n" * 5000
    ),
    "modules, then entries": lambda: "insmod ext2\n" * 8000 + "menuentry a {\ntrue\n}\n" * 5000,
    "functions that call functions": _calls,
    "nested submenus": lambda: "submenu a {\n" * 12_000,
    "conditions": lambda: "if [ " + "-n a -o " * 20_000 + "-n b ]; then true; fi\n",
    "a default of 5,000 digits": lambda: (
        f"set default={'9' * 5000}\nmenuentry a {{\nlinux /vmlinuz\n}}\n"
    ),
    "a default of 5,000 octal digits": lambda: (
        f"set default=0{'7' * 5000}\nmenuentry a {{\nlinux /vmlinuz\n}}\n"
    ),
    "quotes that never close": lambda: "echo '\n" * 30_001,
    "braces": lambda: "{" * 100_000,
    "backslashes": lambda: "\\\n" * 100_000,
    "comments": lambda: "#\n" * 100_000,
    "conditions that can't be decided": lambda: "if foo; then\nset a=$b\nfi\n" * 8000,
}
