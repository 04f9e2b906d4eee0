# SPDX-License-Identifier: GPL-3.0-or-later
"""Stage 1 for a host's admin: its configuration, and the image that grub-mkimage makes of it."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from guest_hooks import cli
from guest_hooks.errors import ExitCode, LackingError, UsageError
from guest_hooks.formats import second_stage
from guest_hooks.host import stage1_image
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError
from guest_hooks.targets import TARGETS

LOOKED_FOR = {
    "x86_64-xen": ["/boot/xen/pvboot-x86_64.elf", "/xen/pvboot-x86_64.elf"],
    "i386-xen": ["/boot/xen/pvboot-i386.elf", "/xen/pvboot-i386.elf"],
    "i386-xen_pvh": ["/boot/xen/pvhboot-i386.linux", "/xen/pvhboot-i386.linux"],
}
HERE = Root("/")
MENUS = ["/boot/grub/grub.cfg", "/grub/grub.cfg"]


@pytest.mark.parametrize("name", TARGETS)
def test_it_looks_for_second_stages_first(name: str) -> None:
    text = stage1_image.config(TARGETS[name])
    assert re.findall(r"search -s -f (\S+) ;", text) == LOOKED_FOR[name] + MENUS
    started = re.findall(r"(?:linux|multiboot|configfile) '?([^' ]+?)'?(?: ;|\n)", text)
    assert started == LOOKED_FOR[name] + MENUS
    subprocess.run(["grub-script-check"], input=text, text=True, check=True)


@pytest.mark.parametrize("name", TARGETS)
def test_an_image_is_a_stage_1_for_its_target(name: str, tmp_path: Path) -> None:
    output = tmp_path / "stage1.bin"
    made = stage1_image.build(TARGETS[name], str(output), HERE)
    data = output.read_bytes()
    found = second_stage.read(data)
    assert made.path == str(output)
    assert made.size == len(data)
    assert (found.elf_class, found.machine) == (TARGETS[name].elf_class, TARGETS[name].elf_machine)
    assert found.core is not None
    assert found.core.is_stage1
    assert found.core.config.strip() == stage1_image.BOOTSTRAP.strip()
    assert found.core.prefix == "(memdisk)/boot/grub"
    assert stage1_image.config(TARGETS[name]).encode() in data
    assert "stage-1-image" in {
        problem.code for problem in second_stage.problems(data, TARGETS[name])
    }
    stage1_image.build(TARGETS[name], str(output), HERE)
    assert output.read_bytes() == data, "the same again"


def test_pv_images_are_what_xen_takes(tmp_path: Path) -> None:
    for name, kind in (("x86_64-xen", "x86_64-xen-domu"), ("i386-xen", "i386-xen-pae-domu")):
        made = stage1_image.build(TARGETS[name], str(tmp_path / name), HERE)
        subprocess.run(["grub-file", f"--is-{kind}", made.path], check=True)


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(LackingError, match="no directory"):
        stage1_image.build(TARGETS["x86_64-xen"], str(tmp_path / "none/stage1.bin"), HERE)


@pytest.mark.parametrize("name", ["", "-", "dir", "dir/", "fifo", "device", "link-to-dir"])
def test_only_a_file_is_replaced(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("dir").mkdir()
    os.mkfifo("fifo")
    Path("device").symlink_to("/dev/null")
    Path("link-to-dir").symlink_to("dir")
    with pytest.raises(UsageError, match="no regular file"):
        stage1_image.build(TARGETS["x86_64-xen"], name, HERE)
    assert Path("dir").is_dir()
    assert Path("fifo").is_fifo()
    assert Path("/dev/null").is_char_device()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "device",
        "dir",
        "fifo",
        "link-to-dir",
    ]


def test_a_link_to_a_file_stays_one(tmp_path: Path) -> None:
    (tmp_path / "stage1-2.bin").write_bytes(b"old")
    (tmp_path / "stage1.bin").symlink_to("stage1-2.bin")
    made = stage1_image.build(TARGETS["x86_64-xen"], str(tmp_path / "stage1.bin"), HERE)
    assert made.path == str(tmp_path / "stage1-2.bin")
    assert (tmp_path / "stage1.bin").is_symlink()
    assert (tmp_path / "stage1.bin").stat().st_size == made.size


def test_the_modules_are_those_of_the_tree(tmp_path: Path) -> None:
    lib = tmp_path / "usr/lib/grub/x86_64-xen"
    with pytest.raises(LackingError, match=f"no {lib}"):
        stage1_image.build(TARGETS["x86_64-xen"], str(tmp_path / "s1"), Root(str(tmp_path)))
    shutil.copytree("/usr/lib/grub/x86_64-xen", lib)
    (lib / "video.mod").rename(lib / "another.mod")
    with pytest.raises(CommandError, match=r"video\.mod"):
        stage1_image.build(TARGETS["x86_64-xen"], str(tmp_path / "s1"), Root(str(tmp_path)))


def test_the_verb_prints_and_builds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["stage1", "config", "--target", "i386-xen_pvh"]) == ExitCode.OK
    assert capsys.readouterr().out == stage1_image.config(TARGETS["i386-xen_pvh"])
    assert (
        cli.main(["stage1", "build", "-q", "-o", str(tmp_path / "s1"), "--target", "i386-xen"])
        == ExitCode.OK
    )
    assert (tmp_path / "s1").stat().st_size > 100_000


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["build"], id="build-without-output"),
        pytest.param(["config", "-o", "x"], id="config-with-output"),
        pytest.param(["config", "--target", "i386-pc"], id="unknown-target"),
        pytest.param(
            ["config", "--target", "i386-xen", "--target", "x86_64-xen"], id="two-targets"
        ),
    ],
)
def test_wrong_usage(words: list[str]) -> None:
    assert cli.main(["stage1", *words]) == ExitCode.USAGE
