"""A grub.cfg that came with another disk: it looks for its kernels by a UUID that is not /boot's."""

import pytest

from guest_hooks import grub_config

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
    assert [problem.code for problem in grub_config._filesystem_problems(text, OURS)] == found
