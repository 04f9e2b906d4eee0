# SPDX-License-Identifier: GPL-3.0-or-later
"""What the verbs cost inside the guest, beside `python3 -c pass` and a bare grub-install."""

import re
import shlex
from collections import Counter
from pathlib import Path

from bench.guest import PROGRAM, TARGET, measured
from bench.limits import Measured
from bench.measure import Command, Figure
from guest_hooks.formats import moddep
from tests.support import images
from tests.support.chroot_guest import ChrootGuest

IMAGE = "/boot/xen/pvboot-x86_64.elf"
GRUB_INSTALL = "/usr/sbin/grub-install.distrib"
PYTHON = Command(words=["/usr/bin/python3", "-c", "pass"])
LOG = "/root/strace.log"
WRITES = re.compile(
    r"O_WRONLY|O_RDWR|O_CREAT|^\S*\s*(rename|unlink|mkdir|rmdir|link|symlink|truncate|chmod|chown|utime|mknod)",
    re.MULTILINE,
)
STARTED = re.compile(r'execve\("(?:[^"]*/)?([^"/]+)".* = 0$', re.MULTILINE)
OPENED = re.compile(r"open\w*\(.*\) = \d+<(/(?:boot/grub|boot/xen|usr/lib/grub)/[^>]*)>")
"""A successful open(2) as `strace -y` shows it: with the file's own path, whatever it was
opened by.
"""


def figures(guest: ChrootGuest) -> dict[str, Measured]:
    """The figures of `sync`, `detect`, `inspect` and of the grub-install that the package puts
    before Debian's.
    """
    guest.run(PROGRAM, "sync")
    return _quick(guest) | _whole(guest) | _traced(guest) | _inspect(guest) | _wrapper(guest)


def _quick(guest: ChrootGuest) -> dict[str, Measured]:
    found = measured(
        guest,
        {
            "python": PYTHON,
            "version": Command(words=[PROGRAM, "--version"]),
            "detect": Command(words=[PROGRAM, "detect"]),
            "sync-nothing": Command(words=[PROGRAM, "sync"]),
            "sync-nothing-named": Command(words=[PROGRAM, "sync", f"--target={TARGET}"]),
        },
        runs=30,
    )
    return {name: _ratio(found, name, "python") for name in found if name != "python"}


def _whole(guest: ChrootGuest) -> dict[str, Measured]:
    """Runs that build, each beside a grub-install of the modules that ours embeds."""
    listing = moddep.parse(guest.read(f"/usr/lib/grub/{TARGET}/moddep.lst"))
    modules = " ".join(sorted(moddep.closure(listing, [*moddep.EMBEDDED, "ext2"])))
    sync = [PROGRAM, "sync"]
    device = guest.run("findmnt", "--noheadings", "--output=SOURCE", "/").stdout.strip()
    new_uuid = f"tune2fs -U random $(readlink -f {device})"
    bare = [GRUB_INSTALL, f"--target={TARGET}", f"--modules={modules}"]
    found = measured(
        guest,
        {
            "sync-full": Command(before=f"rm {IMAGE}", words=[*sync, "--force"]),
            "sync-repair": Command(before=f"rm {IMAGE}", words=sync),
            # What grub-install does, too; the menu is update-grub's part, and the next row's.
            "sync-uuid": Command(before=new_uuid, words=[*sync, "--no-update-grub"]),
            "sync-clone": Command(before=new_uuid, words=sync),
            "grub": Command(words=bare),
            "grub-clone": Command(words=["sh", "-c", f"{shlex.join(bare)} && update-grub"]),
        },
        runs=11,
    )
    return {
        **{name: _ratio(found, name, "grub") for name in ("sync-full", "sync-repair", "sync-uuid")},
        "sync-clone": _ratio(found, "sync-clone", "grub-clone"),
    }


