# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guest this is, from fake /sys and /proc trees."""

import ctypes
import os
from pathlib import Path

import pytest

from guest_hooks.machine import guest
from guest_hooks.machine.root import Root
from guest_hooks.model import Mode

XEN = {"sys/hypervisor/type": "xen\n"}
DOMU_PV_FEATURES = "00002705\n"
DOMU_HVM_FEATURES = "00000704\n"
DOM0_FEATURES = "00002f05\n"
FEATURES = "sys/hypervisor/properties/features"
GUEST_TYPE = "sys/hypervisor/guest_type"
CAPABILITIES = "proc/xen/capabilities"
PRODUCT = "sys/class/dmi/id/product_name"
UNREADABLE = "\0unreadable"  # a link to itself: reading it fails, for root, too


def tree(top: Path, files: dict[str, str]) -> Root:
    for name, text in files.items():
        path = top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text == UNREADABLE:
            path.symlink_to(path.name)
        else:
            path.write_text(text)
    return Root(str(top))


@pytest.mark.parametrize(
    ("files", "machine", "mode", "said"),
    [
        pytest.param({}, "x86_64", Mode.NONE, "/sys/hypervisor/type: missing", id="no-xen"),
        pytest.param(
            {PRODUCT: "Standard PC"}, "x86_64", Mode.NONE, f"/{PRODUCT}: Standard PC", id="kvm"
        ),
        pytest.param(
            {"sys/hypervisor/type": "z/VM\n"},
            "s390x",
            Mode.NONE,
            "/sys/hypervisor/type: z/VM",
            id="another-hypervisor",
        ),
        pytest.param(XEN | {GUEST_TYPE: "PV\n"}, "x86_64", Mode.PV, f"/{GUEST_TYPE}: PV", id="pv"),
        pytest.param(
            {GUEST_TYPE: "PV\n"}, "x86_64", Mode.PV, f"/{GUEST_TYPE}: PV", id="guest-type-alone"
        ),
        pytest.param(XEN | {GUEST_TYPE: "PV\n"}, "i686", Mode.PV, f"/{GUEST_TYPE}: PV", id="pv-32"),
        pytest.param(
            XEN | {GUEST_TYPE: "PVH\n"}, "x86_64", Mode.PVH, f"/{GUEST_TYPE}: PVH", id="pvh"
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "HVM\n"}, "x86_64", Mode.HVM, f"/{GUEST_TYPE}: HVM", id="hvm"
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PV\n", FEATURES: DOM0_FEATURES},
            "x86_64",
            Mode.DOM0,
            f"/{FEATURES}: 00002f05",
            id="dom0-by-features",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PVH\n", FEATURES: DOMU_HVM_FEATURES, CAPABILITIES: "control_d\n"},
            "x86_64",
            Mode.DOM0,
            f"/{CAPABILITIES}: control_d",
            id="pvh-dom0-by-capabilities",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PV\n", FEATURES: DOMU_PV_FEATURES, CAPABILITIES: ""},
            "x86_64",
            Mode.PV,
            f"/{CAPABILITIES}: empty",
            id="domu-with-xenfs",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "Xen\n"}, "aarch64", Mode.ARM, f"/{GUEST_TYPE}: Xen", id="arm64"
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "Xen\n"},
            "x86_64",
            Mode.ARM,
            f"/{GUEST_TYPE}: Xen",
            id="arm64-image-on-x86",
        ),
        pytest.param(XEN, "armv7l", Mode.ARM, "uname: armv7l", id="arm-without-guest-type"),
        pytest.param(
            {}, "aarch64", Mode.NONE, "/sys/hypervisor/type: missing", id="arm-without-xen"
        ),
        pytest.param(
            XEN | {FEATURES: DOMU_PV_FEATURES.replace("5", "1")},
            "x86_64",
            Mode.PV,
            f"/{FEATURES}: 00002701",
            id="old-pv",
        ),
        pytest.param(
            XEN | {FEATURES: DOMU_HVM_FEATURES, PRODUCT: "HVM domU\n"},
            "x86_64",
            Mode.HVM,
            f"/{PRODUCT}: HVM domU",
            id="old-hvm",
        ),
        pytest.param(
            {PRODUCT: "HVM domU\n"},
            "x86_64",
            Mode.HVM,
            f"/{PRODUCT}: HVM domU",
            id="hvm-without-sysfs",
        ),
        pytest.param(
            XEN | {FEATURES: DOMU_HVM_FEATURES},
            "x86_64",
            Mode.PVH,
            f"/{FEATURES}: 00000704",
            id="old-pvh",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "<denied>\n", FEATURES: "00000701\n"},
            "x86_64",
            Mode.PV,
            f"/{GUEST_TYPE}: <denied>",
            id="denied-guest-type",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "<denied>", FEATURES: "<denied>"},
            "x86_64",
            Mode.NONE,
            "/sys/hypervisor: Xen, but nothing tells which kind of guest",
            id="all-denied",
        ),
        pytest.param(
            {"sys/hypervisor/type": "<denied>\n", GUEST_TYPE: "PVH\n"},
            "x86_64",
            Mode.PVH,
            "/sys/hypervisor/type: <denied>",
            id="denied-type",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PV", FEATURES: UNREADABLE},
            "x86_64",
            Mode.PV,
            f"/{FEATURES}: refused: Too many levels of symbolic links",
            id="refused-features",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PV", FEATURES: "many"},
            "x86_64",
            Mode.PV,
            f"/{FEATURES}: many",
            id="features-not-hex",
        ),
        pytest.param(
            XEN | {GUEST_TYPE: "PV\x1b[31m\nmode: HVM"},
            "x86_64",
            Mode.NONE,
            f"/{GUEST_TYPE}: PV?[31m",
            id="hostile-guest-type",
        ),
    ],
)
def test_the_mode_and_what_said_so(
    tmp_path: Path, files: dict[str, str], machine: str, mode: Mode, said: str
) -> None:
    found = guest.detect(tree(tmp_path, files), machine=machine)
    assert found.mode is mode
    assert said in found.evidence
    assert all(": " in line and line.isprintable() for line in found.evidence)


