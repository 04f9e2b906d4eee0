# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are made to cost much, beside real ones of the same kind and size.

As a program it parses each file, in a process of its own, and prints what that cost: one JSON
object a line with `name`, `kind`, `size`, `seconds` of processor time and `kilobytes` of memory for
the hostile file and, as `real_…`, for the real one.
"""

import bz2
import gzip
import json
import lzma
import os
import random
import resource
import struct
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(CHECKOUT)]

from tests.support import generated_menus, kernels, second_stages  # noqa: E402 - found by the line above

MEGABYTE = 1 << 20
TARGET = "x86_64-xen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hostile:
    """A file as `kind` (a name of `fuzz_targets.TARGETS`) reads it, and how a real one of its
    size is made.
    """

    name: str
    kind: str
    data: Callable[[], bytes]
    real: Callable[[int], bytes]


def _encoded(text: Callable[[], str]) -> bytes:
    return text().encode()


def everything() -> Iterator[Hostile]:
    """Every hostile file."""
    for name, text in _MENUS.items():
        menu = partial(_encoded, text)
        yield Hostile(name=f"menu, {name}", kind="menu", data=menu, real=_real_menu)
    for name, data in _ELFS.items():
        yield Hostile(name=f"second stage, {name}", kind="elf", data=data, real=_real_second_stage)
    for name, data in _KERNELS.items():
        yield Hostile(
            name=f"kernel, {name}",
            kind="kernel",
            data=data,
            real=_real_kernel(name.partition(" ")[0]),
        )
    for name, data in _INITRDS.items():
        yield Hostile(
            name=f"initrd, {name}",
            kind="initrd",
            data=data,
            real=_real_initrd(name.partition(" ")[0]),
        )


# --- grub.cfg


def _real_menu(size: int) -> bytes:
    text = max((path.read_bytes() for path in generated_menus.PATHS), key=len)
    return (text * (size // len(text) + 1))[: max(size, len(text))]


def _doubling() -> str:
    return "set a=aaaaaaaaaaaaaaaa\n" + 'set a="$a$a"\n' * 40


def _calls() -> str:
    functions = "".join(f"function f{n} {{\n" + f"f{n + 1}\n" * 40 + "}\n" for n in range(12))
    return functions + "f0\n"


_MENUS: dict[str, Callable[[], str]] = {
    "a variable doubled 40 times": _doubling,
    "blank lines": lambda: "\n" * 200_000,
    "spaces": lambda: " " * 200_000,
    "lines of blanks": lambda: " \t\n" * 70_000,
    "separators": lambda: ";\n" * 100_000,
    "BEGIN lines": lambda: "### BEGIN /etc/grub.d/10_linux ###\n" * 6000,
    "END lines": lambda: "### END /etc/grub.d/10_linux ###\n" * 6000,
    "search words": lambda: "search --fs-uuid " * 12_000,
    "search lines": lambda: "search --fs-uuid \n" * 11_000,
    "linux words": lambda: "linux root=UUID= " * 12_000,
    "sources of itself": lambda: "source ($root)/boot/grub/custom.cfg\n" * 5000,
    "a word of many parts": lambda: "echo " + '"a"' * 66_000,
    "a word of many variables": lambda: "set a=b\necho " + "$a" * 100_000,
    "words split at blanks": lambda: 'set a="' + "b " * 20_000 + '"\n' + "echo $a\n" * 15_000,
    "variables, then entries": lambda: (
        "".join(f"set v{n}=1\n" for n in range(8000)) + "menuentry a {\ntrue\n}\n" * 5000
    ),
    "modules, then entries": lambda: "insmod ext2\n" * 8000 + "menuentry a {\ntrue\n}\n" * 5000,
    "functions that call functions": _calls,
    "nested submenus": lambda: "submenu a {\n" * 12_000,
    "conditions": lambda: "if [ " + "-n a -o " * 20_000 + "-n b ]; then true; fi\n",
    "a default of 5,000 digits": lambda: (
        f"set default={'9' * 5000}\nmenuentry a {{\nlinux /vmlinuz\n}}\n"
    ),
    "a default of 5,000 octal digits": lambda: (
        f"set default=0{'7' * 5000}\nmenuentry a {{\nlinux /vmlinuz\n}}\n"
    ),
    "quotes that never close": lambda: "echo '\n" * 30_001,
    "braces": lambda: "{" * 100_000,
    "backslashes": lambda: "\\\n" * 100_000,
    "comments": lambda: "#\n" * 100_000,
    "conditions that can't be decided": lambda: "if foo; then\nset a=$b\nfi\n" * 8000,
}


# --- second stages


def _real_second_stage(size: int) -> bytes:
    """A core image with as many modules as fit."""
    names = sorted(path.stem for path in Path(f"/usr/lib/grub/{TARGET}").glob("*.mod"))
    return second_stages.core_image(
        TARGET, modules=tuple(names[: max(4, len(names) * size // (3 * MEGABYTE))])
    )


def _image() -> bytes:
    return second_stages.core_image(TARGET)


def _overlapping_notes() -> bytes:
    """63 segments that all hold the same megabyte of notes."""
    image = bytearray(_image())
    notes = second_stages.note(5, b"xen-3.0\0") * (MEGABYTE // 28)
    note = second_stages.segment(bytes(image), second_stages.NOTE)
    at = len(image)
    image += notes
    table = len(image)
    headers = [
        struct.pack("<IIQQQQQQ", *second_stages.segment(bytes(image), n).values()) for n in range(3)
    ]
    fields = note | {"offset": at, "filesz": len(notes)}
    headers += [struct.pack("<IIQQQQQQ", *fields.values())] * 60
    image += b"".join(headers)
    return second_stages.with_header(bytes(image), phoff=table, phnum=len(headers))


def _with_objects(raw: bytes) -> bytes:
    """A core image whose module block holds `raw` objects, and nothing else."""
    image = _image()
    mods = second_stages.segment(image, second_stages.LOAD_MODS)
    head = struct.pack("<I4xQQ", 0x676D696D, 24, 24 + len(raw))
    start, end = mods["offset"], mods["offset"] + mods["filesz"]
    note = second_stages.segment(image, second_stages.NOTE)
    size = 24 + len(raw)
    made = image[:start] + head + raw + image[end:]
    made = second_stages.with_segment(made, second_stages.LOAD_MODS, filesz=size, memsz=size)
    return second_stages.with_segment(
        made, second_stages.NOTE, offset=note["offset"] + size - mods["filesz"]
    )


def _object(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack("<II", kind, 8 + len(body)) + body


_ELFS: dict[str, Callable[[], bytes]] = {
    "overlapping notes": _overlapping_notes,
    "notes of no length": lambda: second_stages.with_notes(_image(), bytes(MEGABYTE)),
    "empty objects": lambda: _with_objects(_object(7, b"") * (MEGABYTE // 8)),
    "a configuration of blank lines": lambda: _with_objects(_object(2, b"\n" * MEGABYTE + b"\0")),
    "a configuration of spaces": lambda: _with_objects(
        _object(2, b"search.fs_uuid " * 70_000 + b"\0")
    ),
    "a prefix without an end": lambda: _with_objects(_object(3, b"/" * MEGABYTE)),
    "a memdisk of second stages": lambda: _with_objects(_object(1, b"# pvboot-\n" * 100_000)),
    "a memdisk of one line": lambda: _with_objects(_object(1, b"#pvboot-" * 130_000)),
}


# --- kernels and initrds

_ZEROS = 1 << 28


def _random(size: int) -> bytes:
    """Content that packs about as well as real programs do."""
    source = random.Random(0)  # noqa: S311 - the same every time
    return b"".join(source.randbytes(256) + bytes(768) for _ in range(size // 1024 + 1))[:size]


def _real_kernel(compression: str) -> Callable[[int], bytes]:
    return lambda size: kernels.bzimage(kernels.vmlinux() + _random(3 * size), compression)


def _real_initrd(compression: str) -> Callable[[int], bytes]:
    def make(size: int) -> bytes:
        content = _random(3 * size)
        files = {
            f"usr/lib/modules/6.1.0/kernel/m{n}.ko": content[at : at + 20_000]
            for n, at in enumerate(range(0, 3 * size, 20_000))
        }
        return kernels.pack(kernels.cpio(files), compression)

    return make


def _bomb(compression: str, packed: Callable[[], bytes]) -> Callable[[], bytes]:
    """A kernel around a payload that was packed by hand."""

    def make() -> bytes:
        data = kernels.bzimage(kernels.vmlinux() + bytes(1 << 16), compression)
        (offset,) = struct.unpack_from("<I", data, 0x248)
        payload = packed() + bytes(4)
        whole = data[: 2560 + offset] + payload
        patched = bytearray(whole.ljust(-(-len(whole) // 16) * 16, b"\0"))
        struct.pack_into("<II", patched, 0x248, offset, len(payload))
        struct.pack_into("<I", patched, 0x1F4, (len(patched) - 2560) // 16)
        return bytes(patched)

    return make


def _zeros_behind_a_kernel() -> bytes:
    return kernels.vmlinux() + bytes(_ZEROS)


def _names(count: int, length: int) -> bytes:
    """An archive of empty files with long names."""
    out = bytearray()
    for number in range(count):
        name = f"{number:08}".encode().ljust(length - 1, b"x") + b"\0"
        out += b"070701" + b"%08x" % 0 * 11 + b"%08x" % len(name) + b"%08x" % 0 + name
        out += bytes(-len(out) % 4)
    return bytes(out)


def _lzma_dictionary() -> bytes:
    return (
        b"\x5d"
        + struct.pack("<IQ", 0xFFFFFFFF, 1 << 32)
        + lzma.compress(b"", lzma.FORMAT_ALONE)[13:]
        + bytes(1024)
    )


def _lz4_blocks() -> bytes:
    import lz4.block  # noqa: PLC0415 - Debian's, for `make check`

    block: bytes = lz4.block.compress(b"x", store_size=False)
    return b"\x02\x21\x4c\x18" + (struct.pack("<I", len(block)) + block) * 100_000


def _zstd_blocks() -> bytes:
    return b"\x28\xb5\x2f\xfd\x20\x00" + b"\0\0\0" * 400_000 + b"\1\0\0"


def _lzo_blocks() -> bytes:
    head = kernels.pack(b"x" * 100, "lzo")
    start = 33 + head[33] + 5
    return head[:start] + (struct.pack(">III", 64 << 20, 8, 0) + bytes(8)) * 50_000


_KERNELS: dict[str, Callable[[], bytes]] = {
    "gzip bomb": _bomb("gzip", lambda: gzip.compress(_zeros_behind_a_kernel(), 1)),
    "xz bomb": _bomb("xz", lambda: lzma.compress(_zeros_behind_a_kernel(), preset=0)),
    "bzip2 bomb": _bomb("bzip2", lambda: bz2.compress(kernels.vmlinux() + bytes(1 << 26), 1)),
    "zstd bomb": _bomb("zstd", lambda: kernels.pack(_zeros_behind_a_kernel(), "zstd")),
    "lzma dictionary": _bomb("lzma", _lzma_dictionary),
    "lz4 blocks of a byte": _bomb("lz4", _lz4_blocks),
    "zstd blocks of nothing": _bomb("zstd", _zstd_blocks),
    "lzo blocks that claim 64 MiB": _bomb("lzo", _lzo_blocks),
}
_INITRDS: dict[str, Callable[[], bytes]] = {
    "gzip bomb": lambda: gzip.compress(kernels.cpio({"big": bytes(_ZEROS)}), 1),
    "gzip members of nothing": lambda: gzip.compress(b"") * 60_000,
    "gzip members with an archive": lambda: gzip.compress(kernels.cpio({}), 1) * 15_000,
    "zstd names": lambda: kernels.pack(_names(200_000, 1000), "zstd"),
    "xz names": lambda: lzma.compress(_names(60_000, 4000), preset=0),
    "none names": lambda: _names(10_000, 16),
    "lz4 blocks of a byte": _lz4_blocks,
    "zstd blocks of nothing": _zstd_blocks,
    "lzo blocks that claim 64 MiB": _lzo_blocks,
    "bzip2 bomb": lambda: bz2.compress(kernels.cpio({"big": bytes(1 << 26)}), 1),
    "lzma dictionary": _lzma_dictionary,
    "none archives of nothing": lambda: kernels.cpio({}) * 9000,
    "none zeros between archives": lambda: (kernels.cpio({}) + bytes(4096)) * 250,
}


# --- what they cost


def _cost(attempt: Callable[[bytes], None], data: bytes) -> tuple[float, int]:
    """Seconds of processor time and kilobytes of memory that one attempt takes, in a process of
    its own.
    """
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
        resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
        before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        attempt(data)
        spent, after = (
            time.process_time() - start,
            resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        )
        os.write(write_end, json.dumps([spent, after - before]).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        answer = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not answer:
        raise AssertionError(f"the attempt ended with status {status}")
    seconds, kilobytes = json.loads(answer)
    return float(seconds), int(kilobytes)


def _main(wanted: list[str]) -> None:
    from tests.reliability.fuzz_targets import TARGETS  # noqa: PLC0415 - imports all parsers

    for each in everything():
        if wanted and not any(word in each.name for word in wanted):
            continue
        attempt = TARGETS[each.kind].attempt
        data = each.data()
        real = each.real(len(data))
        attempt(TARGETS[each.kind].seeds()[0])  # what a parser imports is no cost of a file
        row = {"name": each.name, "kind": each.kind, "size": len(data)}
        row["seconds"], row["kilobytes"] = _cost(attempt, data)
        row["real_seconds"], row["real_kilobytes"] = min(_cost(attempt, real) for _ in range(2))
        print(json.dumps(row), flush=True)  # noqa: T201 - a program's answer


if __name__ == "__main__":
    _main(sys.argv[1:])
