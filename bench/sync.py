"""What a sync costs beside `python3 -c pass` and a bare grub-install, and that one with nothing to do opens nothing for writing.

Runs in a mount namespace of its own, with a file system of its own on /boot, so that the machine's stays as it is.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import measure
from guest_hooks.formats import moddep
from tests.support import images

PYTHON = "/usr/bin/python3"
TARGET = "x86_64-xen"
CHECKOUT = Path(__file__).parent.parent
WRITES = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|^\S*\s*(rename|unlink|mkdir|rmdir|link|symlink|truncate|chmod|chown|utime|mknod)", re.MULTILINE
)
LIBRARY = "/usr/lib/xen-guest-bootloader"
FIRST_LINES = "import sys\nsys.path.insert(0, {checkout!r})\nfrom guest_hooks.cli import main\nsys.exit(main())\n"
"""What Debian's own script for an entry point does."""


def main() -> None:
    """Print a table of ratios and the limits they are held to."""
    with tempfile.TemporaryDirectory(prefix="bench.") as directory:
        top = Path(directory)
        with images.disk(top, "ext4") as disk:
            _prepare(top, disk.top)
            _print(_rows(top))


def _prepare(top: Path, boot: Path) -> None:
    """Put the new file system on /boot, and directories of ours where configuration and state are kept."""
    for path in ("/etc/xen-guest-bootloader", "/var/lib/xen-guest-bootloader"):
        os.makedirs(path, exist_ok=True)
        source = top / path.replace("/", "_")
        source.mkdir()
        images.tool("mount", "--bind", str(source), path)
    images.tool("mount", "--bind", str(boot), "/boot")
    Path("/etc/xen-guest-bootloader/config.toml").write_text(f'targets = ["{TARGET}"]\n')
    subprocess.run([PYTHON, "-m", "compileall", "-q", str(CHECKOUT / "guest_hooks")], check=True)
    script = top / "xen-guest-bootloader"
    script.write_text(f"#!{PYTHON}\n" + FIRST_LINES.format(checkout=str(CHECKOUT)))
    script.chmod(0o755)


def _rows(top: Path) -> list[tuple[str, str, str]]:
    program = str(top / "xen-guest-bootloader")
    dependencies = moddep.parse(Path(f"/usr/lib/grub/{TARGET}/moddep.lst").read_bytes())
    modules = " ".join(sorted(moddep.closure(dependencies, [*moddep.EMBEDDED, "ext2"])))
    subprocess.run([program, "sync"], check=True, stdout=subprocess.DEVNULL)
    nothing = measure.in_turns(
        {"python": [PYTHON, "-c", "pass"], "sync": [program, "sync"], "grub": ["grub-install", f"--target={TARGET}", "--version"]},
        runs=30,
    )
    writes = _writes([program, "sync"])
    whole = measure.in_turns(
        {
            "sync": ["sh", "-c", f"rm -f /boot/xen/pvboot-x86_64.elf && exec {program} sync --force"],
            "repair": ["sh", "-c", f"rm -f /boot/xen/pvboot-x86_64.elf && exec {program} sync"],
            "grub": ["grub-install", f"--target={TARGET}", f"--modules={modules}"],
            "status": [program, "status", "--json", "--color=never"],
        },
        runs=15,
    )
    subprocess.run([program, "sync"], check=True, stdout=subprocess.DEVNULL)
    image = "/boot/xen/pvboot-x86_64.elf"
    large = _large(top)
    hostile = top / "hostile.elf"
    hostile.write_bytes(_hostile(large.read_bytes()))
    looks = measure.in_turns(
        {
            "python": [PYTHON, "-c", "pass"],
            "own": [program, "inspect", image],
            "large": [program, "inspect", str(large)],
            "hostile": [program, "inspect", str(hostile)],
        },
        runs=15,
    )
    passing = measure.in_turns(
        {"bash": ["bash", "-c", "exec /bin/true"], "wrapper": [str(_wrapper(top)), "--target=i386-pc", "/dev/xvda"]}, runs=50
    )
    beyond = passing["wrapper"].milliseconds - passing["bash"].milliseconds
    return [
        ("sync, nothing to do / python3 -c pass", _ratio(nothing, "sync", "python"), "at most 3"),
        ("grub-install / sync, nothing to do", f"{whole['grub'].milliseconds / nothing['sync'].milliseconds:.1f}", "at least 2"),
        ("files opened for writing by a sync with nothing to do (strace)", str(writes), "0"),
        ("sync that builds one target / grub-install, same modules", _ratio(whole, "sync", "grub"), "at most 2"),
        ("sync that puts back a deleted second stage / grub-install", _ratio(whole, "repair", "grub"), "-"),
        (
            "inspect, 2 MB second stage, milliseconds",
            f"{looks['large'].milliseconds:.0f} (python3 -c pass: {looks['python'].milliseconds:.0f})",
            "under 100",
        ),
        ("grub-install for another target: the wrapper beyond bash's start, milliseconds", f"{beyond:.1f}", "under 10"),
        ("inspect, hostile / real one of its size, time", _ratio(looks, "hostile", "large"), "about 1"),
        (
            "inspect, hostile / real one of its size, memory",
            f"{looks['hostile'].mebibytes / looks['large'].mebibytes:.2f}",
            "about 1",
        ),
    ]


def _ratio(figures: dict[str, measure.Figure], one: str, other: str) -> str:
    a, b = figures[one], figures[other]
    return f"{a.milliseconds / b.milliseconds:.2f} ({a.milliseconds:.0f} ms / {b.milliseconds:.0f} ms)"


def _writes(command: list[str]) -> int:
    with tempfile.NamedTemporaryFile() as log:
        subprocess.run(["strace", "-f", "-e", "trace=%file", "-o", log.name, *command], check=True, stdout=subprocess.DEVNULL)
        return len(WRITES.findall(Path(log.name).read_text()))


def _wrapper(top: Path) -> Path:
    """The package's wrapper, before a program that does nothing."""
    text = (CHECKOUT / "scripts/grub-install").read_text()
    wrapper = top / "grub-install"
    wrapper.write_text(text.replace("/usr/sbin/grub-install.distrib", "/bin/true").replace(LIBRARY, str(CHECKOUT / "scripts")))
    wrapper.chmod(0o755)
    return wrapper


def _large(top: Path) -> Path:
    """A second stage with every module there is."""
    names = sorted(path.stem for path in Path(f"/usr/lib/grub/{TARGET}").glob("*.mod"))
    config = top / "load.cfg"
    config.write_text("search.fs_uuid 00000000-0000-0000-0000-000000000000 root\nset prefix=($root)'/boot/grub'\n")
    image = top / "large.elf"
    images.tool("grub-mkimage", "-O", TARGET, "-p", "/boot/grub", "-c", str(config), "-o", str(image), *names)
    return image


def _hostile(data: bytes) -> bytes:
    """The same size, and every module header pointing somewhere else."""
    return data.replace(b"\x7fELF\x02\x01\x01\x00", b"\x7fELF\x02\x01\x01\xff")


def _print(rows: list[tuple[str, str, str]]) -> None:
    for row in [("what", "measured", "limit"), ("---", "---", "---"), *rows]:
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    if os.environ.get("IN_NAMESPACE") != "yes":
        command = ["unshare", "--mount", "--propagation", "private", "--", sys.executable, "-m", "bench.sync"]
        os.execvpe(command[0], command, os.environ | {"IN_NAMESPACE": "yes"})
    main()