@pytest.mark.parametrize(
    ("files", "bits", "said"),
    [
        pytest.param(
            {"sys/kernel/address_bits": "32\n"},
            32,
            "/sys/kernel/address_bits: 32",
            id="address-bits-32",
        ),
        pytest.param(
            {"sys/kernel/address_bits": "64\n"},
            64,
            "/sys/kernel/address_bits: 64",
            id="address-bits-64",
        ),
        pytest.param(
            {"proc/sys/kernel/arch": "i686\n"}, 32, "/proc/sys/kernel/arch: i686", id="arch-32"
        ),
        pytest.param(
            {"proc/sys/kernel/arch": "x86_64\n"}, 64, "/proc/sys/kernel/arch: x86_64", id="arch-64"
        ),
        pytest.param(
            {"proc/kallsyms": "00000000 T _stext\n"},
            32,
            "/proc/kallsyms: 00000000 T _stext",
            id="kallsyms-32",
        ),
        pytest.param(
            {"sys/kernel/address_bits": "?", "proc/kallsyms": "0000000000000000 T _stext\n"},
            64,
            "/proc/kallsyms: 0000000000000000 T _stext",
            id="kallsyms-64",
        ),
    ],
)
def test_the_width_is_the_kernels(
    tmp_path: Path, files: dict[str, str], bits: int, said: str
) -> None:
    found = guest.detect(tree(tmp_path, XEN | files))
    assert (found.bits, said in found.evidence) == (bits, True)


