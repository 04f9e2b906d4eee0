# SPDX-License-Identifier: GPL-3.0-or-later
"""grub.cfg as grub-mkconfig and people write it: the menu, the default entry, the kernels, what
is missing.
"""

import pytest

from guest_hooks.formats import grub_cfg, grub_menu
from guest_hooks.formats.grub_state import UnknownFileError
from tests.support import generated_menus

UUID = "0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10"
NEWEST = {"bookworm": "6.1.0-56-amd64", "trixie": "6.12.117+deb13-amd64"}
HERE = {
    "prefix": "(xen/xvda1)/boot/grub",
    "config_directory": "(xen/xvda1)/boot/grub",
    "grub_platform": "xen",
}


def no_file(path: str) -> str | None:
    assert path.startswith("(xen/xvda1)/boot/grub/")
    return None


def menu(text: str, saved: str | None = None) -> grub_menu.Menu:
    return grub_cfg.read(
        text, variables=HERE, grubenv={"saved_entry": saved} if saved else {}, look=no_file
    )


@pytest.mark.parametrize("suite", ["bookworm", "trixie"])
@pytest.mark.parametrize("kind", ["simple", "saved"])
def test_what_grub_mkconfig_makes_is_understood_wholly(suite: str, kind: str) -> None:
    text = generated_menus.text(f"{suite}-{kind}")
    found = menu(text)
    assert found.not_understood == ()
    assert [entry.not_understood for entry in found.all()] == [""] * 7
    assert grub_cfg.kernels(text) == (
        f"/boot/vmlinuz-{NEWEST[suite]}",
        "/boot/vmlinuz-6.1.0-44-amd64",
        "/boot/vmlinuz-6.1.0-40-amd64",
    )
    assert grub_cfg.unclosed_section(text) == ""
    choice = grub_menu.default(found)
    assert choice.is_named
    assert choice.is_sure
    assert choice.entry is not None
    assert choice.entry.boot == grub_menu.Boot(
        device=f"fs-uuid/{UUID}|hd0,msdos1",
        command="linux",
        kernel=f"/boot/vmlinuz-{NEWEST[suite]}",
        arguments=("root=/dev/xvda1", "ro", "console=hvc0", "quiet"),
        initrds=(f"/boot/initrd.img-{NEWEST[suite]}",),
        modules=choice.entry.boot.modules if choice.entry.boot else (),
    )
    assert {"gzio", "xzio", "part_msdos", "ext2"} < set(choice.entry.boot.modules)


@pytest.mark.parametrize(
    ("wanted", "title", "is_named"),
    [
        pytest.param("0", "Debian GNU/Linux", True, id="number"),
        pytest.param(
            "1>2", "Debian GNU/Linux, with Linux 6.1.0-44-amd64", True, id="number-in-submenu"
        ),
        pytest.param(
            "1",
            "Debian GNU/Linux, with Linux 6.1.0-56-amd64",
            True,
            id="submenu-alone-starts-its-first",
        ),
        pytest.param("7", "Debian GNU/Linux", False, id="number-too-large"),
        pytest.param(f"gnulinux-simple-{UUID}", "Debian GNU/Linux", True, id="id"),
        pytest.param(
            f"gnulinux-advanced-{UUID}>gnulinux-6.1.0-40-amd64-advanced-{UUID}",
            "Debian GNU/Linux, with Linux 6.1.0-40-amd64",
            True,
            id="ids-in-submenu",
        ),
        pytest.param(
            "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-40-amd64"
            " (recovery mode)",
            "Debian GNU/Linux, with Linux 6.1.0-40-amd64 (recovery mode)",
            True,
            id="titles-in-submenu",
        ),
        pytest.param(
            "Debian GNU/Linux, with Linux 6.1.0-22-amd64",
            "Debian GNU/Linux",
            False,
            id="entry-that-is-gone",
        ),
        pytest.param(
            f"gnulinux-advanced-{UUID}>gone",
            "Debian GNU/Linux, with Linux 6.1.0-56-amd64",
            False,
            id="gone-from-the-submenu",
        ),
    ],
)
def test_default_entry(wanted: str, title: str, is_named: bool) -> None:
    choice = grub_menu.default(menu(generated_menus.text("bookworm-saved"), wanted))
    assert choice.entry is not None
    assert (choice.entry.title, choice.is_named, choice.is_sure) == (title, is_named, True)


def test_next_entry_goes_before_the_default() -> None:
    found = grub_cfg.read(
        generated_menus.text("bookworm-simple"),
        variables=HERE,
        grubenv={"next_entry": "1>4"},
        look=no_file,
    )
    entry = grub_menu.default(found).entry
    assert entry is not None
    assert entry.title == "Debian GNU/Linux, with Linux 6.1.0-40-amd64"


def test_without_grubenv_the_saved_entry_is_not_known_to_grub() -> None:
    found = grub_cfg.read(
        generated_menus.text("bookworm-saved"), variables=HERE, grubenv=None, look=no_file
    )
    choice = grub_menu.default(found)
    assert choice.wanted == ""
    assert choice.entry == found.entries[0]


