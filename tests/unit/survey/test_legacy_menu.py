# SPDX-License-Identifier: GPL-3.0-or-later
"""The menu.lst for hosts whose stage 1 is GRUB Legacy."""

from pathlib import Path

import pytest

from guest_hooks.config import Config
from guest_hooks.machine import legacy_drives
from guest_hooks.machine.root import Root
from guest_hooks.machine.settling import Settling
from guest_hooks.model import BootFilesystem, Guest, Mode, Severity
from guest_hooks.paths import MENU_LST
from guest_hooks.survey import legacy_menu, plan
from guest_hooks.survey.plan import Plan, Wanted
from guest_hooks.sync import menu_files
from guest_hooks.targets import named

ON = Config(legacy_menu=True)
GUEST = Guest(mode=Mode.PV, bits=64)


def _boot(device: str, grub_dir: str = "/boot/grub", drive: str = "") -> BootFilesystem:
    return BootFilesystem(
        mountpoint="/", device=device, fs_type="ext4", fs_uuid="u", grub_dir=grub_dir, drive=drive
    )


def _plans(boot: BootFilesystem, *names: str) -> tuple[Plan, ...]:
    return tuple(
        plan.make(Wanted(target=named(name), required=True), GUEST, ON, boot, {}) for name in names
    )


@pytest.fixture
def root(tmp_path: Path) -> Root:
    (tmp_path / "boot/grub").mkdir(parents=True)
    return Root(str(tmp_path))


@pytest.mark.parametrize(
    ("device", "grub_dir", "kernel"),
    [
        pytest.param(
            "/dev/xvda", "/boot/grub", "(hd0)/boot/xen/pvboot-x86_64.elf", id="whole-disk"
        ),
        pytest.param(
            "/dev/xvda1", "/boot/grub", "(hd0,0)/boot/xen/pvboot-x86_64.elf", id="first-partition"
        ),
        pytest.param(
            "/dev/xvdb3", "/grub", "(hd1,2)/xen/pvboot-x86_64.elf", id="own-boot-on-the-second-disk"
        ),
        pytest.param(
            "/dev/loop3p1", "/boot/grub", "(hd0,0)/boot/xen/pvboot-x86_64.elf", id="image"
        ),
    ],
)
def test_the_menu_starts_the_second_stage(
    root: Root, device: str, grub_dir: str, kernel: str
) -> None:
    boot = _boot(device, grub_dir)
    plans = _plans(boot, "x86_64-xen")
    found = legacy_menu.problem(root, ON, boot, plans)
    assert found is not None
    assert found.severity is Severity.ERROR
    (change,) = menu_files.replace_menu_lst(root, boot, plans, Settling(root))
    assert change.before == ""
    assert f"\nkernel {kernel}\n" in root.read(MENU_LST).decode()
    assert legacy_menu.problem(root, ON, boot, plans) is None


@pytest.mark.parametrize(
    ("device", "fstab", "drive"),
    [
        pytest.param(
            "/dev/loop4", "/dev/xvda2 / ext4\n/dev/xvda1 none swap\n", "(hd1)", id="xen-tools"
        ),
        pytest.param("/dev/loop4", "/dev/xvda1 / ext4\n", "(hd0)", id="lone-whole-disk"),
        pytest.param(
            "/dev/loop4", "/dev/xvdb1 /boot ext4\n/dev/xvda1 / ext4\n", "(hd1)", id="own-boot"
        ),
        pytest.param("/dev/loop4p1", "UUID=1 / ext4\n", "(hd0,0)", id="no-name-in-fstab"),
    ],
)
def test_an_images_disk_is_what_its_fstab_calls_it(
    root: Root, tmp_path: Path, device: str, fstab: str, drive: str
) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/fstab").write_text(fstab)
    assert legacy_drives.drive(root, _boot(device)) == drive


@pytest.mark.parametrize(
    ("device", "disks", "drive"),
    [
        pytest.param("/dev/xvda2", ["xvda1", "xvda2"], "(hd1)", id="two-whole-disks"),
        pytest.param("/dev/xvda1", ["xvda"], "(hd0,0)", id="partition"),
        pytest.param("/dev/xvdc", ["xvda", "xvdc"], "(hd1)", id="letters-do-not-count"),
    ],
)
def test_a_running_guests_disks_are_those_of_the_kernel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, disks: list[str], drive: str
) -> None:
    for name in (*disks, "loop0"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(legacy_drives, "BLOCK", str(tmp_path))
    assert legacy_drives.drive(Root("/"), _boot(device)) == drive


def test_an_admins_menu_is_left_alone(root: Root, tmp_path: Path) -> None:
    (tmp_path / "boot/grub/menu.lst").write_text("title mine\n")
    boot = _boot("/dev/xvda1")
    found = legacy_menu.problem(root, ON, boot, _plans(boot, "x86_64-xen"))
    assert found is not None
    assert found.severity is Severity.WARNING
    assert "(hd0,0)/boot/xen/pvboot-x86_64.elf" in found.hint


@pytest.mark.parametrize(
    ("config", "targets"),
    [
        pytest.param(Config(), ("x86_64-xen",), id="not-asked-for"),
        pytest.param(ON, ("i386-xen_pvh",), id="no-pv-target"),
    ],
)
def test_it_is_not_made_where_nobody_reads_it(
    root: Root, config: Config, targets: tuple[str, ...]
) -> None:
    boot = _boot("/dev/xvda1")
    assert legacy_menu.problem(root, config, boot, _plans(boot, *targets)) is None


@pytest.mark.parametrize(
    "boot",
    [
        pytest.param(_boot("/dev/mapper/vg-boot", drive="(lvmid/a/b)"), id="lvm"),
        pytest.param(_boot("/dev/nvme0n1p1"), id="no-disk-of-a-xen-guest"),
    ],
)
def test_a_device_that_grub_legacy_has_no_name_for_is_a_warning(
    root: Root, boot: BootFilesystem
) -> None:
    found = legacy_menu.problem(root, ON, boot, _plans(boot, "x86_64-xen"))
    assert found is not None
    assert found.severity is Severity.WARNING
