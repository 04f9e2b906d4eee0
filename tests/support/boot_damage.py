# SPDX-License-Identifier: GPL-3.0-or-later
"""What can be wrong with a guest that is to boot, done to a tree."""

from collections.abc import Callable
from dataclasses import replace

from guest_hooks.config import Config, Modules, Stage1
from guest_hooks.model import GrubCfgStatus, MenuFault, Mode, Problem, State
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.table import TABLE
from guest_hooks.volumes import BlockDevice
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
    member = BlockDevice(
        path="/dev/xvda2", type="part", fs_type="LVM2_member", uuid="abc", parent="xvda"
    )
    volume = BlockDevice(
        path="/dev/mapper/vg--a-root", type="lvm", fs_type="ext4", uuid=UUID, parent="xvda2"
    )
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


def beside(device: BlockDevice, value: str, *paths: str) -> Damage:
    """Another disk with these files; the root is `value`."""

    def damage(tree: BootTree) -> None:
        own = replace(OWN, mountpoints=("/",), part_label="primary")
        tree.devices = (OWN_DISK, own)
        second_disk(device, *paths)(tree)
        set_root(f"root={value}")(tree)

    return damage


def btrfs_root(flags: str, *subvolumes: str) -> Damage:
    """The root is on btrfs, with these subvolumes."""

    def damage(tree: BootTree) -> None:
        tree.boot = replace(tree.boot, fs_type="btrfs")
        tree.devices = (OWN_DISK, replace(OWN, fs_type="btrfs"))
        tree.disks.files["/dev/xvda1"] = subvolumes
        for release in RELEASES:
            modules = ("xen-blkfront", "btrfs")
            tree.write(f"boot/initrd.img-{release}", boot_tree.initrd(release, modules))
        arguments(f"rootflags={flags}")(tree)

    return damage


def a_link(path: str, target: str, *, own_boot: bool = False) -> Damage:
    """A link in the place of a file, which moves to where the guest finds it by the link."""

    def damage(tree: BootTree) -> None:
        data = tree.read(path)
        tree.remove(path)
        (tree.top / path).symlink_to(target)
        place = target.lstrip("/") if target.startswith("/") else f"boot/{target}"
        tree.write(place, data)
        if own_boot:
            tree.own_boot()

    return damage


def signed(*names: str) -> Damage:
    """A second stage with a public key, and signatures of these files."""

    def damage(tree: BootTree) -> None:
        assert tree.target is not None
        tree.target = replace(tree.target, checks_signatures=True)
        for name in names:
            tree.write(f"{name}.sig", b"signature")

    return damage


def twice(tree: BootTree) -> None:
    set_root(f"root=UUID={UUID}")(tree)
    second_disk(replace(SECOND, uuid=UUID))(tree)


def nothing_there(tree: BootTree) -> None:
    tree.remove("boot/grub/grub.cfg")
    tree.remove(STAGE2[1:])
    tree.second_stage(State.MISSING, "missing")


def refused_menu(tree: BootTree) -> None:
    problem = Problem(
        code=MenuProblem.INVALID, message="grub.cfg: line 3: syntax error", hint="sync"
    )
    tree.grub_cfg = GrubCfgStatus(
        path="/boot/grub/grub.cfg",
        state=State.INVALID,
        problems=(problem,),
        fault=MenuFault.REFUSED,
    )


def second_stage(state: State, code: str, message: str = "it is not right") -> Damage:
    return lambda tree: tree.second_stage(state, code, message)


def without_module(name: str) -> Damage:
    """Six modules are missing: more than the message names, and `name` is the last of them."""

    def damage(tree: BootTree) -> None:
        tree.second_stage(State.STALE, "modules-missing", "it lacks a, b, c, d, e and 1 more")
        assert tree.target is not None
        tree.target = replace(tree.target, lacking=("a", "b", "c", "d", "e", name))

    return damage


def of_grub_install(*codes: str, lost: tuple[str, ...] = ()) -> Damage:
    """A second stage as grub-install alone makes it: it loads the menu from /boot/grub/<target>.

    `lost` are modules that are not there, either; `codes` are further problems of it.
    """

    def damage(tree: BootTree) -> None:
        assert tree.target is not None
        tree.second_stage(State.STALE, "modules-missing")
        found = tuple(
            Problem(code=TABLE[code], message="it is not right", hint="sync") for code in codes
        )
        tree.target = replace(
            tree.target,
            problems=(*tree.target.problems, *found),
            lacking=("acpi", "btrfs", "linux", "normal", "xfs", "zstd"),
            lost=lost,
        )

    return damage


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


def menu_lst(kernel: str = f"(hd0,0){STAGE2}", *more: str, first: str = "timeout 1") -> bytes:
    """A menu of GRUB Legacy's with one entry."""
    return "\n".join([first, "title one", f"kernel {kernel}", *more, ""]).encode()


def legacy(*arguments: str, first: str = "timeout 1") -> Damage:
    """A host that starts pvgrub-legacy, and a menu.lst as `menu_lst` makes it of `arguments`."""
    return stage1(
        Stage1.GRUB_LEGACY, write("boot/grub/menu.lst", menu_lst(*arguments, first=first))
    )


