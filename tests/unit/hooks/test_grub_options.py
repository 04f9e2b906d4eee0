# SPDX-License-Identifier: GPL-3.0-or-later
"""grub-install's command line, read as GRUB reads it."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from guest_hooks.hooks import grub_options
from guest_hooks.hooks.grub_options import OPTIONS, Meaning


def in_help(text: str) -> dict[str, tuple[str, bool]]:
    """Letter and whether there is a value, by name, of each option that `--help` shows."""
    found = re.findall(r"^ +(?:-(.), +)?--([a-z0-9-]+)(\[?=\S+)?", text, re.MULTILINE)
    return {name: (letter, bool(value)) for letter, name, value in found}


def test_every_option_of_this_grub_is_known() -> None:
    said = subprocess.run(
        ["/usr/sbin/grub-install", "--help"], capture_output=True, text=True, check=True
    ).stdout
    options = in_help(said)
    assert len(options) > 35
    assert {name: (OPTIONS[name].letter, OPTIONS[name].takes_value) for name in options} == options


@pytest.mark.parametrize(
    ("words", "modules", "arguments"),
    [
        pytest.param(
            ["--modules=a b", "/dev/xvda"], ["a b"], ["/dev/xvda"], id="value-with-a-sign"
        ),
        pytest.param(["--modules", "a b", "/dev/xvda"], ["a b"], ["/dev/xvda"], id="value-behind"),
        pytest.param(["--mod=a", "--modul", "b"], ["a", "b"], [], id="shortened"),
        pytest.param(["/dev/xvda", "--modules=a"], ["a"], ["/dev/xvda"], id="argument-first"),
        pytest.param(["--", "--modules=a"], [], ["--", "--modules=a"], id="no-more-options"),
        pytest.param(["--pubkey", "--modules=a"], [], [], id="a-value-like-an-option"),
        pytest.param(["-k", "--modules=a"], [], [], id="a-letter-s-value-like-an-option"),
        pytest.param(["-vsk", "key", "--modules=a"], ["a"], [], id="letters-together"),
        pytest.param(
            ["-vkkey", "--modules=a", "-"], ["a"], ["-"], id="a-value-joined-to-its-letter"
        ),
    ],
)
def test_the_values_of_an_option(
    words: list[str], modules: list[str], arguments: list[str]
) -> None:
    line = grub_options.parse(words)
    assert line is not None
    assert list(line.values(Meaning.MODULES)) == modules
    assert list(line.arguments) == arguments


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(["--no-such-option"], id="unknown"),
        pytest.param(["-Z"], id="unknown-letter"),
        pytest.param(["--boot", "--lo=x"], id="ambiguous"),
        pytest.param(["--modules"], id="no-value"),
        pytest.param(["-k"], id="letter-without-value"),
        pytest.param(["--force=yes"], id="value-for-a-flag"),
    ],
)
def test_what_grub_would_refuse_is_left_to_it(words: list[str]) -> None:
    assert grub_options.parse(words) is None


@pytest.mark.parametrize(
    ("words", "is_elsewhere"),
    [
        pytest.param([], False, id="nothing"),
        pytest.param(["--boot-directory={top}/boot"], False, id="boot"),
        pytest.param(["--boot-directory={top}/boot/"], False, id="slash"),
        pytest.param(["--boot-directory", "{top}/link"], False, id="a-link-to-it"),
        pytest.param(["--boot-directory=boot"], False, id="relative"),
        pytest.param(["--boot-directory=."], True, id="the-working-directory"),
        pytest.param(["--boot-directory=sub/boot"], True, id="relative-elsewhere"),
        pytest.param(["--boot-d=mnt", "--boot-directory=boot"], False, id="the-last-counts"),
        pytest.param(["--root-directory={top}"], False, id="top"),
        pytest.param(["--root-directory=sub"], True, id="another-top"),
        pytest.param(
            ["--root-directory=sub", "--boot-directory=boot"], False, id="boot-counts-more-than-top"
        ),
        pytest.param(["-d", "/usr/lib/grub/x86_64-xen"], True, id="modules"),
        pytest.param(["--boot-directory=none"], True, id="not-there"),
    ],
)
def test_another_boot_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], is_elsewhere: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("boot", "sub/boot", "mnt"):
        os.makedirs(name)
    Path("link").symlink_to("boot")
    line = grub_options.parse([word.format(top=tmp_path) for word in words])
    assert line is not None
    assert line.is_elsewhere(f"{tmp_path}/boot") is is_elsewhere


def test_staging_has_its_own_boot_and_target() -> None:
    words = [
        "--target=i386-xen",
        "--boot-directory",
        "/mnt/boot",
        "-vk",
        "key",
        "--modules",
        "a b",
        "/dev/xvda",
        "--",
        "-x",
    ]
    line = grub_options.parse(words)
    assert line is not None
    assert line.for_staging() == ("-v", "-k", "key", "--modules", "a b", "/dev/xvda", "--", "-x")


def test_what_is_not_kept_is_told() -> None:
    line = grub_options.parse(["--compress=xz", "--pubkey=k", "--disable-cli", "--force-file-id"])
    assert line is not None
    assert [name for name, _ in line.lost()] == ["compress", "force-file-id"]
    assert {name for name, option in OPTIONS.items() if option.meaning is Meaning.LOST} == set(
        grub_options.LOST
    )
