# SPDX-License-Identifier: GPL-3.0-or-later
"""What could not be looked at, or decided, is said to be not known."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.formats import crypttab
from tests.support.boot_damage import (
    SECOND,
    Damage,
    appended,
    beside,
    both,
    fstab,
    image,
    loaded,
    set_root,
    write,
)
from tests.support.boot_tree import BootTree

UDEVS = beside(replace(SECOND, names=("/dev/disk/by-diskseq/2",)), "/dev/xvda1")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(set_root("root=ZFS=rpool/root"), "what root=ZFS=rpool/root is", id="zfs"),
        pytest.param(set_root("root=/dev/md/0"), "what root=/dev/md/0 is", id="raid-by-name"),
        pytest.param(
            fstab("/dev/disk/by-id/x /srv ext4 defaults 0 2"),
            "whether /dev/disk/by-id/x of /etc/fstab will be there",
            id="fstab-by-a-link",
        ),
        pytest.param(
            write("etc/crypttab", b"data UUID=1 none luks\n"),
            "who types the passphrase of data, for which the boot waits",
            id="passphrase",
        ),
        pytest.param(
            loaded(initrd="(lvmid/a/b)/initrd.img"),
            "what is in (lvmid/a/b)/initrd.img, which is on another file system",
            id="initrd-elsewhere",
        ),
        *(
            pytest.param(
                image(set_root(f"root={name}")),
                f"whether this guest will have the file system of root={name}",
                id=f"image-{name}",
            )
            for name in ("/dev/xvda1", "LABEL=root", "PARTUUID=1-2")
        ),
        pytest.param(
            appended("load_env --file=/boot/mine.env default"),
            "which entry is the default",
            id="environment-of-another-file",
        ),
        pytest.param(
            loaded("search --file --set=root /marker"),
            "the files of the entry 'First', which are on another file system (file//marker)",
            id="search-for-a-file",
        ),
    ],
)
def test_it_is_said(tmp_path: Path, damage: Damage, words: str) -> None:
    tree = BootTree(tmp_path)
    damage(tree)
    answer = tree.preflight()
    assert answer.will_boot
    assert any(each.startswith(words) for each in answer.unknown), answer.unknown


def test_where_udev_makes_names_one_that_is_not_there_is_gone(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    both(UDEVS, fstab("/dev/disk/by-id/x /srv ext4 defaults 0 2"))(tree)
    answer = tree.preflight()
    assert [each.code for each in answer.findings] == ["fstab-disk-missing"]


@pytest.mark.parametrize(
    ("line", "asks"),
    [
        ("data UUID=1", True),
        ("data UUID=1 none luks,discard", True),
        ("data UUID=1 - luks", True),
        ("data UUID=1 /etc/key luks", False),
        ("data UUID=1 none luks,nofail", False),
        ("data UUID=1 none luks,tpm2-device=auto", False),
        ("data UUID=1 none luks,keyscript=decrypt_keyctl", False),
        ("swap /dev/xvda2 /dev/urandom swap", False),
        ("# data UUID=1", False),
        ("data", False),
    ],
)
def test_who_waits_for_a_passphrase(line: str, asks: bool) -> None:
    assert any(each.asks_for_a_passphrase for each in crypttab.parse(line)) is asks