def whole_disks(tree: BootTree) -> None:
    """As xen-tools makes a guest: xvda1 (swap) and xvda2 are two whole disks."""
    tree.devices = (
        BlockDevice(path="/dev/xvda1", type="disk", fs_type="swap", uuid="s"),
        BlockDevice(path="/dev/xvda2", type="disk", fs_type="ext4", uuid=UUID),
    )
    tree.boot = replace(tree.boot, device="/dev/xvda2")
    tree.edit_menu("root=/dev/xvda1", "root=/dev/xvda2")


def both(*damages: Damage) -> Damage:
    def damage(tree: BootTree) -> None:
        for each in damages:
            each(tree)

    return damage


def legacy_on_xfs(tree: BootTree) -> None:
    tree.boot = replace(tree.boot, fs_type="xfs")
    tree.write("boot/grub/menu.lst", menu_lst())


def remove_modules(tree: BootTree) -> None:
    tree.remove(f"lib/modules/{NEWEST}/modules.builtin")
    (tree.top / f"lib/modules/{NEWEST}").rmdir()


def packed(compression: str) -> Damage:
    return lambda tree: tree.write(KERNEL, boot_tree.kernel(compression=compression))


def default_entry(block: str, *, before: str = "") -> Damage:
    """Another entry in front of the menu's, which the default then means."""

    def damage(tree: BootTree) -> None:
        first = "### BEGIN /etc/grub.d/10_linux ###\n"
        tree.edit_menu(first, f"{first}{before}menuentry 'First' {{\n{block}\n}}\n")

    return damage


def hypervisor(loader: str = "multiboot2", module: str = "module2") -> Damage:
    """What xen-hypervisor in a guest makes: an entry as grub's 20_linux_xen writes it, the default
    by that package's /etc/default/grub.d/xen.cfg.
    """
    title = "Debian GNU/Linux, with Xen hypervisor"
    entry = f"""menuentry '{title}' --class xen $menuentry_id_option 'xen-gnulinux-simple' {{
\tinsmod part_msdos
\tsearch --no-floppy --fs-uuid --set=root {UUID}
\techo\t'Loading Xen 4.17-amd64 ...'
        if [ "$grub_platform" = "pc" -o "$grub_platform" = "" ]; then
            xen_rm_opts=
        else
            xen_rm_opts="no-real-mode edd=off"
        fi
\t{loader}\t/boot/xen-4.17-amd64.gz placeholder  ${{xen_rm_opts}}
\techo\t'Loading Linux {NEWEST} ...'
\t{module}\t/{KERNEL} placeholder root=/dev/xvda1 ro console=hvc0 quiet
\techo\t'Loading initial ramdisk ...'
\t{module}\t--nounzip   /{INITRD}
}}
"""

    def damage(tree: BootTree) -> None:
        end = "### END /etc/grub.d/10_linux ###\n"
        tree.edit_menu(end, end + entry)
        tree.edit_menu('set default="0"', f'set default="{title}"')
        tree.write("boot/xen-4.17-amd64.gz", b"a hypervisor")

    return damage


def loaded(root: str = "", kernel: str = "", initrd: str = "", *more: str) -> Damage:
    """A first entry that sets its $root, and names the newest kernel and initrd on it or others."""
    lines = [
        root,
        f"linux {kernel or f'/{KERNEL}'} root=/dev/xvda1 ro console=hvc0",
        f"initrd {initrd or f'/{INITRD}'}",
        *more,
    ]
    return default_entry("\n".join(lines))


def timeout(value: str) -> Damage:
    return lambda tree: tree.edit_menu("set timeout=5\n", f"set timeout={value}\n")


SUPERUSER = "set superusers=root\npassword_pbkdf2 root grub.pbkdf2.sha512.10000.x\n"


def password(option: str = "") -> Damage:
    """/etc/grub.d/40_custom with a superuser; `option` is what 10_linux gives its entries."""

    def damage(tree: BootTree) -> None:
        tree.edit_menu("### BEGIN /etc/grub.d/10_linux ###\n", SUPERUSER)
        tree.edit_menu("--class gnu-linux ", f"--class gnu-linux {option}")

    return damage


def fstab(*lines: str) -> Damage:
    """More lines in /etc/fstab."""

    def damage(tree: BootTree) -> None:
        text = tree.read("etc/fstab").decode() + "".join(f"{line}\n" for line in lines)
        tree.write("etc/fstab", text.encode())

    return damage


def image(then: Damage) -> Damage:
    """A tree looked at from outside: of its disks none is known."""

    def damage(tree: BootTree) -> None:
        tree.devices = ()
        then(tree)

    return damage


def other_root_in_fstab(tree: BootTree) -> None:
    tree.write("etc/fstab", f"UUID={OTHER_UUID} / ext4 errors=remount-ro 0 1\n".encode())


def with_sysvinit(then: Damage) -> Damage:
    def damage(tree: BootTree) -> None:
        tree.remove("sbin/init")
        tree.write("sbin/init", b"sysvinit")
        (tree.top / "sbin/init").chmod(0o755)
        then(tree)

    return damage