@pytest.mark.parametrize(
    ("machine", "bits"), [("x86_64", 64), ("i686", 32), ("aarch64", 64), ("armv7l", 32)]
)
def test_a_named_machine_settles_the_width(tmp_path: Path, machine: str, bits: int) -> None:
    root = tree(tmp_path, {"sys/kernel/address_bits": "32" if bits == 64 else "64"})
    assert guest.detect(root, machine=machine).bits == bits


def test_setarch_does_not_change_the_width(tmp_path: Path) -> None:
    machine = os.uname().machine
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            ctypes.CDLL(None).personality(0x0008)  # PER_LINUX32, linux/personality.h
            bits = guest.detect(Root(str(tmp_path))).bits
            os.write(writer, f"{os.uname().machine != machine} {bits}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    told = os.read(reader, 100)
    os.close(reader)
    os.close(writer)
    assert told == b"True 64"


@pytest.mark.parametrize("efi", [True, False])
def test_efi(tmp_path: Path, efi: bool) -> None:
    if efi:
        (tmp_path / "sys/firmware/efi").mkdir(parents=True)
    found = guest.detect(Root(str(tmp_path)), machine="x86_64")
    assert found.efi is efi
    assert f"/sys/firmware/efi: {'present' if efi else 'missing'}" in found.evidence


def test_the_running_system_is_asked_without_an_error() -> None:
    assert guest.detect(Root()).evidence


@pytest.mark.parametrize(
    ("files", "holds", "said"),
    [
        pytest.param({}, False, "/proc/self/uid_map: missing", id="plain"),
        pytest.param(
            {"run/systemd/container": "lxc\n"}, True, "/run/systemd/container: lxc", id="systemd"
        ),
        pytest.param(
            {"run/host/container-manager": "systemd-nspawn\n"},
            True,
            "/run/host/container-manager: systemd-nspawn",
            id="host",
        ),
        pytest.param({"run/.containerenv": ""}, True, "/run/.containerenv: present", id="podman"),
        pytest.param({".dockerenv": ""}, True, "/.dockerenv: present", id="docker"),
        pytest.param(
            {"proc/1/environ": "SECRET=x\0container=lxc\0"},
            True,
            "/proc/1/environ: container=lxc",
            id="environ",
        ),
        pytest.param(
            {"proc/1/environ": "HOME=/\0container=\0"},
            False,
            "/proc/1/environ: container=",
            id="environ-empty",
        ),
        pytest.param(
            {"proc/1/environ": "SECRET=x\0"},
            False,
            "/proc/1/environ: no container=",
            id="environ-of-a-guest",
        ),
        pytest.param(
            {"proc/self/uid_map": "         0          0 4294967295\n"},
            False,
            "/proc/self/uid_map: 0          0 4294967295",
            id="own-ids",
        ),
        pytest.param(
            {"proc/self/uid_map": "0 1000 1\n"},
            True,
            "/proc/self/uid_map: 0 1000 1",
            id="user-namespace",
        ),
    ],
)
def test_a_container_is_told(tmp_path: Path, files: dict[str, str], holds: bool, said: str) -> None:
    claim = guest.is_container(tree(tmp_path, files))
    assert bool(claim) is holds
    assert said in claim.evidence
    assert "SECRET" not in str(claim.evidence)


@pytest.mark.parametrize(
    ("init_root", "holds", "said"),
    [
        pytest.param("/", False, "/: the same as /", id="own"),
        pytest.param("/proc", True, "/proc: another directory than /", id="other"),
        pytest.param(
            "/nonexistent", True, "/nonexistent: missing, /proc is not mounted", id="no-proc"
        ),
    ],
)
def test_a_chroot_is_told(init_root: str, holds: bool, said: str) -> None:
    claim = guest.is_chroot(Root(), init_root=init_root)
    assert (claim.holds, claim.evidence) == (holds, (said,))


def test_a_tree_that_is_worked_on_from_outside_is_no_chroot(tmp_path: Path) -> None:
    assert not guest.is_chroot(Root(str(tmp_path)))
