# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of kernels for PV: GRUB's and Xen's own loaders take them, and no damage goes unseen."""

import gzip
import hashlib
from pathlib import Path

import pytest

from guest_hooks.errors import CodedFormatError
from guest_hooks.formats import bzimage, pv_kernel, xen_notes
from guest_hooks.model import Mode
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.row import ProblemCode
from tests.support import grub_file, kernels, libxenguest

TARGET = "x86_64-xen"
ELF = kernels.vmlinux()
ENTRY = xen_notes.number("ENTRY")
NO_PV = {kind: value for kind, value in kernels.LINUX_NOTES.items() if kind != ENTRY}


@pytest.fixture(scope="module", params=["zstd", "lz4"])
def kernel(request: pytest.FixtureRequest) -> bytes:
    return kernels.bzimage(ELF, request.param)


def test_a_copy_holds_the_vmlinux_and_names_its_kernel(kernel: bytes) -> None:
    copy = pv_kernel.make(kernel)
    assert gzip.decompress(copy) == ELF
    assert kernels.pv_fault(copy) == ""
    assert pv_kernel.source(copy) == hashlib.sha256(kernel).hexdigest()


def test_the_same_kernel_gives_the_same_copy(kernel: bytes) -> None:
    assert pv_kernel.make(kernel) == pv_kernel.make(kernel)


def test_grub_and_xen_take_a_copy(kernel: bytes, tmp_path: Path) -> None:
    copy = pv_kernel.make(kernel)
    assert grub_file.accepts(copy, TARGET, tmp_path)
    with libxenguest.running(tmp_path) as oracle:
        assert oracle.accepts(copy, Mode.PV)


@pytest.mark.parametrize(
    ("compression", "needed"),
    [("none", False), ("gzip", False), ("xz", False), ("zstd", True), ("lz4", True)],
)
def test_a_copy_is_needed_where_grub_does_not_unpack(
    compression: str, needed: bool, tmp_path: Path
) -> None:
    data = kernels.bzimage(ELF, compression)
    assert pv_kernel.is_needed(bzimage.parse(data)) is needed
    assert grub_file.accepts(data, TARGET, tmp_path) is not needed


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(
            kernels.bzimage(kernels.vmlinux(notes=NO_PV), "zstd"),
            PvKernelProblem.UNFIT,
            id="no-entry",
        ),
        pytest.param(
            kernels.bzimage(kernels.vmlinux(bits=32), "zstd"), PvKernelProblem.UNFIT, id="32-bit"
        ),
        pytest.param(
            kernels.bzimage(kernels.vmlinux(notes={**kernels.LINUX_NOTES, 8: b"xen\0"}), "zstd"),
            PvKernelProblem.UNFIT,
            id="another-loader",
        ),
        pytest.param(kernels.bzimage(ELF, "zstd")[:-9000], ImageProblem.TRUNCATED, id="cut-off"),
        pytest.param(
            kernels.bzimage(ELF[:200_000], "zstd"), FileProblem.CORRUPT, id="vmlinux-cut-off"
        ),
        pytest.param(b"no kernel\n" * 900, FileProblem.NOT_A_KERNEL, id="text"),
    ],
)
def test_no_copy_is_made_of(data: bytes, code: ProblemCode) -> None:
    with pytest.raises(CodedFormatError) as caught:
        pv_kernel.make(data)
    assert caught.value.code is code


def test_a_size_that_the_kernel_denies_is_refused() -> None:
    data = bytearray(kernels.bzimage(ELF, "zstd"))
    at = data.rfind(len(ELF).to_bytes(4, "little"))
    data[at] ^= 1
    with pytest.raises(CodedFormatError, match="last word"):
        pv_kernel.make(bytes(data))


@pytest.mark.parametrize("part", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_damaged_copy_is_seen(part: float) -> None:
    copy = pv_kernel.make(kernels.bzimage(ELF, "zstd"))
    damaged = bytearray(copy)
    damaged[1 + int(part * (len(copy) - 2))] ^= 0x10
    is_another = pv_kernel.source(bytes(damaged)) != pv_kernel.source(copy)
    assert kernels.pv_fault(bytes(damaged)) or is_another
    assert kernels.pv_fault(copy[: int(part * len(copy))])


def test_an_admins_own_file_is_no_copy_of_a_kernel() -> None:
    assert (kernels.pv_fault(gzip.compress(ELF)), pv_kernel.source(gzip.compress(ELF))) == ("", "")
    assert kernels.pv_fault(b"text")
