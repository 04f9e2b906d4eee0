# SPDX-License-Identifier: GPL-3.0-or-later
"""What was read of an ELF file stands for another one only where the same would be read of it."""

from collections.abc import Iterator

import pytest

from guest_hooks.errors import FormatError
from guest_hooks.formats import elf
from guest_hooks.formats.elf import Elf
from tests.support.second_stages import core_image

TARGET = "x86_64-xen"


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    forget()
    yield
    forget()


def forget() -> None:
    elf.recall(())
    elf.read.cache_clear()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The files that pyelftools is given."""
    found: list[bytes] = []
    real = elf._read

    def read(data: bytes) -> tuple[Elf, tuple[elf.Span, ...]]:
        found.append(data)
        return real(data)

    monkeypatch.setattr(elf, "_read", read)
    return found


def changed(at: int) -> bytes:
    data = bytearray(core_image(TARGET))
    data[at] ^= 1
    return bytes(data)


def spans() -> tuple[elf.Span, ...]:
    elf.read(core_image(TARGET))
    return elf.known()[-1].spans


def outcome(data: bytes) -> Elf | str:
    """What is read of a file, or why it is refused."""
    try:
        return elf.read(data)
    except FormatError as error:
        return error.message


def test_the_same_headers_are_read_once(parsed: list[bytes]) -> None:
    data = core_image(TARGET)
    first = elf.read(data)
    known = elf.known()
    elf.read.cache_clear()
    beyond_the_headers = next(
        at for at in range(len(data)) if not any(start <= at < end for start, end in spans())
    )
    assert elf.read(changed(beyond_the_headers)) == first
    assert parsed == [data]
    assert elf.known() == known


@pytest.mark.parametrize("span", [0, 1, 2], ids=["header", "program-headers", "section-headers"])
def test_a_byte_of_a_header_is_read_again(parsed: list[bytes], span: int) -> None:
    start, end = spans()[span]
    for at in range(start, end):
        other = changed(at)
        found = outcome(other)
        assert parsed[-1] == other
        known = elf.known()
        forget()
        assert outcome(other) == found
        elf.recall(known)


def test_another_size_is_read_again(parsed: list[bytes]) -> None:
    data = core_image(TARGET)
    elf.read(data)
    elf.read(data + b"?")
    assert parsed == [data, data + b"?"]
    with pytest.raises(FormatError):
        elf.read(data[: max(end for _, end in spans()) - 1])


def test_no_more_are_known_than_a_guest_has() -> None:
    for number in range(3 * elf.MOST_KNOWN):
        elf.read(core_image(TARGET) + bytes(number))
    assert len(elf.known()) == elf.MOST_KNOWN
    assert elf.known()[-1].size == len(core_image(TARGET)) + number
