# SPDX-License-Identifier: GPL-3.0-or-later
"""States that a guest may be in when a run begins: half a kernel, a menu of another disk."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import kernel_package
from tests.support.chroot_guest import ChrootGuest

MENU = "/boot/grub/grub.cfg"
NEWER = "9.0-amd64"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A state that a guest may be in."""

    name: str
    damage: Callable[[ChrootGuest], object]


def own(guest: ChrootGuest, kind: str) -> Path:
    """A file of the kernel that came with the tree: `vmlinuz` or `initrd.img`."""
    return guest.path(f"/boot/{kind}-{kernel_package.own_release(guest)}")


def edit(guest: ChrootGuest, path: str, change: Callable[[str], str]) -> None:
    text = guest.path(path).read_text()
    changed = change(text)
    assert changed != text
    guest.path(path).write_text(changed)


def stale(guest: ChrootGuest) -> None:
    """Behind the entries that boot there is one of a kernel that is gone: the menu is to be
    made, whatever comes of it.
    """
    end = "### END /etc/grub.d/10_linux ###"
    entry = "menuentry 'gone' {\n\tlinux\t/boot/vmlinuz-0.1 root=/dev/xvda\n}\n"
    edit(guest, MENU, lambda text: text.replace(end, entry + end))


def newer(guest: ChrootGuest, *, kernel: float = 1, initrd: float | None = None) -> None:
    """A newer kernel, of which `kernel` is there, with that part of its initrd, if any."""
    for kind, part in (("vmlinuz", kernel), ("initrd.img", initrd)):
        if part is not None:
            data = own(guest, kind).read_bytes()
            guest.path(f"/boot/{kind}-{NEWER}").write_bytes(data[: int(len(data) * part)])


def half_installed(guest: ChrootGuest) -> None:
    status = "/var/lib/dpkg/status"
    old = "Package: grub-xen-bin\nStatus: install ok installed"
    edit(
        guest,
        status,
        lambda text: text.replace(old, old.replace("ok installed", "reinstreq half-installed")),
    )


def setting(text: str) -> Callable[[ChrootGuest], None]:
    return lambda guest: guest.write("/etc/default/grub.d/99-case.cfg", text)


def script(change: Callable[[str], str]) -> Callable[[ChrootGuest], None]:
    return lambda guest: edit(guest, "/etc/grub.d/10_linux", change)


def each(*damages: Callable[[ChrootGuest], object]) -> Callable[[ChrootGuest], None]:
    def all_of_them(guest: ChrootGuest) -> None:
        for damage in damages:
            damage(guest)

    return all_of_them


def menu(change: Callable[[str], str]) -> Callable[[ChrootGuest], None]:
    return lambda guest: edit(guest, MENU, change)


def broken_default(text: str) -> str:
    """The first entry alone starts a kernel that is not there; the same kernel's other entries
    do as before.
    """
    return text.replace("\tlinux\t/boot/", "\tlinux\t/no-boot/", 1)


def _second_stage(guest: ChrootGuest) -> Path:
    return guest.path("/boot/xen/pvhboot-i386.linux")


