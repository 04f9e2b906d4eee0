# SPDX-License-Identifier: GPL-3.0-or-later
"""Where `stage1 build -o` writes: never where another user's link leads."""

import os
from pathlib import Path

import pytest

from guest_hooks.errors import UsageError
from guest_hooks.host import stage1_image
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import run
from guest_hooks.targets import TARGETS

HERE = Root("/")
STRANGER = 65534


def stranger_s_link(link: Path, target: Path) -> None:
    link.symlink_to(target)
    os.chown(link, STRANGER, STRANGER, follow_symlinks=False)


@pytest.mark.parametrize("name", ["s1", "link/s1", "link/../link/s1", "mine", "s1-nowhere"])
@pytest.mark.parametrize("mode", [0o1777, 0o777, 0o775])
def test_another_user_s_link_is_not_followed(tmp_path: Path, name: str, mode: int) -> None:
    """Where others can write, as in /tmp: by the name itself, on the way to it, behind a link
    of one's own, or to nothing yet.
    """
    target, shared = tmp_path / "etc", tmp_path / "shared"
    target.mkdir()
    shared.mkdir()
    shared.chmod(mode)
    (target / "s1").write_text("root's")
    stranger_s_link(shared / "s1", target / "s1")
    stranger_s_link(shared / "link", target)
    stranger_s_link(shared / "s1-nowhere", target / "new")
    (shared / "mine").symlink_to("s1")
    with pytest.raises(UsageError, match="link of another user"):
        stage1_image.build(TARGETS["x86_64-xen"], str(shared / name), HERE)
    assert (target / "s1").read_text() == "root's"
    assert [path.name for path in target.iterdir()] == ["s1"]


def test_a_link_that_came_while_the_image_was_made_is_not_followed(tmp_path: Path) -> None:
    target, shared = tmp_path / "etc", tmp_path / "shared"
    target.mkdir()
    (shared / "dir").mkdir(parents=True)
    shared.chmod(0o777)

    def swapped(*arguments: object, **options: object) -> object:
        done = run(*arguments, **options)  # type: ignore[arg-type]
        (shared / "dir").rename(shared / "away")
        stranger_s_link(shared / "dir", target)
        return done

    with pytest.raises(UsageError, match="link of another user"):
        stage1_image.build(TARGETS["x86_64-xen"], str(shared / "dir/s1"), HERE, run=swapped)  # type: ignore[arg-type]
    assert list(target.iterdir()) == []


def test_a_link_in_its_owner_s_own_directory_is_followed(tmp_path: Path) -> None:
    """An admin who runs it by sudo, in a home directory with links of their own."""
    home, images = tmp_path / "home", tmp_path / "images"
    home.mkdir()
    images.mkdir()
    os.chown(home, STRANGER, STRANGER)
    stranger_s_link(home / "images", images)
    made = stage1_image.build(TARGETS["x86_64-xen"], str(home / "images/s1"), HERE)
    assert made.path == str(images / "s1")


def test_another_user_s_file_is_replaced_and_not_written_to(tmp_path: Path) -> None:
    output = tmp_path / "s1"
    output.write_text("theirs")
    os.chown(output, STRANGER, STRANGER)
    os.link(output, tmp_path / "second")
    stage1_image.build(TARGETS["x86_64-xen"], str(output), HERE)
    assert (tmp_path / "second").read_text() == "theirs"
    assert output.stat().st_uid == os.geteuid()
