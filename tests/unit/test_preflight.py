"""Every kind of damage that keeps a guest from booting has its finding, and a healthy guest has none."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from guest_hooks import hooks
from guest_hooks.config import Config, Modules, Stage1
from guest_hooks.machine import boot_files
from guest_hooks.machine.block_devices import BlockDevice
from guest_hooks.machine.root import Root
from guest_hooks.model import GrubCfgStatus, Guest, Mode, Problem, Severity, State
from guest_hooks.preflight import facts, kernel_problems, text
from guest_hooks.preflight.result import Certainty
from guest_hooks.prose import Style
from tests.support import boot_tree, kernels
from tests.support.boot_tree import NEWEST, OWN, OWN_DISK, RELEASES, UUID, BootTree

KERNEL = f"boot/vmlinuz-{NEWEST}"
INITRD = f"boot/initrd.img-{NEWEST}"
CONFIG = f"boot/config-{NEWEST}"
PV, PVH = Mode.PV, Mode.PVH
OTHER_UUID = "11111111-2222-3333-4444-555555555555"
SECOND = BlockDevice(path="/dev/xvdb", type="disk", fs_type="ext4", uuid=OTHER_UUID)
EARLIER = BlockDevice(path="/dev/sda", type="disk", fs_type="ext4", uuid=OTHER_UUID)
STAGE2 = "/boot/xen/pvboot-x86_64.elf"
Damage = Callable[[BootTree], object]


@dataclass(frozen=True, slots=True)
class Case:
    """One damage and the finding that must follow: its code, the console's words, whether the boot ends there."""

    name: str
    damage: Damage
    code: str
    console: str = ""
    mode: Mode = PV
    boots: bool = False
    severity: Severity = Severity.ERROR
    certainty: Certainty = Certainty.CERTAIN
    also: frozenset[str] = frozenset()


def write(path: str, data: bytes) -> Damage:
    return lambda tree: tree.write(path, data)


def kernel_of(**notes_or_kind: object) -> bytes:
    """A kernel with other notes or another head."""
    bits = int(str(notes_or_kind.pop("bits", 64)))
    notes = notes_or_kind.pop("notes", kernels.LINUX_NOTES)
    assert isinstance(notes, dict)
    elf = kernels.vmlinux(notes=notes, release=NEWEST, bits=bits)
    return kernels.bzimage(elf, release=NEWEST, **notes_or_kind)  # type: ignore[arg-type]


def without(*kinds: int) -> dict[int, bytes]:
    return {kind: value for kind, value in kernels.LINUX_NOTES.items() if kind not in kinds}


def options(old: str, new: str) -> Damage:
    return write(CONFIG, boot_tree.OPTIONS.replace(old, new).encode())


def damaged_payload() -> bytes:
    data = bytearray(boot_tree.kernel())
    middle = len(data) * 2 // 3
    data[middle : middle + 400] = b"\xa5" * 400
    return bytes(data)


def truncated_initrd() -> bytes:
    return boot_tree.initrd()[:-90]


def no_initrd_line(tree: BootTree) -> None:
    tree.edit_menu(f"\tinitrd\t/boot/initrd.img-{NEWEST}\n", "")


def second_disk(device: BlockDevice, *paths: str) -> Damage:
    def damage(tree: BootTree) -> None:
        tree.devices = (*tree.devices, device)
        tree.disks.files[device.path] = paths

    return damage


def lvm(tree: BootTree) -> None:
    """This machine has no device mapper: what lsblk says of an LVM guest is given."""
    member = BlockDevice(path="/dev/xvda2", type="part", fs_type="LVM2_member", uuid="abc", parent="xvda")
    volume = BlockDevice(path="/dev/mapper/vg--a-root", type="lvm", fs_type="ext4", uuid=UUID, parent="xvda2")
    tree.devices = (OWN_DISK, member, volume)
    tree.boot = replace(tree.boot, device=volume.path, drive="(lvmid/x/y)")
    tree.edit_menu("root=/dev/xvda1", "root=/dev/vg-a/root")


