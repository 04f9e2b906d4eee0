"""A grub.cfg that does not fit what is there: other kernels, or UUIDs that came with another disk."""

from pathlib import Path

import pytest

from guest_hooks import grub_config
from guest_hooks.machine.root import Root

OURS = "1125f1f1-9337-49c9-954f-bc066778bf2e"
OTHER = "74948c20-981f-45cb-9371-fe2a9a4c9b94"


def menu(search: str, *, script: str = "10_linux") -> str:
    return (
        f"### BEGIN /etc/grub.d/{script} ###\nmenuentry x {{\n\t{search}\n\tlinux /vmlinuz\n}}\n### END /etc/grub.d/{script} ###\n"
    )


@pytest.mark.parametrize(
    ("text", "found"),
    [
        pytest.param(menu(f"search --no-floppy --fs-uuid --set=root {OURS}"), [], id="ours"),
        pytest.param(menu(f"search --no-floppy --fs-uuid --set=root {OURS.upper()}"), [], id="ours-in-capitals"),
        pytest.param(menu(f"search --no-floppy --fs-uuid --set=root {OTHER}"), ["menu-of-another-disk"], id="another-disk"),
        pytest.param(
            menu(f"search --no-floppy --fs-uuid --set=root --hint-bios=hd0 {OTHER}"), ["menu-of-another-disk"], id="with-hints"
        ),
        pytest.param(menu("search --no-floppy --label --set=root rootfs"), [], id="by-label"),
        pytest.param(menu(f"search --fs-uuid --set=root {OTHER}", script="40_custom"), [], id="an-admins-own-entry"),
        pytest.param("menuentry x {\nlinux /vmlinuz\n}\n", [], id="written-by-hand"),
    ],
)
def test_the_menu_looks_for_boots_own_file_system(text: str, found: list[str]) -> None:
    assert [code for code, _ in grub_config._of_another_disk(text, OURS)] == found


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
    assert [code for code, _ in grub_config._of_another_root(text, OURS)] == found
    assert list(grub_config._of_another_root(text.replace("10_linux", "40_custom"), OURS)) == []
    assert list(grub_config._of_another_root(text, "")) == []


@pytest.mark.parametrize(
    ("device", "found"),
    [("/dev/loop15", ["menu-of-builders-disk"]), ("/dev/mapper/loop1p2", ["menu-of-builders-disk"]), ("/dev/xvda1", [])],
)
def test_linux_is_given_no_disk_of_the_machine_that_built_the_image(device: str, found: list[str]) -> None:
    text = menu("true").replace("linux /vmlinuz", f"linux /vmlinuz root={device} ro")
    assert [code for code, _ in grub_config._of_a_builder(text)] == found
    assert list(grub_config._of_a_builder(text.replace("10_linux", "40_custom"))) == []


@pytest.mark.parametrize(("device", "names_it"), [("/dev/loop3", True), ("/dev/loop15", False), ("/dev/xvda1", False)])
def test_a_loop_device_for_which_10_linux_lists_no_kernel_is_named(
    device: str, names_it: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("guest_hooks.machine.disks.root_device", lambda _: device)
    assert ("/dev/loop0 to /dev/loop9" in grub_config.why_unlisted(Root())) == names_it
    assert grub_config.why_unlisted(Root(str(tmp_path))) == ""


@pytest.mark.parametrize(
    ("files", "named", "found"),
    [
        pytest.param(["boot/vmlinuz-1"], ["/boot/vmlinuz-1"], [], id="the-same"),
        pytest.param(["boot/vmlinuz-1", "boot/vmlinuz-2"], ["/boot/vmlinuz-1"], ["kernel-not-in-menu"], id="a-new-one"),
        pytest.param(["boot/vmlinuz-2"], ["/boot/vmlinuz-1", "/boot/vmlinuz-2"], ["kernel-gone"], id="one-is-gone"),
        pytest.param(["boot/vmlinuz-1", "boot/vmlinux-1"], ["/boot/vmlinuz-1"], [], id="10_linux-lists-no-vmlinux-on-x86"),
        pytest.param(["boot/vmlinuz-1", "vmlinuz-2"], ["/boot/vmlinuz-1", "/vmlinuz-2"], [], id="10_linux-looks-into-the-root-too"),
        pytest.param(["boot/vmlinuz-1", "boot/kernel-2"], ["/boot/vmlinuz-1", "/boot/kernel-2"], [], id="another-name"),
    ],
)
def test_the_menu_names_the_kernels_there_are(tmp_path: Path, files: list[str], named: list[str], found: list[str]) -> None:
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    entries = "".join(f"menuentry {number} {{\n\tlinux {path}\n}}\n" for number, path in enumerate(named))
    text = f"### BEGIN /etc/grub.d/10_linux ###\n{entries}### END /etc/grub.d/10_linux ###\n"
    assert [code for code, _ in grub_config._unlisted(Root(str(tmp_path)), text)] == found
