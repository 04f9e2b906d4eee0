# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours against the judges that decide at boot: what Xen's domain builder or stage 1's GRUB
refuses is never installed.
"""

import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guest_hooks.formats import second_stage
from guest_hooks.targets import TARGETS
from tests.support import grub_file, libxenguest
from tests.support import second_stages as build
from tests.support.second_stages import core_image


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oracles")


@pytest.fixture(scope="module")
def xen(work: Path) -> Iterator[libxenguest.Oracle]:
    with libxenguest.running(work) as oracle:
        yield oracle


@pytest.mark.parametrize("target", TARGETS)
def test_the_judges_accept_a_core_image_and_not_another_target_s(
    xen: libxenguest.Oracle, work: Path, target: str
) -> None:
    mode = TARGETS[target].mode
    assert xen.accepts(core_image(target), mode)
    assert grub_file.accepts(core_image(target), target, work)
    others = [other for other in TARGETS if TARGETS[other].mode is not mode]
    assert [other for other in others if xen.accepts(core_image(other), mode)] == []
    assert target == "i386-xen_pvh" or not grub_file.accepts(
        core_image("i386-xen_pvh"), target, work
    )


def relocatable(image: bytes) -> bytes:
    return build.with_header(image, type=1)


def loader_generic_x(image: bytes) -> bytes:
    return build.with_note(image, 8, b"genericX\0")


def text_zeroed(image: bytes) -> bytes:
    kernel = build.segment(image, build.LOAD_KERNEL)
    return build.put(image, kernel["offset"], bytes(kernel["filesz"]))


def halved(image: bytes) -> bytes:
    """Cut in half, its notes put behind what is left."""
    middle = len(image) // 2
    return build.with_segment(image[:middle] + build.notes(image), build.NOTE, offset=middle)


def xen_4(image: bytes) -> bytes:
    return build.with_note(image, 5, b"xen-4.0\0")


def entry_outside(image: bytes) -> bytes:
    return build.with_note(image, 1, b"\0\0\0\x01")


def virt_base_0x1800(image: bytes) -> bytes:
    return build.with_note(image, 3, b"\0\x18\0\0")


@pytest.mark.parametrize(
    ("target", "damage"),
    [
        pytest.param("x86_64-xen", loader_generic_x, id="loader-generic-x"),
        pytest.param("x86_64-xen", relocatable, id="relocatable"),
        pytest.param("x86_64-xen", text_zeroed, id="text-zeroed"),
        pytest.param("i386-xen_pvh", halved, id="cut-in-half"),
    ],
)
def test_ours_is_stricter_than_libxenguest(
    xen: libxenguest.Oracle, target: str, damage: Callable[[bytes], bytes]
) -> None:
    image = damage(core_image(target))
    assert xen.accepts(image, TARGETS[target].mode)
    assert second_stage.problems(image, TARGETS[target])


@pytest.mark.parametrize(
    "damage", [xen_4, entry_outside, virt_base_0x1800, text_zeroed, relocatable]
)
def test_ours_is_stricter_than_grub_file(work: Path, damage: Callable[[bytes], bytes]) -> None:
    image = damage(core_image("x86_64-xen"))
    assert grub_file.accepts(image, "x86_64-xen", work)
    assert second_stage.problems(image, TARGETS["x86_64-xen"])


extra_notes = st.builds(
    build.note,
    st.integers(0, 20),
    st.sampled_from(
        [
            b"",
            b"\0",
            bytes(4),
            bytes(8),
            b"\0\x10\0\0",
            b"\xff" * 8,
            b"yes\0",
            b"!dom0\0",
            b"generic\0",
            b"xen-3.0\0",
            b"aaaa",
        ]
    ),
    owner=st.sampled_from([b"Xen\0", b"Xen", b"Xen\0\0\0\0\0", b"GNU\0", b""]),
    size=st.sampled_from([None, 0, 3, 1 << 31]),
)
interesting = st.sampled_from([0, 1, 2, 3, 4, 7, 8, 0x1000, 0x7FFFFFFF, 0xFFFFFFFF]).map(
    lambda n: struct.pack("<I", n)
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, bytes]:
    """A target and its core image with notes before its own, bytes changed where structure is,
    and perhaps its end cut off.
    """
    target = draw(st.sampled_from(list(TARGETS)))
    image = build.with_notes(
        core_image(target),
        b"".join([*draw(st.lists(extra_notes, max_size=2)), build.notes(core_image(target))]),
    )
    notes = build.segment(image, build.NOTE)["offset"]
    places = st.one_of(
        st.integers(0, 0x200),
        st.integers(build.block_at(image), build.block_at(image) + 48),
        st.integers(notes, len(image) - 1),
    )
    for at, new in draw(
        st.lists(st.tuples(places, interesting | st.binary(min_size=1, max_size=2)), max_size=3)
    ):
        image = build.put(image, at, new)
    return target, image[: draw(st.none() | st.integers(0, len(image)))]


@settings(max_examples=400, deadline=None)
@given(case=damaged())
def test_what_a_judge_refuses_is_refused(
    xen: libxenguest.Oracle, work: Path, case: tuple[str, bytes]
) -> None:
    target, image = case
    if not second_stage.problems(image, TARGETS[target]):
        assert xen.accepts(image, TARGETS[target].mode), "libxenguest refuses it"
        assert grub_file.accepts(image, target, work), "grub-file refuses it"
