# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree made by an enemy, given with --root: nothing outside it is read into a result or
written, and nothing hangs.
"""

import json
import os
import resource
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.support import hostile_tree, images
from tests.support.hostile_tree import STAGE, cleared, tool

NOT_OURS = "the words of another"
LINKED = [
    "boot/xen",
    STAGE,
    "boot/grub",
    "boot/grub/x86_64-xen",
    "boot/grub/x86_64-xen/core.elf",
    "boot/grub/x86_64-xen/normal.mod",
    "boot/grub/grub.cfg",
    "boot/grub/locale",
    "etc/xen-guest-bootloader",
    "etc/xen-guest-bootloader/config.toml",
    "etc/xen-guest-bootloader/conf.d/a.toml",
    "etc/fstab",
    "var/lib/xen-guest-bootloader",
    "var/lib/xen-guest-bootloader/receipt.json",
    "var/lib/xen-guest-bootloader/lock",
    "var/lib/xen-guest-bootloader/previous",
    "usr/lib/grub/x86_64-xen",
    "usr/lib/grub/x86_64-xen/moddep.lst",
    "usr/lib/grub/x86_64-xen/normal.mod",
    "proc",
    "sys",
    "dev",
]
IN_THE_WAY = [
    STAGE,
    "boot/grub/grub.cfg",
    "boot/grub/x86_64-xen/core.elf",
    "boot/grub/x86_64-xen/normal.mod",
    "etc/fstab",
    "etc/xen-guest-bootloader/config.toml",
    "var/lib/xen-guest-bootloader/receipt.json",
    "var/lib/xen-guest-bootloader/lock",
    "usr/lib/grub/x86_64-xen/moddep.lst",
    "usr/lib/grub/x86_64-xen/normal.mod",
]
READ_BESIDE = [
    "boot/grub/grubenv",
    "boot/grub/custom.cfg",
    "boot/grub/menu.lst",
    "boot/config-6.1.0-1-amd64",
    "boot/initrd.img-6.1.0-1-amd64",
    "boot/vmlinuz-6.1.0-1-amd64",
    "boot/xen/vmlinux-6.1.0-1-amd64.gz",
    "boot/xen/pvboot-i386.elf",
    "boot/xen/pvhboot-i386.elf",
    "boot/xen/pvhboot-i386.linux",
    "etc/crypttab",
    "etc/default/grub",
    "etc/default/grub.d/a.cfg",
    "etc/grub.d/10_linux",
    "etc/initramfs-tools/conf.d/resume",
    "etc/systemd/system/boot.mount",
    "lib/modules/6.1.0-1-amd64/modules.builtin",
    "usr/lib/grub/x86_64-xen/command.lst",
    "usr/lib/grub/x86_64-xen/modinfo.sh",
    "var/lib/dpkg/info/grub-xen-bin.md5sums",
    "var/lib/dpkg/info/linux-image-6.1.0-1-amd64.md5sums",
    "var/lib/dpkg/status",
    "var/lib/dpkg/updates/0001",
    "var/lib/xen-guest-bootloader/hold.json",
    "run/xen-guest-bootloader/last-failure.json",
    "var/lib/xen-guest-bootloader/preflight.json",
    "var/lib/xen-guest-bootloader/grub-answers.json",
    "var/lib/xen-guest-bootloader/elf-readings.json",
    "var/lib/xen-guest-bootloader/previous/x86_64-xen.elf",
]


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with hostile_tree.synced(tmp_path_factory.mktemp("hostile")) as layers:
        yield layers


@pytest.fixture
def tree(synced: Path, tmp_path: Path) -> Iterator[Path]:
    with hostile_tree.hostile_tree(synced, tmp_path) as top:
        yield top


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """Another's directory, in which every name that is looked for stands; it must stay as it is."""
    top = tmp_path / "outside"
    for path in LINKED:
        (top / "as-file").mkdir(parents=True, exist_ok=True)
        (top / "as-file" / path.replace("/", "_")).write_text(NOT_OURS)
    for name in ("xen", "grub", "conf.d", "x86_64-xen", "previous"):
        (top / "as-dir" / name).mkdir(parents=True)
    for name in (
        "config.toml",
        "receipt.json",
        "grub.cfg",
        "core.elf",
        "moddep.lst",
        "normal.mod",
        "pvboot-x86_64.elf",
        "null",
        "lock",
    ):
        (top / "as-dir" / name).write_text(NOT_OURS)
    before = listing(top)
    yield top
    assert listing(top) == before


def listing(top: Path) -> list[tuple[str, int, int, int]]:
    found = []
    for path in sorted([top, *top.rglob("*")]):
        status = path.lstat()
        found.append((str(path), status.st_mode, status.st_size, status.st_mtime_ns))
    return found


def tried(top: Path) -> None:
    """Repair it: that ends with a documented exit code, soon, and with nobody else's words."""
    done = tool(top, "sync", "--no-update-grub", "--json")
    assert done.returncode in (0, 2, 4, 7), done.stderr
    assert NOT_OURS not in done.stdout + done.stderr
    assert json.loads(done.stdout)["schema"] == 1