def lvm_without_program(tree: BootTree) -> None:
    lvm(tree)
    directory = f"usr/lib/modules/{NEWEST}/kernel"
    names = [f"{directory}/{name}.ko" for name in ("xen-blkfront", "ext4", "dm-mod")]
    tree.write(INITRD, kernels.pack(kernels.cpio(dict.fromkeys(names, b"x")), "gzip"))


def own_boot_and_second_disk(tree: BootTree) -> None:
    tree.own_boot()
    second_disk(SECOND, STAGE2)(tree)


def set_root(value: str) -> Damage:
    return lambda tree: tree.edit_menu("root=/dev/xvda1", value)


def twice(tree: BootTree) -> None:
    set_root(f"root=UUID={UUID}")(tree)
    second_disk(replace(SECOND, uuid=UUID))(tree)


def nothing_there(tree: BootTree) -> None:
    tree.remove("boot/grub/grub.cfg")
    tree.remove(STAGE2[1:])
    tree.second_stage(State.MISSING, "missing")


def refused_menu(tree: BootTree) -> None:
    problem = Problem(code="grub-cfg-invalid", message="grub.cfg: line 3: syntax error", hint="sync")
    tree.grub_cfg = GrubCfgStatus(path="/boot/grub/grub.cfg", state=State.INVALID, problems=(problem,))


def second_stage(state: State, code: str, message: str = "it is not right") -> Damage:
    return lambda tree: tree.second_stage(state, code, message)


def minimal_mismatch(tree: BootTree) -> None:
    tree.config = Config(modules=Modules.MINIMAL)
    tree.second_stage(State.STALE, "module-dir-differs")


def saved(value: str) -> Damage:
    def damage(tree: BootTree) -> None:
        tree.edit_menu('set default="0"', 'set default="${saved_entry}"')
        block = f"# GRUB Environment Block\nsaved_entry={value}\n".encode()
        tree.write("boot/grub/grubenv", block.ljust(1024, b"#"))

    return damage


def stage1(kind: Stage1, then: Damage = lambda _tree: None) -> Damage:
    def damage(tree: BootTree) -> None:
        tree.config = Config(stage1=kind)
        then(tree)

    return damage


def legacy_on_xfs(tree: BootTree) -> None:
    tree.boot = replace(tree.boot, fs_type="xfs")
    tree.write("boot/grub/menu.lst", b"kernel (hd0,0)/boot/xen/pvboot-x86_64.elf\n")


def remove_modules(tree: BootTree) -> None:
    tree.remove(f"lib/modules/{NEWEST}/modules.builtin")
    (tree.top / f"lib/modules/{NEWEST}").rmdir()


def packed(compression: str) -> Damage:
    return lambda tree: tree.write(KERNEL, boot_tree.kernel(compression=compression))


