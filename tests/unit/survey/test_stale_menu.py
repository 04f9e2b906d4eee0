# SPDX-License-Identifier: GPL-3.0-or-later
"""A grub.cfg that does not fit what is there: other kernels, or UUIDs that came with another
disk.
"""

from pathlib import Path

import pytest

from guest_hooks.formats.digests import sha256
from guest_hooks.machine.receipts import Kept
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import Completed
from guest_hooks.model import Severity, State
from guest_hooks.survey import menu_verdict
from tests.support import boot_tree

OURS = "1125f1f1-9337-49c9-954f-bc066778bf2e"
OTHER = "74948c20-981f-45cb-9371-fe2a9a4c9b94"


def menu(search: str, *, script: str = "10_linux") -> str:
    return (
        f"### BEGIN /etc/grub.d/{script} ###\nmenuentry x {{\n\t{search}\n\tlinux /vmlinuz\n}}\n###"
        f" END /etc/grub.d/{script} ###\n"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(menu(f"search --no-floppy --fs-uuid --set=root {OURS}"), [], id="ours"),
        pytest.param(
            menu(f"search --no-floppy --fs-uuid --set=root {OURS.upper()}"),
            [],
            id="ours-in-capitals",
        ),
        pytest.param(
            menu(f"search --no-floppy --fs-uuid --set=root {OTHER}"),
            ["menu-of-another-disk"],
            id="another-disk",
        ),
        pytest.param(
            menu(f"search --no-floppy --fs-uuid --set=root --hint-bios=hd0 {OTHER}"),
            ["menu-of-another-disk"],
            id="with-hints",
        ),
        pytest.param(menu("search --no-floppy --label --set=root rootfs"), [], id="by-label"),
        pytest.param(
            menu(f"search --fs-uuid --set=root {OTHER}", script="40_custom"),
            [],
            id="an-admins-own-entry",
        ),
        pytest.param("menuentry x {\nlinux /vmlinuz\n}\n", [], id="written-by-hand"),
    ],
)
def test_the_menu_looks_for_boots_own_file_system(text: str, found: list[str]) -> None:
    assert [code for code, _ in menu_verdict._of_another_disk(text, OURS)] == found


@pytest.mark.parametrize(
    ("given", "found"),
    [
        pytest.param(f"root=UUID={OURS} ro quiet", [], id="ours"),
        pytest.param(f"root=UUID={OURS.upper()} ro", [], id="ours-in-capitals"),
        pytest.param(f"root=UUID={OTHER} ro", ["menu-of-another-root"], id="another"),
        pytest.param(f"ro root=UUID={OTHER}", ["menu-of-another-root"], id="another-at-the-end"),
        pytest.param("root=/dev/mapper/vg-root ro", [], id="by-name"),
        pytest.param(f"root=PARTUUID={OTHER} ro", [], id="by-partition"),
        pytest.param("", [], id="none"),
    ],
)
def test_linux_is_given_the_root_there_is(given: str, found: list[str]) -> None:
    text = menu("true").replace("linux /vmlinuz", f"linux /vmlinuz {given}")
    assert [code for code, _ in menu_verdict._of_another_root(text, OURS)] == found
    assert list(menu_verdict._of_another_root(text.replace("10_linux", "40_custom"), OURS)) == []
    assert list(menu_verdict._of_another_root(text, "")) == []


Row = tuple[str, str]
"""A kernel that an entry starts, and its initrd or an empty string; by the guest's paths."""


def entries(*rows: Row) -> str:
    lines = [
        f"menuentry {number} {{\n\tlinux {kernel} root=UUID={OURS}\n"
        + (f"\tinitrd {initrd}\n" if initrd else "")
        + "}\n"
        for number, (kernel, initrd) in enumerate(rows)
    ]
    begin, end = (f"### {word} /etc/grub.d/10_linux ###\n" for word in ("BEGIN", "END"))
    return begin + "".join(lines) + end