def _traced(guest: ChrootGuest) -> dict[str, Measured]:
    """What strace shows of a sync with nothing to do, and of one that does all."""
    guest.run(PROGRAM, "sync")
    guest.run(PROGRAM, "sync")
    writes = len(WRITES.findall(_trace(guest, PROGRAM, "sync")))
    lines = [
        line
        for line in _trace(guest, PROGRAM, "sync", "--force").splitlines()
        if "O_DIRECTORY" not in line
    ]
    opened = Counter(OPENED.findall("\n".join(lines)))
    path, times = opened.most_common(1)[0]
    guest.run("rm", IMAGE)
    guest.run("strace", "-f", "-z", "-e", "trace=execve", "-o", LOG, PROGRAM, "sync")
    started = STARTED.findall(guest.read(LOG).decode(errors="replace"))[1:]
    return {
        "sync-repair-programs": Measured(value=len(started), detail=_counted(started)),
        "sync-nothing-writes": Measured(value=writes),
        "sync-opens": Measured(value=times, detail=path),
    }


def _counted(names: list[str]) -> str:
    return ", ".join(
        f"{name} {times}" if times > 1 else name for name, times in Counter(names).most_common()
    )


def _trace(guest: ChrootGuest, *command: str) -> str:
    guest.run("strace", "-f", "-y", "-s", "256", "-e", "trace=%file", "-o", LOG, *command)
    return guest.read(LOG).decode(errors="replace")


def _inspect(guest: ChrootGuest) -> dict[str, Measured]:
    large, hostile = "/root/large.elf", "/root/hostile.elf"
    _large(guest, large)
    # The same size, and every module's header of another ABI.
    guest.path(hostile).write_bytes(
        guest.read(large).replace(b"\x7fELF\x02\x01\x01\x00", b"\x7fELF\x02\x01\x01\xff")
    )
    commands = {
        "real": Command(words=[PROGRAM, "inspect", large]),
        "hostile": Command(words=[PROGRAM, "inspect", hostile]),
    }
    found = measured(guest, {"python": PYTHON} | commands, runs=15)
    memory = found["hostile"].mebibytes / found["real"].mebibytes
    return {
        "inspect": Measured(
            value=found["real"].milliseconds,
            detail=f"python3 -c pass: {found['python'].milliseconds:.0f} ms",
        ),
        "inspect-hostile-time": _ratio(found, "hostile", "real"),
        "inspect-hostile-memory": Measured(value=memory),
    }


def _large(guest: ChrootGuest, path: str) -> None:
    """A second stage with every module there is."""
    names = sorted(module.stem for module in guest.path(f"/usr/lib/grub/{TARGET}").glob("*.mod"))
    config = Path(guest.work, "load.cfg")
    config.write_text(
        "search.fs_uuid 00000000-0000-0000-0000-000000000000 root\nset prefix=($root)'/boot/grub'\n"
    )
    directory = ("-d", str(guest.path(f"/usr/lib/grub/{TARGET}")))
    options = ("-O", TARGET, "-p", "/boot/grub", "-c", str(config), "-o", str(guest.path(path)))
    images.tool("grub-mkimage", *directory, *options, *names)


def _wrapper(guest: ChrootGuest) -> dict[str, Measured]:
    """What the package's grub-install takes before Debian's begins, where it is not its
    business.
    """
    real = f"{GRUB_INSTALL}.kept"
    guest.shell(f"mv {GRUB_INSTALL} {real} && ln -s /bin/true {GRUB_INSTALL}")
    passing = Command(words=["/usr/sbin/grub-install", "--target=i386-pc", "/dev/xvda"])
    found = measured(
        guest,
        {"bash": Command(words=["/bin/bash", "-c", "exec /bin/true"]), "wrapper": passing},
        runs=50,
    )
    guest.shell(f"mv {real} {GRUB_INSTALL}")
    return {
        "wrapper": Measured(
            value=max(0.0, found["wrapper"].milliseconds - found["bash"].milliseconds)
        )
    }


def _ratio(found: dict[str, Figure], one: str, other: str) -> Measured:
    a, b = found[one].milliseconds, found[other].milliseconds
    return Measured(value=a / b, detail=f"{a:.0f} ms / {b:.0f} ms")