@pytest.mark.parametrize("path", LINKED)
@pytest.mark.parametrize("kind", ["as-file", "as-dir"])
def test_a_link_to_outside_leads_nowhere(tree: Path, outside: Path, path: str, kind: str) -> None:
    target = outside / kind / (path.replace("/", "_") if kind == "as-file" else "")
    cleared(tree / path).symlink_to(
        target if kind == "as-file" else f"{'../' * 12}{str(target).lstrip('/')}"
    )
    tried(tree)


def test_a_boot_that_is_a_link_is_not_followed_outside(tree: Path, outside: Path) -> None:
    images.tool("umount", "--lazy", str(tree / "boot"))
    cleared(tree / "boot").symlink_to(outside / "as-dir")
    tried(tree)


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero


def make_directory(path: Path) -> None:
    path.mkdir()
    (path / "file").touch()


def make_loop(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("path", IN_THE_WAY)
@pytest.mark.parametrize("make", [make_fifo, make_device, make_directory, make_loop])
def test_what_is_no_file_is_not_read(tree: Path, path: str, make: Callable[[Path], None]) -> None:
    make(cleared(tree / path))
    tried(tree)


@pytest.mark.parametrize("make", [make_fifo, make_device, make_directory, make_loop])
def test_nothing_that_is_read_beside_is_waited_for(
    tree: Path, make: Callable[[Path], None]
) -> None:
    """All at a time: none of these alone keeps a run from its work."""
    for path in READ_BESIDE:
        make(cleared(tree / path))
    for verb in ("detect", "status", "preflight", "rollback"):
        done = tool(tree, verb, "--json")
        assert done.returncode in (0, 3, 4, 5, 7), done.stderr
        assert json.loads(done.stdout)["schema"] == 1
    tried(tree)


def test_ten_gigabytes_of_nothing_are_not_read(tree: Path) -> None:
    with (tree / STAGE).open("wb") as file:
        file.truncate(10 << 30)
    done = tool(tree, "status", "--json")
    target = json.loads(done.stdout)["targets"][0]
    assert (target["state"], target["problems"][0]["code"]) == ("invalid", "unreadable")
    assert tool(tree, "sync", "--no-update-grub").returncode == 0
    assert (tree / STAGE).stat().st_size < 4 * images.MIB


def cost(top: Path, *words: str) -> tuple[int, float]:
    """The exit code, and the seconds of processor time that it took."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    code = tool(top, *words).returncode
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return code, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize(
    ("names", "code"),
    [
        pytest.param(["vmlinuz-{}"], 7, id="kernels"),
        pytest.param(["etc/xen-guest-bootloader/conf.d/{}.toml"], 2, id="configuration"),
        pytest.param(
            [
                "var/lib/dpkg/updates/{}",
                "etc/grub.d/{}",
                "etc/default/grub.d/{}",
                "usr/lib/grub/x86_64-xen/{}.mod",
            ],
            3,
            id="what-is-read-beside",
        ),
    ],
)
def test_many_names_cost_no_more_than_a_few(tree: Path, names: Sequence[str], code: int) -> None:
    """Each is a link to one file of 1 MB, so that the disk has no part in it."""
    plain = max(cost(tree, verb)[1] for verb in ("status", "preflight"))
    (tree / "large").write_bytes(b"# nothing but this\n" * 50_000)
    for name in names:
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        for number in range(20_000 // len(names)):
            (tree / name.format(number)).symlink_to("/large")
    for verb in ("status", "preflight"):
        found, seconds = cost(tree, verb)
        assert found == code
        assert seconds < 3 * plain + 0.5


def test_a_configuration_that_is_not_utf_8_changes_nothing(tree: Path) -> None:
    (tree / "etc/xen-guest-bootloader/config.toml").write_bytes(b'targets = ["\xff\xfe"]\n')
    (tree / STAGE).unlink()
    done = tool(tree, "sync")
    assert done.returncode == 2
    assert "config.toml: not valid TOML" in done.stderr
    assert not (tree / STAGE).exists()


@pytest.mark.parametrize(
    "path",
    [
        "boot/vmlinuz-6.1\n### END ###",
        "boot/xen/a\nb",
        "boot/grub/x86_64-xen/a\nb.mod",
        "etc/xen-guest-bootloader/conf.d/a\nb.toml",
        "usr/lib/grub/x86_64-xen/a\nb.mod",
        "boot/vmlinuz-\udcff\udcfe",
    ],
)
def test_a_name_with_a_newline_is_a_name(tree: Path, path: str) -> None:
    (tree / path).write_bytes(b"# nothing\n")
    tried(tree)


def test_a_root_with_a_newline_is_a_root(tree: Path, tmp_path: Path) -> None:
    odd = tmp_path / "a\nroot"
    odd.mkdir()
    images.tool("mount", "--rbind", str(tree), str(odd))
    try:
        tried(odd)
    finally:
        images.tool("umount", "--lazy", "--recursive", str(odd))
