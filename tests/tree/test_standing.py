# SPDX-License-Identifier: GPL-3.0-or-later
"""What the last sync made is taken again, or made again by grub-mkimage, for another UUID too;
anything else is made by grub-install.
"""

import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.changed_tree import configure
from tests.support.debian_tree import Suite
from tests.support.outside_guest import FILES, OutsideGuest, outside_guest

PV = "x86_64-xen"
PVH = "i386-xen_pvh"
RAN = "/var/tmp/grub-install-ran"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    """A guest whose grub-install leaves a mark before it does its work."""
    with outside_guest(tmp_path_factory.mktemp("standing"), Suite.BOOKWORM) as tree:
        program = tree.path("/usr/sbin/grub-install")
        program.rename(program.with_suffix(".real"))
        program.write_text(
            f'#!/bin/sh\ntouch {shlex.quote(RAN)}\nexec /usr/sbin/grub-install.real "$@"\n'
        )
        program.chmod(0o755)
        tree.sync()
        yield tree


def has_run(tree: OutsideGuest, *words: str) -> bool:
    """Whether a sync needed grub-install to end well."""
    mark = tree.path(RAN)
    mark.unlink(missing_ok=True)
    tree.sync(*words)
    assert set(tree.status().states().values()) == {"current"}
    return mark.exists()


def rewrite(path: Path, change: Callable[[bytes], bytes]) -> None:
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize("target", [PV, PVH])
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda path: path.unlink(), id="deleted"),
        pytest.param(lambda path: rewrite(path, lambda data: data[:1000]), id="cut-off"),
        pytest.param(
            lambda path: rewrite(path, lambda data: data[:5000] + bytes(4) + data[5004:]),
            id="overwritten",
        ),
    ],
)
def test_it_is_put_back_byte_for_byte(
    tree: OutsideGuest, target: str, damage: Callable[[Path], None]
) -> None:
    before = {name: tree.boot_xen(name).read_bytes() for name in FILES[target]}
    for name in FILES[target]:
        damage(tree.boot_xen(name))
    assert not has_run(tree)
    assert {name: tree.boot_xen(name).read_bytes() for name in FILES[target]} == before


def test_a_deleted_directory_is_put_back_too(tree: OutsideGuest) -> None:
    before = {path.name: path.read_bytes() for path in tree.path("/boot/xen").iterdir()}
    shutil.rmtree(tree.path("/boot/xen"))
    assert not has_run(tree)
    assert {path.name: path.read_bytes() for path in tree.path("/boot/xen").iterdir()} == before


def spoil_core(tree: OutsideGuest) -> None:
    rewrite(
        tree.path(f"/boot/grub/{PV}/core.elf"), lambda data: data[:5000] + bytes(4) + data[5004:]
    )


def spoil_module(tree: OutsideGuest) -> None:
    rewrite(tree.path(f"/boot/grub/{PV}/ls.mod"), lambda data: data[:-1])


def add_module(tree: OutsideGuest) -> None:
    tree.path(f"/boot/grub/{PV}/stray.mod").write_bytes(b"stray")


def forget(tree: OutsideGuest) -> None:
    tree.path("/var/lib/xen-guest-bootloader/receipt.json").unlink()


def change_uuid(tree: OutsideGuest) -> None:
    tree.renew_uuid()


def other_modules(tree: OutsideGuest) -> None:
    configure(tree, 'extra_modules = ["hexdump"]\n')


def remove_modules(tree: OutsideGuest) -> None:
    shutil.rmtree(tree.path(f"/boot/grub/{PV}"))


def keep(tree: OutsideGuest) -> None:
    """Only the second stage is missing."""


def boot_files(tree: OutsideGuest) -> dict[str, bytes]:
    return {
        str(path): path.read_bytes()
        for top in ("/boot/xen", f"/boot/grub/{PV}", f"/boot/grub/{PVH}")
        for path in tree.path(top).iterdir()
    }


@pytest.mark.parametrize("modules", ["embedded", "minimal"])
@pytest.mark.parametrize(
    "change",
    [keep, spoil_core, spoil_module, add_module, remove_modules, change_uuid],
    ids=lambda change: str(change.__name__),
)
def test_the_same_grub_makes_it_again_without_grub_install(
    tree: OutsideGuest, change: Callable[[OutsideGuest], None], modules: str
) -> None:
    configure(tree, f'modules = "{modules}"\n')
    tree.sync()
    tree.boot_xen(FILES[PV][0]).unlink()
    change(tree)
    assert not has_run(tree)
    assert not tree.path(f"/boot/grub/{PV}/stray.mod").exists()
    made = boot_files(tree)
    assert has_run(tree, "--force")
    assert boot_files(tree) == made


def another_grub_mkimage(tree: OutsideGuest) -> None:
    """One that embeds a module more; grub-install does without the program."""
    tree.path(f"/boot/grub/{PV}/core.elf").unlink()
    program = tree.path("/usr/bin/grub-mkimage")
    program.rename(program.with_suffix(".real"))
    program.write_text('#!/bin/sh\nexec /usr/bin/grub-mkimage.real "$@" hexdump\n')
    program.chmod(0o755)


@pytest.mark.parametrize(
    "change",
    [forget, another_grub_mkimage, other_modules],
    ids=lambda change: str(change.__name__),
)
def test_what_is_not_the_same_is_made_anew(
    tree: OutsideGuest, change: Callable[[OutsideGuest], None]
) -> None:
    configure(tree, "")
    tree.sync()
    tree.boot_xen(FILES[PV][0]).unlink()
    change(tree)
    assert has_run(tree)


def test_force_makes_it_anew(tree: OutsideGuest) -> None:
    assert has_run(tree, "--force")
    assert not has_run(tree)


def test_without_grub_install_it_is_put_back_all_the_same(tree: OutsideGuest) -> None:
    program = tree.path("/usr/sbin/grub-install")
    hidden = program.rename(program.with_suffix(".hidden"))
    tree.boot_xen(FILES[PV][0]).unlink()
    assert not has_run(tree)
    hidden.rename(program)
