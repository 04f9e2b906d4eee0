# SPDX-License-Identifier: GPL-3.0-or-later
"""What the Xen lab boots, built once from Debian's packages: the hypervisor, dom0's kernel and
initramfs, the stage-1 images.

dom0 is an initramfs: `xl` and its daemons, busybox, and the few modules they need, picked out of an
extracted mmdebstrap tree.
"""

import glob
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.support import apt_proxy

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "xen-lab"
INIT = Path(__file__).with_name("xen_dom0_init.sh")

PACKAGES = (
    "base-files",
    "xen-utils-{xen}",
    "xen-hypervisor-{xen}-amd64",
    "grub-xen-host",
    "linux-image-amd64",
    "busybox-static",
    "xenstore-utils",
    "kmod",
)
XEN_VERSIONS = {"bookworm": "4.17", "trixie": "4.20"}
PROGRAMS = (
    "xl",
    "xenstored",
    "xenconsoled",
    "xen-init-dom0",
    "xenconsole",
    "xenstore-read",
    "xenstore-write",
    "modprobe",
)
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "xen-blkback",
    "xen-evtchn",
    "xen-gntdev",
    "xen-gntalloc",
    "xen-privcmd",
    "xenfs",
)
STAGE1_DIR = "usr/lib/grub-xen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dom0:
    """The files QEMU starts, and where Debian's stage-1 images are on this machine."""

    hypervisor: Path
    kernel: Path
    initramfs: Path
    stage1_dir: Path

    def stage1(self, target: str) -> Path:
        """Debian's stage-1 image for GRUB's `target`."""
        return self.stage1_dir / f"grub-{target}.bin"


def prepare(suite: str = "bookworm") -> Dom0:
    """The lab's files for `suite`, from the cache or built (15 s and some downloads)."""
    recipe = (
        repr((PACKAGES, XEN_VERSIONS[suite], PROGRAMS, MODULES)).encode()
        + INIT.read_bytes()
        + Path(__file__).read_bytes()
    )
    made = CACHE / f"{suite}-{hashlib.sha256(recipe).hexdigest()[:12]}"
    if not made.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        for old in CACHE.glob(f"{suite}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=CACHE) as work:
            _build(suite, Path(work))
            (Path(work) / "out").rename(made)
    return Dom0(
        hypervisor=made / "xen",
        kernel=made / "vmlinuz",
        initramfs=made / "dom0.cpio",
        stage1_dir=made / "stage1",
    )


def _build(suite: str, work: Path) -> None:
    tree, out = work / "tree", work / "out"
    out.mkdir()
    include = ",".join(PACKAGES).format(xen=XEN_VERSIONS[suite])
    _run("mmdebstrap", "--quiet", "--variant=extract", f"--include={include}", suite, tree)
    with gzip.open(_only(tree, f"boot/xen-{XEN_VERSIONS[suite]}-amd64.gz")) as packed:
        (out / "xen").write_bytes(packed.read())
    shutil.copy(_only(tree, "boot/vmlinuz-*"), out / "vmlinuz")
    shutil.copytree(tree / STAGE1_DIR, out / "stage1")
    initramfs = work / "initramfs"
    _fill(tree, initramfs)
    names = _run("find", ".", cwd=initramfs)
    (out / "dom0.cpio").write_bytes(
        _run("cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0", cwd=initramfs, stdin=names)
    )


def _fill(tree: Path, initramfs: Path) -> None:
    """Lay out dom0: the programs with their libraries, the modules with theirs, one init."""
    for directory in (
        "bin",
        "dev",
        "etc",
        "proc",
        "run",
        "sys",
        "tmp",
        "var/log/xen/console",
        "var/run/xen",
        "var/lib/xen",
        "scenario",
    ):
        (initramfs / directory).mkdir(parents=True)
    shutil.copy(_only(tree, "bin/busybox", "usr/bin/busybox"), initramfs / "bin/busybox")
    programs = {name: _program(tree, name) for name in PROGRAMS}
    helper = _only(tree, "usr/lib/xen-*/bin/libxl-save-helper")
    for name, program in programs.items():
        shutil.copy(program, initramfs / "bin" / name)
    # libxl starts its helpers, and xl its console client, from the directory they were built for.
    home = initramfs / helper.relative_to(tree).parent
    home.mkdir(parents=True, exist_ok=True)
    for name in ("xenconsole", "libxl-save-helper"):
        shutil.copy(helper.with_name(name), home / name)
    for library in _libraries(tree, [*programs.values(), helper]):
        place = initramfs / library.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_inside(tree, library), place)
    # glibc loads it by name, when a thread of xl is cancelled.
    unwinder = _only(
        tree, "lib/x86_64-linux-gnu/libgcc_s.so.1", "usr/lib/x86_64-linux-gnu/libgcc_s.so.1"
    )
    shutil.copy(unwinder, initramfs / "lib/x86_64-linux-gnu/libgcc_s.so.1")
    _copy_modules(tree, initramfs)
    shutil.copy(INIT, initramfs / "init")
    (initramfs / "init").chmod(0o755)


