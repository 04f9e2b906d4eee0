# SPDX-License-Identifier: GPL-3.0-or-later
"""What the started kernel meets: the root file system, fstab, the console."""

from dataclasses import replace
from pathlib import Path

import pytest

from guest_hooks.model import Severity
from guest_hooks.preflight.result import Certainty
from tests.support.boot_damage import (
    OTHER_UUID,
    PVH,
    SECOND,
    Damage,
    arguments,
    beside,
    both,
    btrfs_root,
    by_dracut,
    consoles,
    default_target,
    fstab,
    image,
    other_root_in_fstab,
    set_root,
    twice,
    unit,
    with_sysvinit,
    write,
)
from tests.support.boot_tree import OWN, UUID, BootTree
from tests.support.damage_case import Case, check

SHELL = "Dropping to a shell!"


def in_an_image(damage: Damage) -> Damage:
    """The same guest, whose root has its UUID, looked at from outside."""

    def done(tree: BootTree) -> None:
        damage(tree)
        set_root(f"root=UUID={UUID}")(tree)
        tree.devices = ()

    return done


WARNING, LIKELY = Severity.WARNING, Certainty.LIKELY
CASES = [
    Case(
        "root-gone",
        set_root(f"root=UUID={OTHER_UUID}"),
        "root-missing",
        "does not exist.  Dropping to a shell!",
    ),
    Case("root-by-a-disk-of-another-name", set_root("root=/dev/sda1"), "root-missing", SHELL),
    Case("root-on-the-builder-s-disk", set_root("root=/dev/loop15"), "root-of-builder", SHELL),
    Case(
        "root-on-the-builder-s-partition",
        set_root("root=/dev/mapper/loop3p1"),
        "root-of-builder",
        SHELL,
    ),
    Case(
        "root-of-virtio-in-an-image",
        image(set_root("root=/dev/vda1")),
        "root-of-another-bus",
        "ALERT!  /dev/vda1 does not exist.  Dropping to a shell!",
        certainty=LIKELY,
    ),
    Case(
        "root-of-nvme-in-an-image-pvh",
        image(set_root("root=/dev/nvme0n1p2")),
        "root-of-another-bus",
        SHELL,
        mode=PVH,
        certainty=LIKELY,
    ),
    Case(
        "root-by-virtio-s-name-in-an-image",
        image(set_root("root=/dev/disk/by-id/virtio-disk0-part1")),
        "root-of-another-bus",
        SHELL,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-virtio",
        fstab("/dev/vdb1 /srv ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-virtio-in-an-image",
        image(fstab("/dev/vdb1 /srv ext4 defaults 0 2")),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-disk-that-is-gone",
        fstab(f"UUID={OTHER_UUID} /home ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-label-that-is-gone",
        fstab("LABEL=data /data xfs defaults 0 0"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-volume-that-is-gone",
        fstab("/dev/vg0/data /data ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-without-systemd",
        with_sysvinit(fstab(f"UUID={OTHER_UUID} /home ext4 defaults 0 2")),
        "fstab-disk-missing",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-another-root",
        other_root_in_fstab,
        "fstab-root-missing",
        "systemd-remount-fs",
        boots=True,
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-swap-that-is-gone",
        fstab("/dev/xvda9 none swap sw 0 0"),
        "fstab-swap-missing",
        "Timed out waiting for device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "console-of-a-cloud-image",
        consoles("console=tty0 console=ttyS0,115200"),
        "console-elsewhere",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "console-of-a-screen-pvh",
        consoles("console=hvc0 console=tty0"),
        "console-elsewhere",
        mode=PVH,
        boots=True,
        severity=WARNING,
    ),
    Case(
        "resume-of-virtio-on-the-command-line",
        arguments("resume=/dev/vda5"),
        "resume-missing",
        "Gave up waiting for suspend/resume device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "resume-of-a-disk-that-is-gone",
        write("etc/initramfs-tools/conf.d/resume", f"RESUME=UUID={OTHER_UUID}\n".encode()),
        "resume-missing",
        "Gave up waiting for suspend/resume device",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case("root-label-gone", set_root("root=LABEL=old"), "root-missing", SHELL),
    Case("root-partuuid-gone", set_root("root=PARTUUID=5a4f3c1e-02"), "root-missing", SHELL),
    Case("root-not-named", set_root("quiet"), "root-none", "No root device specified"),
    Case("root-twice", twice, "root-twice", certainty=LIKELY),
    *(
        Case(f"root-by-a-{name}-of-two", beside(twin, value), "root-twice", certainty=LIKELY)
        for name, twin, value in (
            ("label", replace(SECOND, label="root"), "LABEL=root"),
            ("partition", replace(SECOND, part_uuid=OWN.part_uuid), f"PARTUUID={OWN.part_uuid}"),
            ("partition-label", replace(SECOND, part_label="primary"), "PARTLABEL=primary"),
        )
    ),
    Case(
        "root-without-dev",
        set_root("root=xvda1"),
        "root-not-a-path",
        "Failed to mount xvda1 as root file system.",
    ),
    Case(
        "root-without-dev-in-an-image",
        image(set_root("root=xvda1")),
        "root-not-a-path",
        "Failed to mount xvda1 as root file system.",
    ),
    Case(
        "root-without-dev-by-dracut",
        both(by_dracut(), set_root("root=xvda1")),
        "root-not-a-path",
        "Don't know how to handle 'root=xvda1'",
    ),
    Case(
        "root-by-virtio-s-name-in-a-guest",
        set_root("root=/dev/disk/by-id/virtio-disk0-part1"),
        "root-of-another-bus",
        SHELL,
        certainty=LIKELY,
    ),
    Case("root-is-a-divided-disk", set_root("root=/dev/xvda"), "root-no-file-system", SHELL),
    Case(
        "root-is-swap",
        beside(replace(SECOND, fs_type="swap"), "/dev/xvdb"),
        "root-no-file-system",
        "Failed to mount /dev/xvdb as root file system.",
    ),
    Case(
        "root-is-another-disk",
        beside(SECOND, "/dev/xvdb"),
        "root-without-system",
        "Target filesystem doesn't have requested /sbin/init.",
        certainty=LIKELY,
    ),
    *(
        Case(
            f"root-on-a-subvolume-that-is-gone-{name}",
            before(btrfs_root("compress=zstd,subvol=@old", "/@rootfs/")),
            "root-subvolume-missing",
            "Failed to mount /dev/xvda1 as root file system.",
        )
        for name, before in (("", lambda damage: damage), ("in-an-image", in_an_image))
    ),
    Case(
        "init-may-not-be-started",
        lambda tree: (tree.top / "usr/lib/systemd/systemd").chmod(0o644),
        "root-without-init",
        "Target filesystem doesn't have requested /sbin/init.",
    ),
    Case(
        "the-default-target-is-rescue",
        default_target("rescue.target"),
        "boot-ends-in-shell",
        "You are in rescue mode.",
    ),
    Case(
        "the-default-target-is-gone",
        both(unit("multi-user.target"), default_target("gone.target")),
        "boot-ends-in-shell",
        "You are in rescue mode.",
    ),
    Case(
        "a-target-that-is-no-unit",
        both(unit("multi-user.target"), arguments("systemd.unit=multiuser.target")),
        "boot-ends-in-shell",
        "You are in rescue mode.",
    ),
    Case("root-by-a-small-tag", set_root(f"root=uuid={UUID}"), "root-missing", SHELL),
    Case("a-shell-in-the-initrd", arguments("rdinit=/bin/sh"), "boot-ends-in-shell"),
    Case(
        "init-is-empty",
        lambda tree: (tree.top / "usr/lib/systemd/systemd").write_bytes(b""),
        "root-without-init",
        "Attempted to kill init!",
    ),
    *(
        Case(f"root-in-other-letters-{number}", set_root(f"root={name}"), "root-missing", SHELL)
        for number, name in enumerate(
            (
                f"UUID={UUID.upper()}",
                f"PARTUUID={OWN.part_uuid.upper()}",
                f"/dev/disk/by-uuid/{UUID.upper()}",
                "LABEL=ROOT",
            )
        )
    ),
    Case(
        "root-of-another-type",
        arguments("rootfstype=xfs,btrfs"),
        "root-type-differs",
        "Failed to mount /dev/xvda1 as root file system.",
    ),
    Case(
        "root-of-an-older-type",
        arguments("rootfstype=ext3"),
        "root-type-differs",
        "Failed to mount /dev/xvda1 as root file system.",
    ),
    Case(
        "no-init",
        lambda tree: tree.remove("sbin/init"),
        "root-without-init",
        "Target filesystem doesn't have requested /sbin/init.",
    ),
    Case(
        "fstab-of-another-type",
        both(
            beside(replace(SECOND, fs_type="xfs"), "/dev/xvda1"),
            fstab(f"UUID={OTHER_UUID} /srv ext4 defaults 0 2"),
        ),
        "fstab-type-differs",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-of-a-link-of-udev-s-that-is-gone",
        both(
            beside(replace(SECOND, names=("/dev/disk/by-diskseq/2",)), "/dev/xvda1"),
            fstab("/dev/disk/by-diskseq/9 /srv ext4 defaults 0 2"),
        ),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-in-other-letters",
        fstab(f"UUID={UUID.upper()} /data ext4 defaults 0 2"),
        "fstab-disk-missing",
        "emergency mode",
        certainty=LIKELY,
    ),
    Case(
        "fstab-takes-nofail-back",
        fstab(f"UUID={OTHER_UUID} /data ext4 nofail,fail 0 2"),
        "fstab-disk-missing",
        certainty=LIKELY,
    ),
    *(
        Case(
            f"usr-missing-{options}",
            fstab(f"UUID={OTHER_UUID} /usr ext4 {options} 0 2"),
            "fstab-usr-missing",
            f"ALERT!  UUID={OTHER_UUID} does not exist.  Dropping to a shell!",
            certainty=LIKELY,
        )
        for options in ("defaults", "nofail", "noauto")
    ),
    Case(
        "usr-missing-and-an-initrd-of-dracut",
        both(by_dracut(), fstab(f"UUID={OTHER_UUID} /usr ext4 defaults 0 2")),
        "fstab-disk-missing",
        certainty=LIKELY,
    ),
    *(
        Case(f"ends-in-a-shell-by-{words}", arguments(words), "boot-ends-in-shell", console)
        for words, console in (
            ("break=premount", "Spawning shell within the initramfs"),
            ("init=/bin/bash", ""),
            ("single", "You are in rescue mode"),
            ("S", "You are in rescue mode"),
            ("3 systemd.unit=emergency.target", "You are in emergency mode"),
        )
    ),
    Case("ends-in-dracut-s-shell", both(by_dracut(), arguments("rd.break")), "boot-ends-in-shell"),
    Case(
        "resume-by-initramfs.conf",
        write("etc/initramfs-tools/initramfs.conf", b"MODULES=most\nRESUME=/dev/vda5\n"),
        "resume-missing",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "console-that-shows-nothing",
        consoles("console=hvc0 console="),
        "console-elsewhere",
        boots=True,
        severity=WARNING,
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    check(case, tmp_path)