@pytest.mark.parametrize(
    ("title", "wanted", "is_sure"),
    [
        pytest.param("6.1 kernel", "6.1 kernel", False, id="name-begins-with-a-digit"),
        pytest.param("A>B", "A>>B", True, id="escaped-arrow"),
        pytest.param("A", "  0", True, id="blanks-before-the-number"),
    ],
)
def test_names_that_look_like_something_else(title: str, wanted: str, is_sure: bool) -> None:
    text = (
        f"set default='{wanted}'\nmenuentry '{title}' {{ linux /one\n}}\nmenuentry B {{ linux"
        " /two\n}\n"
    )
    choice = grub_menu.default(menu(text))
    assert choice.entry is not None
    assert (choice.entry.title, choice.is_sure) == (title, is_sure)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param("menuentry A { chainloader +1\n}", "chainloader", id="chainloader"),
        pytest.param(
            "menuentry A { if keystatus; then linux /a; fi\n}", "condition", id="condition-in-entry"
        ),
        pytest.param(
            "if hwmatch x; then menuentry A { linux /a\n}\nfi", "condition", id="entry-in-condition"
        ),
        pytest.param(
            "for x in /boot/*; do menuentry A { linux /a\n}\ndone",
            "condition",
            id="entry-in-loop-over-files",
        ),
    ],
)
def test_what_is_not_understood_is_said(text: str, why: str) -> None:
    (entry,) = menu(text).all()
    assert why in entry.not_understood


def test_a_default_set_in_doubt_is_not_sure() -> None:
    found = menu(
        "if keystatus --shift; then set default=1; fi\nmenuentry A { linux /a\n}\nmenuentry B {"
        " linux /b\n}"
    )
    assert not grub_menu.default(found).is_sure


def test_a_sourced_file_is_followed() -> None:
    def look(path: str) -> str | None:
        if path == "(xen/xvda1)/boot/grub/custom.cfg":
            return (
                "menuentry mine { search -l disk2 --set=root\nlinux /k\ninitrd /i /j\n}\nset"
                " default=mine\n"
            )
        raise UnknownFileError(path)

    found = grub_cfg.read(
        generated_menus.text("trixie-simple"), variables=HERE, grubenv={}, look=look
    )
    entry = grub_menu.default(found).entry
    assert entry is not None
    assert entry.boot is not None
    assert (entry.boot.device, entry.boot.kernel, entry.boot.initrds) == (
        "label/disk2",
        "/k",
        ("/i", "/j"),
    )


def test_a_file_that_is_named_without_a_device_is_on_the_root() -> None:
    text = "menuentry a { search -u --set=root 1-2\nsource /x.cfg }"
    texts = {"(fs-uuid/1-2)/x.cfg": "linux /k\ninitrd /i\n"}
    found = grub_cfg.read(text, variables=HERE, look=texts.__getitem__)
    assert found.entries[0].boot is not None
    assert (found.entries[0].boot.kernel, found.is_whole) == ("/k", True)


@pytest.mark.parametrize(
    ("line", "commands", "is_whole"),
    [
        pytest.param("configfile /boot/grub2/grub.cfg", None, False, id="another-menu"),
        pytest.param("normal /boot/grub2/grub.cfg", None, False, id="the-menu-again"),
        pytest.param("source /not/seen.cfg", None, False, id="lines-that-are-not-seen"),
        pytest.param("blscfg", None, False, id="entries-from-a-directory"),
        pytest.param("blscfg", frozenset({"blscfg"}), False, id="by-a-command-that-is-there"),
        pytest.param("blscfg", frozenset({"linux"}), True, id="by-one-that-is-not"),
        pytest.param("insmod blscfg", None, True, id="a-module"),
        pytest.param("if keystatus; then configfile /x; fi", None, False, id="perhaps"),
    ],
)
@pytest.mark.parametrize("entry", ["", "menuentry a { linux /k }\n"])
def test_a_menu_whose_entries_are_elsewhere(
    line: str, commands: frozenset[str] | None, is_whole: bool, entry: str
) -> None:
    def nowhere(path: str) -> str | None:
        raise UnknownFileError(path)

    text = f"set timeout=5\n{entry}{line}\n"
    found = grub_cfg.read(text, variables=HERE, look=nowhere, commands=commands)
    assert found.is_whole is is_whole
    assert grub_menu.default(found).is_sure is (is_whole and bool(entry))
    assert found.waits is (False if is_whole else None)


def test_words_as_grub_takes_them() -> None:
    text = """
set a="x y"; b='$a'
menuentry "Boot \\"$a\\" \\$b" --id=one --class 'c d' --users "" --unrestricted {
  linux /vm\\ linuz root=$a "k=$a" ${b} # comment
  initrd newc:/i
}
"""
    (entry,) = menu(text).entries
    assert (entry.title, entry.id) == ('Boot "x y" $b', "one")
    assert entry.boot is not None
    assert (entry.boot.kernel, entry.boot.arguments) == (
        "/vm linuz",
        ("root=x", "y", "k=x y", "$a"),
    )
    assert entry.boot.initrds == ("/i",)


def test_where_a_word_that_is_not_known_ends_is_not_known() -> None:
    """`"$@"` beside a word vanishes without arguments, and its blank with it."""
    (entry,) = menu('menuentry 1 "" "$@" {\nset a=$*"$@"\nlinux /k $a\n}\n').entries
    assert entry.boot is not None
    assert all("\ufffe" in word for word in entry.boot.arguments)
    assert entry.boot.arguments


def test_recursion_ends() -> None:
    assert menu("function f { f; f; }\nf\nsubmenu a { f\n}").entries[0].title == "a"


def test_kernels_of_a_file_that_cannot_be_followed() -> None:
    assert grub_cfg.kernels(
        "menuentry 'A {\n\tlinux /boot/vmlinuz-1 ro\n\tlinux\t/boot/vmlinuz-2\n"
    ) == (
        "/boot/vmlinuz-1",
        "/boot/vmlinuz-2",
    )