def lay(top: Path, path: str) -> None:
    """A file of /boot as its name says: a kernel, an initrd, one cut off or an empty one."""
    name, _, damage = path.partition("!")
    release = name.partition("-")[2]
    data = boot_tree.initrd(release) if "initr" in name else boot_tree.kernel(release)
    where = top / name.lstrip("/")
    where.parent.mkdir(parents=True, exist_ok=True)
    where.write_bytes({"": data, "cut": data[: len(data) // 2], "empty": b""}[damage])


KERNEL, INITRD = "/boot/vmlinuz-1", "/boot/initrd.img-1"
OTHER_KERNEL, OTHER_INITRD = "/boot/vmlinuz-2", "/boot/initrd.img-2"
BOTH = (KERNEL, INITRD)
OTHERS = (OTHER_KERNEL, OTHER_INITRD)


@pytest.mark.parametrize(
    ("device", "found"),
    [
        ("/dev/loop15", ["menu-of-builders-disk"]),
        ("/dev/mapper/loop1p2", ["menu-of-builders-disk"]),
        ("/dev/sda1", ["menu-of-builders-disk"]),
        ("/dev/nvme0n1p2", ["menu-of-builders-disk"]),
        ("/dev/sda1 root=/dev/xvda1", []),
        ("/dev/xvda1", []),
    ],
)
def test_linux_is_given_no_disk_of_the_machine_that_built_the_image(
    tmp_path: Path, device: str, found: list[str]
) -> None:
    root = Root(str(tmp_path))
    text = menu("true").replace("linux /vmlinuz", f"linux /vmlinuz root={device} ro")
    assert [code for code, _ in menu_verdict._of_a_builder(root, text)] == found
    assert list(menu_verdict._of_a_builder(root, text.replace("10_linux", "40_custom"))) == []


@pytest.mark.parametrize("has_it", [True, False])
def test_a_guest_that_has_such_a_disk_may_boot_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_it: bool
) -> None:
    """A host can give it a controller of its own."""
    monkeypatch.setattr(Root, "is_live", True)
    text = menu("true").replace("linux /vmlinuz", "linux /vmlinuz root=/dev/sda1 ro")
    if has_it:
        (tmp_path / "dev").mkdir()
        (tmp_path / "dev/sda1").touch()
    assert bool(list(menu_verdict._of_a_builder(Root(str(tmp_path)), text))) is not has_it


@pytest.mark.parametrize(
    ("device", "names_it"), [("/dev/loop3", True), ("/dev/loop15", False), ("/dev/xvda1", False)]
)
def test_a_loop_device_for_which_10_linux_lists_no_kernel_is_named(
    device: str, names_it: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("guest_hooks.machine.disks.root_device", lambda _: device)
    assert ("/dev/loop0 to /dev/loop9" in menu_verdict.why_unlisted(Root())) == names_it
    assert menu_verdict.why_unlisted(Root(str(tmp_path))) == ""


@pytest.mark.parametrize(
    ("files", "rows", "found"),
    [
        pytest.param(BOTH, [BOTH], [], id="the-same"),
        pytest.param((*BOTH, *OTHERS), [BOTH], ["kernel-not-in-menu"], id="a-new-one"),
        pytest.param(
            (*BOTH, "/boot/kernel-2", OTHER_INITRD),
            [BOTH],
            ["kernel-not-in-menu"],
            id="by-its-other-name",
        ),
        pytest.param(
            (*BOTH, "/vmlinuz-2", "/initrd.img-2"), [BOTH], ["kernel-not-in-menu"], id="in-the-root"
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL), [BOTH], ["kernel-incomplete"], id="a-new-one-without-initrd"
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL, OTHER_INITRD + "!cut"),
            [BOTH],
            ["kernel-incomplete"],
            id="initrd-cut-off",
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL, OTHER_INITRD + "!empty"),
            [BOTH],
            ["kernel-incomplete"],
            id="initrd-empty",
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL + "!cut", OTHER_INITRD),
            [BOTH],
            ["kernel-incomplete"],
            id="kernel-cut-off",
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL + "!empty", OTHER_INITRD),
            [BOTH],
            ["kernel-incomplete"],
            id="kernel-empty",
        ),
        pytest.param(OTHERS, [BOTH, OTHERS], ["kernel-gone"], id="one-is-gone"),
        pytest.param((*BOTH, "/boot/vmlinux-2"), [BOTH], [], id="10_linux-lists-no-vmlinux-on-x86"),
        pytest.param(
            (*BOTH, "/vmlinuz-2", "/initrd.img-2"),
            [BOTH, ("/vmlinuz-2", "/initrd.img-2")],
            [],
            id="root-too",
        ),
        pytest.param(
            (*BOTH, "/boot/kernel-2"), [BOTH, ("/boot/kernel-2", "")], [], id="another-name"
        ),
        pytest.param(
            (*BOTH, *OTHERS),
            [BOTH, (OTHER_KERNEL, "")],
            ["initrd-not-in-menu"],
            id="without-the-initrd-there-is",
        ),
        pytest.param(
            (*BOTH, OTHER_KERNEL, OTHER_INITRD + "!cut"),
            [BOTH, (OTHER_KERNEL, "")],
            [],
            id="without-a-damaged-initrd",
        ),
        pytest.param(
            (*BOTH, *OTHERS),
            [BOTH, (OTHER_KERNEL, f"/boot/early.img {OTHER_INITRD}")],
            [],
            id="behind-an-early-one",
        ),
        pytest.param(
            (*BOTH, *OTHERS),
            [BOTH, (OTHER_KERNEL, "/boot/early.img")],
            ["initrd-not-in-menu"],
            id="early-one-alone",
        ),
        pytest.param((KERNEL,), [BOTH], [], id="initrd-gone-that-is-needed"),
    ],
)
def test_the_menu_names_the_kernels_there_are(
    tmp_path: Path, files: list[str], rows: list[Row], found: list[str]
) -> None:
    for path in files:
        lay(tmp_path, path)
    assert _codes(Root(str(tmp_path)), entries(*rows)) == found