def _copy_modules(tree: Path, initramfs: Path) -> None:
    release = _only(tree, "lib/modules/*", "usr/lib/modules/*")
    base = release.parents[2] if release.is_relative_to(tree / "usr") else tree
    _run("depmod", "-b", base, release.name)
    wanted: dict[str, None] = {}
    for module in MODULES:
        listing = _run(
            "modprobe", "-d", base, "-S", release.name, "--show-depends", module
        ).decode()
        wanted |= dict.fromkeys(re.findall(r"^insmod (\S+)", listing, re.MULTILINE))
    target = initramfs / "lib/modules" / release.name
    for path in wanted:
        place = target / Path(path).relative_to(release)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    for name in ("modules.builtin", "modules.order", "modules.builtin.modinfo"):
        shutil.copy(release / name, target / name)
    _run("depmod", "-b", initramfs, release.name)


def _libraries(tree: Path, programs: list[Path]) -> list[str]:
    """Every shared library of `programs`, as paths inside the tree."""
    found: set[str] = set()
    for program in programs:
        listing = _run(
            "chroot", tree, "/lib64/ld-linux-x86-64.so.2", "--list", f"/{program.relative_to(tree)}"
        ).decode()
        found |= set(re.findall(r"(/\S+) \(0x", listing))
    return sorted(found)


def _program(tree: Path, name: str) -> Path:
    return _only(
        tree,
        f"usr/lib/xen-*/bin/{name}",
        f"usr/sbin/{name}",
        f"usr/bin/{name}",
        f"sbin/{name}",
        f"bin/{name}",
    )


def _only(tree: Path, *patterns: str) -> Path:
    for pattern in patterns:
        found = sorted(glob.glob(str(tree / pattern)))
        if found:
            return _inside(
                tree, "/" + os.path.relpath(found[-1], tree), follow=os.path.islink(found[-1])
            )
    raise FileNotFoundError(f"none of {patterns} in {tree}")


def _inside(tree: Path, path: str, *, follow: bool = True) -> Path:
    """`path` of the tree on this machine; an absolute link of the tree stays inside it."""
    place = tree / path.lstrip("/")
    while follow and place.is_symlink():
        target = os.readlink(place)
        place = tree / target.lstrip("/") if target.startswith("/") else place.parent / target
    return place


def _run(*command: object, cwd: Path | None = None, stdin: bytes = b"") -> bytes:
    words = [str(word) for word in command]
    env = apt_proxy.environment()
    done = subprocess.run(
        words, cwd=cwd, input=stdin, capture_output=True, timeout=600, check=False, env=env
    )
    assert done.returncode == 0, (
        f"{words[:4]}: exit {done.returncode}: {done.stderr.decode(errors='replace')[-2000:]}"
    )
    return done.stdout