def arguments(words: str) -> Damage:
    """More words on Linux's command line, in every entry."""
    return lambda tree: tree.edit_menu("root=/dev/xvda1 ro", f"root=/dev/xvda1 ro {words}")


def default_target(name: str) -> Damage:
    """`systemctl set-default`."""

    def damage(tree: BootTree) -> None:
        link = tree.top / "etc/systemd/system/default.target"
        link.parent.mkdir(parents=True)
        link.symlink_to(f"/lib/systemd/system/{name}")

    return damage


def unit(name: str) -> Damage:
    """A unit of systemd's, beside those that every Debian has."""

    def damage(tree: BootTree) -> None:
        for each in ("rescue.target", name):
            tree.write(f"usr/lib/systemd/system/{each}", b"[Unit]\n")

    return damage


def menu(text: str) -> Damage:
    """A menu by hand, behind the package's script; {load} stands for a kernel and its initrd."""
    lines = f"linux /{KERNEL} root=/dev/xvda1 ro console=hvc0\ninitrd /{INITRD}\n"
    whole = text.replace("{load}", f"search --fs-uuid --set=root {UUID}\n{lines}")
    return write("boot/grub/grub.cfg", boot_tree.handover() + f"set timeout=1\n{whole}".encode())


def environment(**variables: str) -> Damage:
    """What grubenv holds."""
    lines = "".join(f"{name}={value}\n" for name, value in variables.items())
    block = f"# GRUB Environment Block\n{lines}".encode().ljust(1024, b"#")
    return write("boot/grub/grubenv", block)


def appended(text: str) -> Damage:
    """More at the end of grub.cfg."""
    path = "boot/grub/grub.cfg"
    return lambda tree: tree.write(path, tree.read(path) + f"\n{text}\n".encode())


def consoles(words: str) -> Damage:
    """Other consoles on Linux's command line, in every entry."""
    return lambda tree: tree.edit_menu("console=hvc0", words)


def by_dracut(
    *names: str,
    modules: tuple[str, ...] = ("xen-blkfront", "ext4", "dm-mod"),
    releases: tuple[str, ...] = boot_tree.RELEASES,
) -> Damage:
    """Initrds as dracut makes them, with these files beside the modules."""

    def damage(tree: BootTree) -> None:
        for release in releases:
            directory = f"usr/lib/modules/{release}/kernel"
            files = [f"{directory}/{name}.ko.xz" for name in modules]
            files += ["usr/lib/dracut/hooks/cmdline", "usr/sbin/lvm", *names]
            archive = kernels.cpio(dict.fromkeys(files, b"x"))
            tree.write(f"boot/initrd.img-{release}", kernels.pack(archive, "zstd"))

    return damage


def raid(*modules: str) -> Damage:
    """A root on two disks that are one; the newest kernel's initrd has these modules and mdadm."""

    def damage(tree: BootTree) -> None:
        member = BlockDevice(
            path="/dev/xvda2", type="part", fs_type="linux_raid_member", parent="xvda"
        )
        array = BlockDevice(
            path="/dev/md0", type="raid1", fs_type="ext4", uuid=OTHER_UUID, parent="xvda2"
        )
        tree.own_boot()
        tree.devices = (*tree.devices, member, array)
        tree.edit_menu("root=/dev/xvda1", "root=/dev/md0")
        for release in RELEASES:
            more = modules if release == NEWEST else ("raid1",)
            directory = f"usr/lib/modules/{release}/kernel"
            names = [f"{directory}/{name}.ko" for name in ("xen-blkfront", "ext4", *more)]
            archive = kernels.cpio(dict.fromkeys([*names, "usr/sbin/mdadm"], b"x"))
            tree.write(f"boot/initrd.img-{release}", kernels.pack(archive, "zstd"))

    return damage


def own_usr(fs_type: str, newest: tuple[str, ...] = ()) -> Damage:
    """/usr on a disk of its own; the newest kernel's initrd has `newest` beside the root's driver,
    the others' have that of /usr.
    """

    def damage(tree: BootTree) -> None:
        second_disk(replace(SECOND, fs_type=fs_type))(tree)
        fstab(f"UUID={OTHER_UUID} /usr {fs_type} defaults 0 2")(tree)
        for release in RELEASES:
            more = newest if release == NEWEST else (fs_type,)
            modules = ("xen-blkfront", "ext4", "dm-mod", *more)
            tree.write(f"boot/initrd.img-{release}", boot_tree.initrd(release, modules))

    return damage


def luks(tree: BootTree) -> None:
    """A root on an encrypted partition, with /boot beside it."""
    outer = BlockDevice(path="/dev/xvda2", type="part", fs_type="crypto_LUKS", parent="xvda")
    inner = BlockDevice(
        path="/dev/mapper/root", type="crypt", fs_type="ext4", uuid=OTHER_UUID, parent="xvda2"
    )
    tree.own_boot()
    tree.devices = (*tree.devices, outer, inner)
    tree.edit_menu("root=/dev/xvda1", "root=/dev/mapper/root")