def test_an_initrd_that_is_gone_is_left_out_where_the_kernel_needs_none(tmp_path: Path) -> None:
    lay(tmp_path, KERNEL)
    (tmp_path / "boot/config-1").write_text(boot_tree.OPTIONS.replace("=m", "=y"))
    assert _codes(Root(str(tmp_path)), entries(BOTH)) == ["initrd-gone"]
    assert _codes(Root(str(tmp_path)), entries((KERNEL, ""))) == []


def _codes(root: Root, text: str) -> list[str]:
    """What `status` finds of the kernels in a menu that GRUB's parser accepts."""
    (Path(root.path) / "boot/grub").mkdir(exist_ok=True)
    (Path(root.path) / "boot/grub/grub.cfg").write_text(text)
    accepted = Completed(code=0, stdout=b"", stderr=b"")
    found = menu_verdict.status(root, run=lambda *_, **__: accepted)
    assert (found.state is State.STALE) == any(
        each.severity is Severity.ERROR for each in found.problems
    )
    return [problem.code for problem in found.problems]


@pytest.mark.parametrize(
    ("made", "steps"),
    [
        pytest.param("the same", {"kernel-gone": "look there"}, id="made-again"),
        pytest.param("another", {"kernel-gone": "", "menu-kept": "look there"}, id="not-taken"),
    ],
)
def test_what_has_been_tried_is_advised_no_more(
    tmp_path: Path, made: str, steps: dict[str, str]
) -> None:
    tree = boot_tree.BootTree(tmp_path)
    tree.remove(f"boot/vmlinuz-{boot_tree.NEWEST}")
    sha = sha256(tree.read("boot/grub/grub.cfg"))
    made_sha = sha if made == "the same" else "other"
    kept = Kept(sha256=sha, made_sha256=made_sha, message="it was tried", hint="look there")
    found = menu_verdict.status(Root(str(tmp_path)), kept=kept, parser=lambda _data: "")
    assert {str(each.code): each.hint for each in found.problems} == steps
