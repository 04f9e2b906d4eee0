# SPDX-License-Identifier: GPL-3.0-or-later
"""What `inspect` says of a Linux kernel."""

import hashlib

import pytest

from guest_hooks.formats import inspection, pv_kernel
from guest_hooks.report.inspection_json import inspection_json
from guest_hooks.report.inspection_text import inspection_text
from guest_hooks.report.layout import Style
from tests.support import kernels, report_schema


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd"])
def test_a_kernel_is_told_with_its_notes(compression: str) -> None:
    found = inspection.inspect(
        "/boot/vmlinuz-6.1.0-1-amd64", kernels.bzimage(compression=compression)
    )
    table = inspection_json(found)
    assert report_schema.complaints(table, "inspect") == []
    assert (table["format"], table["class"], table["machine"]) == ("kernel", "ELF64", "x86_64")
    assert table["kernel"]["compression"] == compression
    assert {"ENTRY", "PHYS32_ENTRY"} <= table["notes"].keys()
    assert table["fits"] == []
    assert "PV, PVH" in "\n".join(inspection_text(found, Style()))


def test_a_kernel_that_is_cut_off_is_told_so() -> None:
    found = inspection.inspect("/boot/vmlinuz", kernels.bzimage()[:-100])
    table = inspection_json(found)
    assert report_schema.complaints(table, "inspect") == []
    assert table["format"] == "kernel"
    assert "cut off" in "\n".join(inspection_text(found, Style()))


def test_a_copy_for_pv_is_told_with_its_kernel() -> None:
    kernel = kernels.bzimage(compression="zstd")
    copy = pv_kernel.make(kernel)
    assert "as PV (zstd)" in "\n".join(
        inspection_text(inspection.inspect("/boot/vmlinuz", kernel), Style())
    )
    found = inspection.inspect("/boot/xen/vmlinux.gz", copy)
    table = inspection_json(found)
    assert report_schema.complaints(table, "inspect") == []
    assert table["kernel"]["wrapping"] == "packed-elf"
    assert table["kernel"]["source"] == hashlib.sha256(kernel).hexdigest()
    assert table["kernel"]["source"] in "\n".join(inspection_text(found, Style()))
    damaged = bytearray(copy)
    damaged[-9] ^= 1
    table = inspection_json(inspection.inspect("/boot/xen/vmlinux.gz", bytes(damaged)))
    assert report_schema.complaints(table, "inspect") == []
    assert table["kernel"]["unread"]["code"] == "corrupt"