NOT_XEN = "not xen image."
TOO_OLD = "version too old for xen boot."
GONE = f"file `/{KERNEL}' not found."
PANIC = "Unable to mount root fs"
SHELL = "Dropping to a shell!"
WARNING, LIKELY = Severity.WARNING, Certainty.LIKELY
CASES = [
    Case("kernel-gone", lambda tree: tree.remove(KERNEL), "kernel-missing", GONE),
    Case("kernel-empty", write(KERNEL, b""), "kernel-invalid", NOT_XEN),
    Case("kernel-of-zeros", write(KERNEL, bytes(100_000)), "kernel-invalid", TOO_OLD),
    Case("kernel-of-text", write(KERNEL, b"no kernel\n" * 900), "kernel-invalid", TOO_OLD),
    Case("kernel-of-text-pvh", write(KERNEL, b"no kernel\n" * 900), "kernel-invalid", "invalid magic number", mode=PVH),
    Case("kernel-cut-off", write(KERNEL, boot_tree.kernel()[:5000]), "kernel-truncated", NOT_XEN),
    Case(
        "kernel-cut-off-gzip",
        write(KERNEL, boot_tree.kernel(compression="gzip")[:5000]),
        "kernel-truncated",
        "premature end of file",
    ),
    Case("kernel-cut-off-pvh", write(KERNEL, boot_tree.kernel()[:5000]), "kernel-truncated", "premature end of file", mode=PVH),
    Case("kernel-damaged", write(KERNEL, damaged_payload()), "kernel-damaged", NOT_XEN),
    Case("kernel-damaged-pvh", write(KERNEL, damaged_payload()), "kernel-damaged", "System halted", mode=PVH),
    Case("kernel-zstd", packed("zstd"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-zstd-debian-pv", stage1(Stage1.DEBIAN_PV, packed("zstd")), "kernel-compression", NOT_XEN),
    Case("kernel-lz4", packed("lz4"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-lzo", packed("lzo"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-bzip2", packed("bzip2"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-lzma", packed("lzma"), "kernel-compression", NOT_XEN, certainty=LIKELY),
    Case("kernel-without-xen", write(KERNEL, kernel_of(notes={})), "kernel-no-notes", "no XEN note"),
    Case("kernel-for-pvh-only", write(KERNEL, kernel_of(notes=without(1))), "kernel-no-pv"),
    Case(
        "kernel-of-another-loader",
        write(KERNEL, kernel_of(notes={**kernels.LINUX_NOTES, 8: b"odd\0"})),
        "kernel-loader",
        "invalid loader",
    ),
    Case("kernel-32-bit", write(KERNEL, kernel_of(bits=32)), "kernel-width", "incompatible architecture"),
    Case("kernel-without-pvh-note", write(KERNEL, kernel_of(notes=without(18))), "kernel-no-pvh", mode=PVH, certainty=LIKELY),
    Case("kernel-without-pvh-option", options("XEN_PVH=y", "XEN_PVH=n"), "kernel-no-pvh", mode=PVH, certainty=LIKELY),
    Case(
        "kernel-bare-elf-pvh",
        write(KERNEL, kernels.vmlinux(release=NEWEST)),
        "kernel-not-bzimage",
        "invalid magic number",
        mode=PVH,
    ),
    Case("kernel-zimage-pvh", write(KERNEL, kernel_of(loads_high=False)), "kernel-protocol", "32-bit boot", mode=PVH),
    Case("kernel-modules-gone", remove_modules, "kernel-modules-missing", boots=True),
    Case("initrd-gone", lambda tree: tree.remove(INITRD), "initrd-missing", f"file `/{INITRD}' not found."),
    Case("initrd-empty", write(INITRD, b""), "initrd-empty", PANIC),
    Case("initrd-of-zeros", write(INITRD, bytes(70_000)), "initrd-empty", PANIC),
    Case("initrd-of-text", write(INITRD, b"no initrd\n" * 99), "initrd-invalid", PANIC),
    Case("initrd-cut-off", write(INITRD, truncated_initrd()), "initrd-damaged", PANIC),
    Case("initrd-cut-off-plain", write(INITRD, boot_tree.initrd(compression="none")[:-200]), "initrd-truncated", PANIC),
    Case("initrd-of-another-kernel", write(INITRD, boot_tree.initrd(RELEASES[1])), "initrd-of-another-kernel", SHELL),
    Case("initrd-without-disk-driver", write(INITRD, boot_tree.initrd(modules=("ext4", "dm-mod"))), "initrd-lacks-module", SHELL),
    Case(
        "initrd-without-file-system", write(INITRD, boot_tree.initrd(modules=("xen-blkfront", "xfs"))), "initrd-lacks-module", SHELL
    ),
    Case("initrd-without-lvm", lvm_without_program, "initrd-lacks-program", SHELL),
    Case("initrd-packing-unknown-to-kernel", options("CONFIG_RD_ZSTD=y\n", ""), "initrd-compression", PANIC),
    Case("no-initrd", no_initrd_line, "initrd-none", PANIC),
    Case("menu-gone", lambda tree: tree.remove("boot/grub/grub.cfg"), "grub-cfg-missing", "grub>"),
    Case("menu-refused", refused_menu, "grub-cfg-invalid", "syntax error"),
    Case("menu-without-entries", write("boot/grub/grub.cfg", b"set timeout=5\n"), "menu-empty", "grub>"),
    Case(
        "entry-of-another-file-system",
        lambda tree: tree.edit_menu(UUID, OTHER_UUID),
        "entry-file-system-missing",
        f"no such device: {OTHER_UUID}",
    ),
    Case("root-gone", set_root(f"root=UUID={OTHER_UUID}"), "root-missing", "does not exist.  Dropping to a shell!"),
    Case("root-by-a-disk-of-another-name", set_root("root=/dev/sda1"), "root-missing", SHELL),
    Case("root-label-gone", set_root("root=LABEL=old"), "root-missing", SHELL),
    Case("root-partuuid-gone", set_root("root=PARTUUID=5a4f3c1e-02"), "root-missing", SHELL),
    Case("root-not-named", set_root("quiet"), "root-none", "No root device specified"),
    Case("root-twice", twice, "root-twice", certainty=LIKELY),
    Case("other-disk-comes-first", second_disk(EARLIER, STAGE2), "other-disk-first", certainty=LIKELY),
    Case("other-disk-menu-first-pvh", second_disk(EARLIER, "/boot/grub/grub.cfg"), "other-disk-first", mode=PVH, certainty=LIKELY),
    Case(
        "other-disk-has-an-earlier-name",
        own_boot_and_second_disk,
        "other-disk-first",
        certainty=LIKELY,
    ),
    Case(
        "other-disk-has-a-copy",
        second_disk(SECOND, STAGE2),
        "other-disk-has-copy",
        boots=True,
        severity=WARNING,
        certainty=LIKELY,
    ),
    Case(
        "nothing-to-start",
        nothing_there,
        "stage1-finds-nothing",
        "no such device: /boot/grub/grub.cfg",
        also=frozenset({"grub-cfg-missing", "second-stage-missing"}),
    ),
    Case(
        "second-stage-gone",
        second_stage(State.MISSING, "missing"),
        "second-stage-missing",
        f"no such device: {STAGE2}.",
        boots=True,
    ),
    Case(
        "second-stage-of-another-width",
        second_stage(State.INVALID, "class-mismatch"),
        "second-stage-class-mismatch",
        "incompatible architecture",
        boots=True,
    ),
    Case(
        "second-stage-cut-off",
        second_stage(State.INVALID, "load-size"),
        "second-stage-load-size",
        NOT_XEN,
        boots=True,
        certainty=LIKELY,
    ),
    Case("second-stage-zeroed", second_stage(State.INVALID, "kernel-zeroed"), "second-stage-kernel-zeroed"),
    Case(
        "second-stage-is-a-stage-1", second_stage(State.INVALID, "stage-1-image"), "second-stage-stage-1-image", "Welcome to GRUB!"
    ),
    Case(
        "second-stage-of-another-uuid", second_stage(State.STALE, "uuid-mismatch"), "second-stage-uuid-mismatch", "no such device"
    ),
    Case(
        "second-stage-of-another-prefix",
        second_stage(State.STALE, "prefix-mismatch"),
        "second-stage-prefix-mismatch",
        "grub>",
        certainty=LIKELY,
    ),
    Case(
        "second-stage-without-file-system",
        second_stage(State.STALE, "modules-missing", "it lacks modules it may need to boot: part_msdos"),
        "second-stage-modules-missing",
        "no such device",
        certainty=LIKELY,
    ),
    Case("second-stage-old-but-whole", second_stage(State.STALE, "grub-differs"), "second-stage-grub-differs", boots=True),
    Case("second-stage-amid-other-modules", minimal_mismatch, "second-stage-module-dir-differs", "symbol `grub_", certainty=LIKELY),
    Case(
        "grubenv-damaged",
        write("boot/grub/grubenv", bytes(1024)),
        "grubenv-invalid",
        "invalid environment block",
        boots=True,
        severity=WARNING,
    ),
    Case(
        "default-gone", saved("Debian, long ago"), "default-not-there", "Booting `Debian GNU/Linux'", boots=True, severity=WARNING
    ),
    Case(
        "another-kernel-gone",
        lambda tree: tree.remove(f"boot/vmlinuz-{RELEASES[2]}"),
        "kernel-missing",
        f"vmlinuz-{RELEASES[2]}' not found",
        boots=True,
        severity=WARNING,
    ),
    Case("legacy-menu-gone", stage1(Stage1.GRUB_LEGACY), "legacy-menu-missing", "grubdom>"),
    Case("legacy-on-xfs", stage1(Stage1.GRUB_LEGACY, legacy_on_xfs), "legacy-file-system", "grubdom>"),
]


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_damage_is_found(case: Case, tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=case.mode)
    case.damage(tree)
    answer = tree.preflight()
    found = {finding.code: finding for finding in answer.findings}
    assert case.code in found
    finding = found[case.code]
    assert case.console in finding.console
    assert (finding.severity, finding.certainty) == (case.severity, case.certainty)
    assert answer.will_boot == case.boots
    assert answer.ok == (case.severity is Severity.WARNING)
    assert finding.message
    assert finding.hint
    if case.severity is Severity.ERROR:
        assert {code for code, other in found.items() if other.severity is Severity.ERROR} == {case.code} | case.also


def pvh_zstd(tree: BootTree) -> None:
    for release in RELEASES:
        tree.write(f"boot/vmlinuz-{release}", boot_tree.kernel(release, "zstd"))


def btrfs_subvolume(tree: BootTree) -> None:
    tree.boot = replace(tree.boot, fs_type="btrfs", grub_dir="/@rootfs/boot/grub")
    tree.edit_menu("/boot/vmlinuz", "/@rootfs/boot/vmlinuz")
    tree.edit_menu("/boot/initrd", "/@rootfs/boot/initrd")


def built_in(tree: BootTree) -> None:
    tree.write(CONFIG, boot_tree.OPTIONS.replace("=m", "=y").encode())
    no_initrd_line(tree)


def no_records(tree: BootTree) -> None:
    for release in RELEASES:
        tree.remove(f"boot/config-{release}")


def custom(tree: BootTree) -> None:
    lines = [f"search -u --set=root {UUID}", f"linux /{KERNEL} root=LABEL=root", f"initrd /{INITRD}"]
    tree.write("boot/grub/custom.cfg", "\n".join(["set default=mine", "menuentry mine {", *lines, "}\n"]).encode())


def own_boot_and_root(tree: BootTree) -> None:
    tree.own_boot()
    root = BlockDevice(path="/dev/xvda2", type="part", fs_type="xfs", uuid=OTHER_UUID, parent="xvda")
    tree.devices = (*tree.devices, root)
    tree.disks.files["/dev/xvda2"] = ()
    for release in RELEASES:
        tree.write(f"boot/initrd.img-{release}", boot_tree.initrd(release, ("xen-blkfront", "xfs")))
    set_root(f"root=UUID={OTHER_UUID}")(tree)


def partitioned_cloud(tree: BootTree) -> None:
    """As genericcloud images are: GPT, an EFI partition, a BIOS boot partition, root last in the table and first by number."""
    esp = BlockDevice(path="/dev/xvda15", type="part", fs_type="vfat", uuid="1234-ABCD", parent="xvda")
    tree.devices = (OWN_DISK, OWN, BlockDevice(path="/dev/xvda14", type="part", parent="xvda"), esp)
    tree.disks.files["/dev/xvda15"] = ("/EFI/debian/grub.cfg",)
    set_root(f"root=PARTUUID={OWN.part_uuid.upper()}")(tree)


HEALTHY = {
    "three-kernels": lambda _tree: None,
    "own-boot": lambda tree: tree.own_boot(),
    "own-boot-and-root-on-xfs": own_boot_and_root,
    "cloud-image": partitioned_cloud,
    "btrfs-subvolume": btrfs_subvolume,
    "lvm": lvm,
    "image-without-disks": lambda tree: setattr(tree, "devices", ()),
    "data-disk": second_disk(SECOND, "/data/x"),
    "swap-disk": lambda tree: setattr(
        tree, "devices", (*tree.devices, BlockDevice(path="/dev/xvdb", type="disk", fs_type="swap", uuid="s"))
    ),
    "root-by-uuid": set_root(f"root=UUID={UUID}"),
    "root-by-label": set_root("root=LABEL=root"),
    "root-by-disk-name": set_root(f"root=/dev/disk/by-uuid/{UUID}"),
    "root-on-nfs": set_root("root=/dev/nfs"),
    "drivers-built-in": built_in,
    "no-configuration-file": no_records,
    "no-grubenv": lambda tree: tree.remove("boot/grub/grubenv"),
    "saved-default": saved("1>2"),
    "custom-entries": custom,
    "pygrub-unpacks-zstd": stage1(Stage1.PYGRUB, packed("zstd")),
    "legacy-pv": stage1(Stage1.GRUB_LEGACY, write("boot/grub/menu.lst", b"kernel (hd0,0)/boot/xen/pvboot-x86_64.elf\n")),
    "kernel-gzip": packed("gzip"),
    "kernel-signed": write(KERNEL, boot_tree.kernel() + b"signature" * 100),
    "kernel-with-hypercall-page": write(KERNEL, kernel_of(notes={**kernels.LINUX_NOTES, 2: b"\0" * 8})),
}


@pytest.mark.parametrize(
    ("name", "mode"), [(name, mode) for name in HEALTHY for mode in (PV, PVH) if mode is PV or not name.endswith("-pv")]
)
def test_a_healthy_guest_is_told_so_and_nothing_else(name: str, mode: Mode, tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=mode)
    HEALTHY[name](tree)
    answer = tree.preflight()
    assert answer.findings == ()
    assert answer.will_boot
    assert any("type=" in item for item in answer.unknown)
    assert answer.chain


def test_a_zstd_kernel_is_no_fault_for_pvh(tmp_path: Path) -> None:
    tree = BootTree(tmp_path, mode=PVH)
    pvh_zstd(tree)
    assert tree.preflight().findings == ()


def test_a_disk_that_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.devices = (*tree.devices, SECOND)
    answer = tree.preflight()
    assert answer.findings == ()
    assert "what is on /dev/xvdb, which could not be read" in answer.unknown


def test_a_missing_library_is_not_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    tree = BootTree(tmp_path, mode=PVH)
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("apt install python3-zstandard" in item for item in answer.unknown)


def test_a_kernel_that_runs_now_is_not_said_to_be_unbootable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = BootTree(tmp_path)
    packed("zstd")(tree)
    monkeypatch.setattr(facts, "running", lambda *_: NEWEST)
    answer = tree.preflight()
    (finding,) = answer.findings
    assert (finding.code, finding.severity, finding.certainty) == ("kernel-compression", WARNING, Certainty.UNKNOWN)
    assert answer.will_boot
    stage1(Stage1.DEBIAN_PV)(tree)
    assert not tree.preflight().will_boot


@pytest.mark.parametrize("path", [KERNEL, INITRD])
def test_what_may_not_be_read_is_not_known(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = BootTree(tmp_path)
    read = Root.read

    def refuse(root: Root, name: str, **limit: int) -> bytes:
        if name == f"/{path}":
            raise PermissionError(13, "Permission denied", name)
        return read(root, name, **limit)

    monkeypatch.setattr(Root, "read", refuse)
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("run as root" in item for item in answer.unknown)


def test_an_entry_that_is_not_understood_is_not_known(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("boot/grub/grub.cfg", b"menuentry other { chainloader +1\n}\n")
    answer = tree.preflight()
    assert answer.findings == ()
    assert any("chainloader" in item for item in answer.unknown)


def test_stage_1_that_reads_the_menu_itself_knows_no_saved_entry(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    saved("1>4")(tree)
    assert f"/boot/vmlinuz-{RELEASES[2]}, packed with xz" in [step.text for step in tree.preflight().chain]
    tree.second_stage(State.MISSING, "missing")
    assert f"/boot/vmlinuz-{NEWEST}, packed with xz" in [step.text for step in tree.preflight().chain]


class TestMemory:
    """What was read once is not read again, until it changes."""

    @pytest.fixture
    def reads(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        seen: list[str] = []

        def spy(read: Callable[[Root, str], object]) -> Callable[[Root, str], object]:
            def seen_read(root: Root, path: str) -> object:
                seen.append(path)
                return read(root, path)

            return seen_read

        monkeypatch.setattr(boot_files, "read_kernel", spy(boot_files.read_kernel))
        monkeypatch.setattr(boot_files, "read_initrd", spy(boot_files.read_initrd))
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        return seen

    def test_a_second_run_reads_what_changed(self, tmp_path: Path, reads: list[str]) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        assert len(reads) == 6
        reads.clear()
        assert tree.preflight() == first
        assert reads == []
        tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
        assert "kernel-compression" in {finding.code for finding in tree.preflight().findings}
        assert reads == [f"/{KERNEL}"]

    @pytest.mark.parametrize(
        "damage",
        [b"", b"{", b"[]", b'{"version": 1, "files": {"a": 3}}', b'{"version": 99, "files": {}}', b"\xff" * 99, b"[" * 100_000],
        ids=["empty", "cut-off", "list", "odd-entry", "another-version", "bytes", "deep"],
    )
    def test_a_damaged_cache_is_made_anew(self, tmp_path: Path, reads: list[str], damage: bytes) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        tree.write(boot_files.CACHE[1:], damage)
        reads.clear()
        assert tree.preflight() == first
        assert len(reads) == 6
        assert len(json.loads(tree.read(boot_files.CACHE[1:]))["files"]) == 6

    def test_facts_of_another_shape_are_not_believed(self, tmp_path: Path, reads: list[str]) -> None:
        tree = BootTree(tmp_path)
        first = tree.preflight()
        cache = json.loads(tree.read(boot_files.CACHE[1:]))
        for entry in cache["files"].values():
            entry["facts"]["fault"] = 7
        tree.write(boot_files.CACHE[1:], json.dumps(cache).encode())
        reads.clear()
        assert tree.preflight() == first
        assert len(reads) == 6

    def test_no_right_to_write_is_no_fault(self, tmp_path: Path, reads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        tree = BootTree(tmp_path)
        assert tree.preflight().findings == ()
        assert len(reads) == 6
        assert not (tmp_path / boot_files.CACHE[1:]).exists()


def test_a_new_kernel_is_judged_by_itself(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    guest = Guest(mode=PV, bits=64)
    assert kernel_problems(Root(str(tmp_path)), guest, NEWEST) == ()
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    assert [finding.code for finding in kernel_problems(Root(str(tmp_path)), guest, NEWEST)] == ["kernel-compression"]
    assert kernel_problems(Root(str(tmp_path)), Guest(mode=PVH, bits=64), NEWEST) == ()
    tree.remove(INITRD)
    assert [finding.code for finding in kernel_problems(Root(str(tmp_path)), Guest(mode=PVH, bits=64), NEWEST)] == ["initrd-none"]
    assert kernel_problems(Root(str(tmp_path)), Guest(mode=Mode.HVM, bits=64), NEWEST) == ()


def test_a_new_kernel_that_cannot_boot_is_told_loudly(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.write("sys/hypervisor/type", b"xen\n")
    tree.write("sys/hypervisor/guest_type", b"PV\n")
    config = Config(targets=("x86_64-xen",))
    root = Root(str(tmp_path))
    assert hooks.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"]) == []
    tree.write(KERNEL, boot_tree.kernel(compression="zstd"))
    lines = hooks.kernel_warning(root, config, [NEWEST, f"/{KERNEL}"])
    assert f"xen-guest-bootloader: this guest will not boot by Linux {NEWEST}:" in lines
    assert "  console: error: not xen image." in lines
    assert hooks.kernel_warning(root, config, []) == []
    assert hooks.kernel_warning(root, Config(targets=("i386-xen_pvh",)), [NEWEST]) == []


def test_the_answer_as_text_and_as_json(tmp_path: Path) -> None:
    tree = BootTree(tmp_path)
    tree.remove(KERNEL)
    answer = tree.preflight()
    lines = text.preflight_text(answer, Style())
    assert f"error: /{KERNEL} is not there" in lines
    assert f"  console: error: {GONE}" in lines
    assert "will not boot" in lines
    table = json.loads(json.dumps(text.preflight_json(answer)))
    assert (table["schema"], table["ok"], table["will_boot"]) == (1, False, False)
    assert table["findings"][0]["code"] == "kernel-missing"
    assert list(dict.fromkeys(step["link"] for step in table["chain"])) == [
        "stage-1",
        "second-stage",
        "grub.cfg",
        "entry",
        "kernel",
        "initrd",
        "root",
    ]
