# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a tree's files, names and programs say, a terminal gets our own colours and steps,
and no other control character.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from guest_hooks.report import layout
from guest_hooks.report.progress import CLEAR_LINE
from tests.support import command_line, images
from tests.support.debian_tree import Suite
from tests.support.outside_guest import OutsideGuest, command, environment, outside_guest
from tests.tree.test_hostile_programs import replaced

PV = "x86_64-xen"
EVIL = "\x1b]0;owned\x07\x1b[2J\x1b[31mred\x9b1m\u202egpj\u2066\x7f\x08"
"""A window's title, an erased screen, a colour as ours are, one by a C1 control, text that runs
backwards, two deletions.
"""
COLOURS = {colour for palette in layout.COLOURS.values() for colour in palette.values()} | {
    "0",
    "2",
}
OURS = re.compile(rf"{re.escape(CLEAR_LINE)}|\033\[(?:{'|'.join(sorted(COLOURS))})m|\r\n")
VERBS = [
    ("detect",),
    ("status",),
    ("status", "--verbose"),
    ("preflight",),
    ("sync", "--dry-run"),
    ("rollback",),
    ("sync", "--force"),
]
JSON_VERBS = [("preflight",), ("sync", "--force")]
"""One function prints every answer, and these two hold what the others do."""
MENU = f"""### BEGIN /etc/grub.d/10_linux ###
menuentry '{EVIL}' {{
    search --no-floppy --fs-uuid --set=root {EVIL.replace(" ", "")}
    linux /boot/vmlinuz-{EVIL.replace(";", "")} root=UUID={EVIL.replace(";", "")}
    initrd /boot/initrd.img-{EVIL.replace(";", "")}
}}
### END /etc/grub.d/10_linux ###
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("escapes"), Suite.BOOKWORM) as tree:
        tree.run("sync", f"--target={PV}")
        yield tree


def written(tree: OutsideGuest, path: str, data: str | bytes) -> None:
    file = tree.path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data if isinstance(data, bytes) else data.encode())


def names(tree: OutsideGuest) -> None:
    for name in (f"vmlinuz-{EVIL}", f"initrd.img-{EVIL}", f"xen/{EVIL}", f"grub/{PV}/{EVIL}.mod"):
        written(tree, f"/boot/{name}", b"nothing")


def menu(tree: OutsideGuest) -> None:
    written(tree, "/boot/grub/grub.cfg", MENU)


def broken_menu(tree: OutsideGuest) -> None:
    written(tree, "/boot/grub/grub.cfg", f"menuentry '{EVIL}' {{ {EVIL} (\n")


def core_image(tree: OutsideGuest) -> None:
    path = f"/boot/grub/{PV}/core.elf"
    data = tree.path(path).read_bytes()
    evil = EVIL.encode()
    at = data.index(b"search.fs_uuid ") + len(b"search.fs_uuid ")
    changed = data[:at] + evil + data[at + len(evil) :]
    written(tree, path, changed)
    written(tree, "/boot/xen/pvboot-x86_64.elf", changed)


def package(tree: OutsideGuest) -> None:
    written(tree, f"/usr/lib/grub/{PV}/modinfo.sh", f'grub_package_version="{EVIL}"\n')
    written(tree, f"/usr/lib/grub/{PV}/{EVIL}.mod", b"nothing")


def module_list(tree: OutsideGuest) -> None:
    written(tree, f"/usr/lib/grub/{PV}/moddep.lst", f"{EVIL}\n")


def configuration(tree: OutsideGuest) -> None:
    written(
        tree,
        "/etc/xen-guest-bootloader/config.toml",
        '"\\u001b]0;owned\\u0007\\u009b1m\\u202e" = 1\n',
    )


def configuration_file(tree: OutsideGuest) -> None:
    written(tree, f"/etc/xen-guest-bootloader/conf.d/{EVIL}.toml", b"= no TOML\n")


SOURCES = [
    names,
    menu,
    broken_menu,
    core_image,
    package,
    module_list,
    configuration,
    configuration_file,
]


def foreign(text: str) -> str:
    """The control characters in what a terminal was given, but for ours."""
    return "".join(character for character in OURS.sub("", text) if not character.isprintable())


def shown(tree: OutsideGuest, *words: str) -> str:
    text = command_line.on_terminal(command(tree.top, *words), env=environment())[1]
    assert text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("damage", SOURCES)
def test_no_file_of_a_tree_moves_the_cursor(
    tree: OutsideGuest, tmp_path: Path, damage: Callable[[OutsideGuest], None]
) -> None:
    with put_back(tree, tmp_path):
        damage(tree)
        for verb in VERBS:
            text = shown(tree, *verb, f"--target={PV}")
            assert foreign(text) == "", verb
            assert "\033[31mred" not in text, verb
        for verb in JSON_VERBS:
            text = shown(tree, *verb, "--json", f"--target={PV}")
            answer = next(line for line in text.split("\r\n") if line.startswith("{"))
            assert answer.isprintable(), verb
            assert json.loads(answer)["schema"] == 1


@contextmanager
def put_back(tree: OutsideGuest, aside: Path) -> Iterator[None]:
    """What the block changes in the tree's /boot, /etc and GRUB modules is undone at its end."""
    tops = ("boot", "etc", f"usr/lib/grub/{PV}")
    for top in tops:
        images.tool("cp", "-a", str(tree.path(top)), str(aside / top.replace("/", "_")))
    try:
        yield
    finally:
        for top in tops:
            shutil.rmtree(tree.path(top))
            images.tool("cp", "-a", str(aside / top.replace("/", "_")), str(tree.path(top)))


@pytest.mark.parametrize("program", ["/usr/sbin/grub-install", "/usr/sbin/grub-mkconfig"])
def test_no_program_of_a_tree_moves_the_cursor(tree: OutsideGuest, program: str) -> None:
    tree.path("/evil").write_text(EVIL)
    menu = tree.path("/boot/grub/grub.cfg")
    kept = menu.read_bytes()
    menu.write_bytes(b"")
    try:
        with replaced(tree, program, "cat /evil >&2; cat /evil; exit 1"):
            text = shown(tree, "sync", "--force", f"--target={PV}")
    finally:
        menu.write_bytes(kept)
    assert "owned" in text
    assert foreign(text) == ""
    assert "\033[31mred" not in text


def test_what_json_says_is_exact(tree: OutsideGuest, tmp_path: Path) -> None:
    file = str(tree.path("/boot/xen/pvboot-x86_64.elf"))
    with put_back(tree, tmp_path):
        core_image(tree)
        text = shown(tree, "inspect", file, "--json")
        assert EVIL in json.loads(text)["config"]
        assert foreign(text) == ""
        assert foreign(shown(tree, "inspect", file, "--verbose")) == ""
