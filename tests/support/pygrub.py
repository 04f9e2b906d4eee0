# SPDX-License-Identifier: GPL-3.0-or-later
"""The real pygrub, of Debian's xen-utils: what it makes of a menu in a file system's image. It
needs no Xen for that.

As a program, inside pygrub's own process: `pygrub.py PYGRUB IMAGE...` prints one JSON object for
each image.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[2]
XEN_VERSIONS = {"bookworm": "4.17", "trixie": "4.20"}
FETCH_TIMEOUT = 600


def chosen(menus: Sequence[Mapping[str, str]], directory: Path) -> list[dict[str, Any]]:
    """For each of `menus` (file names and texts): `kernel`, `ramdisk`, `args` of what pygrub
    starts, or its `error`.
    """
    images = []
    for number, files in enumerate(menus):
        tree = directory / f"tree-{number}"
        for name, text in files.items():
            (tree / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
            (tree / name.lstrip("/")).write_text(text)
        images.append(directory / f"image-{number}")
        subprocess.run(
            ["mke2fs", "-q", "-t", "ext2", "-d", tree, images[-1], "1M"],
            check=True,
            timeout=60,
            capture_output=True,
        )
    top = _fetched()
    (xen,) = top.glob("usr/lib/xen-[0-9]*")
    libraries = xen / "lib/x86_64-linux-gnu"
    done = subprocess.run(
        ["/usr/bin/python3", __file__, str(xen / "bin/pygrub"), *map(str, images)],
        env={
            "LD_LIBRARY_PATH": f"{libraries}:{top / 'usr/lib/x86_64-linux-gnu'}",
            "XEN_FSIMAGE_FSDIR": str(libraries / "xenfsimage"),
            "PATH": os.environ["PATH"],
        },
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def _fetched() -> Path:
    """xen-utils of this machine's release, unpacked; fetched where it is not cached."""
    lines = Path("/etc/os-release").read_text().splitlines()
    suite = next(line.partition("=")[2] for line in lines if line.startswith("VERSION_CODENAME="))
    cache = CHECKOUT / ".cache" / "pygrub"
    cache.mkdir(parents=True, exist_ok=True)
    tree = cache / suite
    with (cache / f".{suite}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            partial = cache / f"{suite}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            packages = ",".join(
                f"{name}{XEN_VERSIONS[suite]}" for name in ("xen-utils-", "libxenmisc")
            )
            command = [
                "mmdebstrap",
                "--quiet",
                "--variant=extract",
                f"--include={packages}",
                suite,
                str(partial),
            ]
            subprocess.run(command, check=True, timeout=FETCH_TIMEOUT)
            partial.rename(tree)
    return tree


def _main(program: str, images: Sequence[str]) -> None:
    """Call what pygrub calls, in its order: open the file system, read its menu, choose without
    a person.
    """
    from importlib.machinery import SourceFileLoader  # noqa: PLC0415 - of the program alone
    from importlib.util import module_from_spec, spec_from_loader  # noqa: PLC0415

    sys.path[0] = os.path.dirname(program)
    loader = SourceFileLoader("pygrub", program)
    spec = spec_from_loader("pygrub", loader)
    assert spec is not None
    pygrub = module_from_spec(spec)
    loader.exec_module(pygrub)
    pygrub.__dict__.update(interactive=False, list_entries=False)
    answer: dict[str, Any]
    for image in images:
        try:
            system = pygrub.xenfsimage.open(image, 0, "")
            answer = pygrub.run_grub(image, None, system, "")
        except Exception as error:  # noqa: BLE001 - as pygrub itself does
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer))  # noqa: T201 - a program's answer


if __name__ == "__main__":
    _main(sys.argv[1], sys.argv[2:])
