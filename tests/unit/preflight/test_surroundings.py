# SPDX-License-Identifier: GPL-3.0-or-later
"""The console and the memory of a guest, as far as a boot's words and its initrd need them."""

from collections.abc import Sequence

import pytest

from guest_hooks.boot_images import InitrdFacts
from guest_hooks.formats import initrd
from guest_hooks.model import Mode
from guest_hooks.preflight.links import console, initrds
from guest_hooks.preflight.result import Certainty
from tests.support import kernels

PV, PVH = Mode.PV, Mode.PVH
MIB = 1 << 20


@pytest.mark.parametrize(
    ("arguments", "mode", "heard"),
    [
        pytest.param(["console=hvc0"], PV, None, id="the-guest-s"),
        pytest.param(["console=tty0", "console=hvc0"], PVH, None, id="the-guest-s-last"),
        pytest.param(["console=hvc0,115200n8"], PVH, None, id="with-options"),
        pytest.param([], PV, None, id="none-is-not-known"),
        pytest.param(["console=tty0"], PV, "Linux alone is", id="screen"),
        pytest.param(["console=tty0"], PVH, "nothing of Linux is", id="screen-pvh"),
        pytest.param(["console=hvc0", "console=ttyS0"], PVH, "Linux alone is", id="serial-last"),
    ],
)
def test_where_the_words_go(arguments: Sequence[str], mode: Mode, heard: str | None) -> None:
    found = console.findings(arguments, mode)
    assert [heard in finding.message for finding in found if heard] == ([True] if heard else [])
    assert bool(found) is bool(heard)


@pytest.mark.parametrize(
    ("arguments", "active", "is_known"),
    [
        pytest.param(["quiet"], "", False, id="image"),
        pytest.param(["quiet"], "tty0 hvc0\n", True, id="this-boot-s-was-the-guest-s"),
        pytest.param(["quiet"], "hvc0 tty0\n", False, id="this-boot-s-was-a-screen"),
        pytest.param(["console=hvc0"], "", True, id="named"),
    ],
)
def test_what_is_not_known_of_it(arguments: Sequence[str], active: str, is_known: bool) -> None:
    assert (console.unknown(arguments, active) == "") is is_known


@pytest.mark.parametrize(
    ("facts", "memory", "fits"),
    [
        pytest.param(InitrdFacts(size=40 * MIB, unpacked=160 * MIB), 256 * MIB, True, id="fits"),
        pytest.param(InitrdFacts(size=60 * MIB, unpacked=200 * MIB), 256 * MIB, False, id="not"),
        pytest.param(InitrdFacts(size=60 * MIB, unpacked=200 * MIB), 0, True, id="not-known"),
        pytest.param(InitrdFacts(size=300 * MIB), 256 * MIB, True, id="not-looked-into"),
    ],
)
def test_an_initrd_in_memory(facts: InitrdFacts, memory: int, fits: bool) -> None:
    found = initrds.memory_findings([("/boot/initrd.img", facts)], memory)
    assert (not found) is fits
    assert all(not finding.stops and "256 MiB" in finding.message for finding in found)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        pytest.param(300 * MIB, "out of memory", id="the-file"),
        pytest.param(60 * MIB, "", id="only-unpacked-which-was-seen-to-boot"),
    ],
)
def test_the_words_of_one_that_is_too_big(size: int, words: str) -> None:
    facts = InitrdFacts(size=size, unpacked=300 * MIB)
    (found,) = initrds.memory_findings([("/boot/initrd.img", facts)], 256 * MIB)
    assert (found.console, found.certainty is Certainty.LIKELY) == (words, bool(words))


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_how_much_is_in_an_initrd(compression: str) -> None:
    archive = kernels.cpio({"early": bytes(100)}) + kernels.pack(
        kernels.cpio({"file": bytes(500_000)}), compression
    )
    found = initrd.read(archive)
    assert 500_000 < found.unpacked < 502_000
