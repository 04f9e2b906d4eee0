"""What preflight costs on a Debian guest with three kernels: the first time, with a cold page cache, and again.

The guest is a tree on a disk image. What is read of it is remembered, as of a running guest; the verb leaves no trace in an image.
"""

import os
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from tests.support.debian_tree import Suite
from tests.tree.test_preflight import Layout, debian

PYTHON = "/usr/bin/python3"
CHECKOUT = Path(__file__).parent.parent
RUNS = 7
COLD_RUNS = 3
TARGET = "x86_64-xen"
LOOK = """
import sys
from guest_hooks.config import Config
from guest_hooks.machine.root import Root
from guest_hooks.preflight import preflight, text
from guest_hooks.prose import Style
from guest_hooks.status import survey
root, config = Root(sys.argv[1]), Config()
text.preflight_text(preflight(root, config, survey(root, config, targets=sys.argv[2:]).status), Style())
"""
CACHE = "var/lib/xen-guest-bootloader/preflight.json"


def main() -> None:
    """Print a table of times and the limits they are held to."""
    with (
        tempfile.TemporaryDirectory(prefix="bench.") as directory,
        debian(Path(directory), Layout(suite=Suite.BOOKWORM), TARGET) as tree,
    ):
        kernels = sorted(path.name for path in (tree.top / "boot").glob("vmlinuz-*"))
        _package(tree.top, kernels)
        command = [PYTHON, "-c", LOOK, str(tree.top), TARGET]
        _once(command)
        first, again = [], []
        for _ in range(RUNS):
            (tree.top / CACHE).unlink()
            first.append(_once(command))
            again.append(_once(command))
        cold = []
        for _ in range(COLD_RUNS):
            (tree.top / CACHE).unlink()
            _forget(tree.top / "boot", tree.disk.root.image)
            cold.append(_once(command))
    one, two, three = (statistics.median(times) for times in (first, again, cold))
    print(f"kernels: {', '.join(kernels)}; {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    print(f"preflight, first run, warm page cache: {one * 1000:.0f} ms (best {min(first) * 1000:.0f}; under 1500)")
    print(f"preflight, first run, /boot not in the page cache: {three * 1000:.0f} ms (best {min(cold) * 1000:.0f})")
    print(f"preflight again, nothing changed: {two * 1000:.0f} ms (best {min(again) * 1000:.0f})")
    print(f"again / first: {two / one:.2f} (at most 0.33)")


def _package(top: Path, kernels: list[str]) -> None:
    """Have dpkg know the copies of Debian's kernel as it knows the kernels of three packages."""
    (sums,) = (path for path in top.glob("var/lib/dpkg/info/linux-image-*.md5sums") if "vmlinuz" in path.read_text())
    digest, _ = next(line.split("  boot/vmlinuz") for line in sums.read_text().splitlines() if "vmlinuz" in line)
    sums.write_text(sums.read_text() + "".join(f"{digest}  boot/{name}\n" for name in kernels))


def _once(command: list[str]) -> float:
    start = time.monotonic()
    subprocess.run(command, check=True, cwd=CHECKOUT)
    return time.monotonic() - start


def _forget(*tops: Path) -> None:
    """Drop these files, and those below, from the page cache."""
    for top in tops:
        for path in [top, *top.rglob("*")] if top.is_dir() else [top]:
            if path.is_file():
                fd = os.open(path, os.O_RDONLY)
                os.fsync(fd)
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(fd)


if __name__ == "__main__":
    main()