def _cut(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


def _other_uuid(text: str) -> str:
    return re.sub(
        r"(search .*--fs-uuid .*)[0-9a-f]{8}-\S+",
        r"\g<1>11111111-2222-4333-8444-555555555555",
        text,
    )


def _by_hand(guest: ChrootGuest) -> None:
    linux, initrd = (f"/boot/{own(guest, kind).name}" for kind in ("vmlinuz", "initrd.img"))
    guest.path(MENU).write_text(
        f"menuentry 'mine' {{\n\tlinux\t{linux}"
        f" root=UUID={guest.disk.root.uuid}\n\tinitrd\t{initrd}\n}}\n"
    )


def prober(script: str) -> Callable[[ChrootGuest], None]:
    """An os-prober that is `script`, found before the guest's own, if it has one."""

    def put(guest: ChrootGuest) -> None:
        where = "/etc/default/prober"
        for name, text in (("os-prober", script), ("linux-boot-prober", LINUX_BOOT_PROBER)):
            guest.write(f"{where}/{name}", f"#!/bin/sh\n{text}\n")
            guest.path(f"{where}/{name}").chmod(0o755)
        setting(f"GRUB_DISABLE_OS_PROBER=false\nPATH={where}:$PATH\n")(guest)

    return put


def full_while_an_initrd_is_made(guest: ChrootGuest) -> None:
    """A newer kernel's first initrd, and the own one's next, by the real update-initramfs: for
    neither is there room.
    """
    newer(guest)
    # At the end of the directory that is put back. What statvfs says is free, btrfs does not give.
    guest.shell(FILL)
    for words in (("-c", "-k", NEWER), ("-u",)):
        guest.run("update-initramfs", *words, check=False)
    assert not guest.path(f"/boot/initrd.img-{NEWER}").exists()


FILL = """size=0
for step in 64 1; do
    while fallocate --offset ${size}MiB --length ${step}MiB /boot/filler 2>/dev/null; do
        size=$((size + step))
    done
done
truncate --size=-4M /boot/filler
"""
"""Leaves 4 MiB, to which also what ext4 keeps for root is taken."""
LINUX_BOOT_PROBER = (
    'echo "$1:$1:Other Linux:/boot/vmlinuz-0.1:/boot/initrd.img-0.1:root=/dev/sdz1 ro"'
)
OTHERS = (
    'device=$(grub-probe --target=device /); echo "$device:Other Linux:Other:linux";'
    ' echo "$device:Chained:Other1:chain"'
)
"""What an os-prober says that takes the guest's own disk for another system's."""
CASES = (
    Case(name="os-prober lists others, menu stale", damage=each(stale, prober(OTHERS))),
    Case(
        name="os-prober lists others, newer without initrd",
        damage=each(newer, stale, prober(OTHERS)),
    ),
    Case(
        name="no room while initrds are made, menu stale",
        damage=each(full_while_an_initrd_is_made, stale),
    ),
    Case(name="os-prober fails, menu stale", damage=each(stale, prober("echo no >&2; exit 1"))),
    Case(name="nothing wrong", damage=lambda _guest: None),
    Case(name="newer kernel without initrd", damage=newer),
    Case(name="newer kernel without initrd, menu stale", damage=each(newer, stale)),
    Case(
        name="newer kernel with half an initrd, menu stale",
        damage=each(lambda g: newer(g, initrd=0.5), stale),
    ),
    Case(
        name="newer kernel with an empty initrd, menu stale",
        damage=each(lambda g: newer(g, initrd=0), stale),
    ),
    Case(
        name="half a newer kernel, menu stale",
        damage=each(lambda g: newer(g, kernel=0.5, initrd=1), stale),
    ),
    Case(
        name="empty newer kernel, menu stale",
        damage=each(lambda g: newer(g, kernel=0, initrd=1), stale),
    ),
    Case(name="newer kernel complete", damage=lambda g: newer(g, initrd=1)),
    Case(
        name="newer kernel without initrd, second stage gone",
        damage=each(newer, lambda g: _second_stage(g).unlink()),
    ),
    Case(
        name="newer kernel without initrd, menu of another disk",
        damage=each(newer, menu(_other_uuid)),
    ),
    Case(
        name="older default named, newer without initrd",
        damage=each(newer, stale, setting('GRUB_DEFAULT="1>2"\n')),
    ),
    Case(
        name="default saved, newer without initrd",
        damage=each(newer, stale, setting("GRUB_DEFAULT=saved\n")),
    ),
    Case(
        name="no recovery, no submenu, newer without initrd",
        damage=each(newer, stale, setting("GRUB_DISABLE_SUBMENU=y\nGRUB_DISABLE_RECOVERY=true\n")),
    ),
    Case(
        name="10_linux lists nothing, menu stale",
        damage=each(stale, script(lambda _text: "#!/bin/sh\n")),
    ),
    Case(
        name="10_linux not executable, menu stale",
        damage=each(stale, lambda g: g.path("/etc/grub.d/10_linux").chmod(0o644)),
    ),
    Case(
        name="10_linux names other paths, menu stale",
        damage=each(stale, script(lambda t: t.replace("${rel_dirname}", "/nowhere"))),
    ),
    Case(
        name="10_linux forgets initrds, menu stale",
        damage=each(stale, script(lambda t: t.replace("initrd=\n", "initrd_real=; initrd=\n"))),
    ),
    Case(
        name="10_linux fails, menu stale",
        damage=each(stale, script(lambda t: t.replace("set -e", "set -e\nexit 5"))),
    ),
    Case(
        name="a quote too few, menu stale",
        damage=each(stale, setting('GRUB_CMDLINE_LINUX="it\'s"\n')),
    ),
    Case(name="own initrd gone", damage=each(stale, lambda g: own(g, "initrd.img").unlink())),
    Case(name="own kernel gone", damage=lambda g: own(g, "vmlinuz").unlink()),
    Case(
        name="own initrd cut off, newer complete",
        damage=each(lambda g: newer(g, initrd=1), lambda g: _cut(own(g, "initrd.img"))),
    ),
    Case(
        name="menu empty, newer without initrd",
        damage=each(newer, lambda g: g.path(MENU).write_bytes(b"")),
    ),
    Case(
        name="menu cut off, newer without initrd", damage=each(newer, lambda g: _cut(g.path(MENU)))
    ),
    Case(name="menu written by hand, newer without initrd", damage=each(newer, _by_hand)),
    Case(name="first entry broken, newer without initrd", damage=each(newer, menu(broken_default))),
    Case(
        name="an entry without its initrd",
        damage=menu(lambda t: re.sub(r"^\tinitrd.*\n", "", t, count=1, flags=re.MULTILINE)),
    ),
    Case(
        name="GRUB half installed, second stage cut off",
        damage=each(half_installed, lambda g: _cut(_second_stage(g))),
    ),
    Case(
        name="GRUB half installed, second stage gone",
        damage=each(half_installed, lambda g: _second_stage(g).unlink()),
    ),
)
