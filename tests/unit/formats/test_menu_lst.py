# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB Legacy's menu: which lines count, and which entry starts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.formats import menu_lst
from guest_hooks.formats.menu_lst import File

ENTRY = (
    "title one\nroot (hd0,0)\nkernel /boot/vmlinuz root=/dev/xvda1 ro\ninitrd /boot/initrd.img\n"
)
CHAIN = "title second stage\nkernel (hd1)/boot/xen/pvboot-x86_64.elf\n"


def test_an_entry() -> None:
    (entry,) = menu_lst.parse(ENTRY).entries
    assert entry.kernel == File(drive="(hd0,0)", path="/boot/vmlinuz")
    assert entry.arguments == ("root=/dev/xvda1", "ro")
    assert entry.initrd == File(drive="(hd0,0)", path="/boot/initrd.img")
    assert not entry.other


@pytest.mark.parametrize(
    ("text", "title"),
    [
        pytest.param(f"default 0\n{ENTRY}{CHAIN}", "one", id="first"),
        pytest.param(f"default=1\n{ENTRY}{CHAIN}", "second stage", id="equals-sign"),
        pytest.param(f"default 9\n{ENTRY}{CHAIN}", "one", id="beyond-the-last"),
        pytest.param(
            f"default 9\nfallback 7 1\n{ENTRY}{CHAIN}", "second stage", id="beyond-with-fallback"
        ),
        pytest.param(f"{ENTRY}default 1\n{CHAIN}", "one", id="default-inside-an-entry"),
        pytest.param(
            f"default 1\ntitle none\n{ENTRY}{CHAIN}", "second stage", id="title-without-commands"
        ),
        pytest.param(
            f"default 1\ntitle none\nlinux /k\n{ENTRY}{CHAIN}",
            "second stage",
            id="unknown-commands",
        ),
        pytest.param(f"#default 1\n{ENTRY}{CHAIN}", "one", id="comment"),
        pytest.param(
            f"  \tdefault\t1\r\n{ENTRY}{CHAIN}", "second stage", id="blanks-and-line-ends"
        ),
        pytest.param(
            "kernel (hd0)/boot/xen/pvboot-x86_64.elf\n", None, id="kernel-without-a-title"
        ),
        pytest.param(f"default saved\n{ENTRY}", None, id="saved"),
    ],
)
def test_which_entry_starts(text: str, title: str | None) -> None:
    chosen = menu_lst.parse(text).chosen
    assert (chosen.title if chosen else None) == title


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("timeout 5\n", 5, id="set"),
        pytest.param("timeout=0\n", 0, id="none"),
        pytest.param("", None, id="not-set"),
    ],
)
def test_after_how_many_seconds(text: str, seconds: int | None) -> None:
    assert menu_lst.parse(text + ENTRY).timeout == seconds


def test_an_entry_that_asks_for_a_password() -> None:
    (entry,) = menu_lst.parse("title x\nlock\nkernel (hd0)/k\n").entries
    assert entry.other == "lock"


def test_a_line_goes_on_after_a_backslash() -> None:
    (entry,) = menu_lst.parse("title x\nkernel (hd0)/k a \\\n b\n").entries
    assert entry.arguments == ("a", "b")


@given(st.text(alphabet="default timlkrnhoc()0123,/=\\\n #", max_size=300))
def test_no_text_is_refused(text: str) -> None:
    menu_lst.parse(text)
