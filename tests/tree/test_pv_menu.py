# SPDX-License-Identifier: GPL-3.0-or-later
"""GRUB itself, as a program, on the menus that let a PV boot start copies of kernels: in a PV boot
the entry that would be started, with its copy, and in any other what would be started without them.
"""

import re
import subprocess
from pathlib import Path

import pytest

from guest_hooks.formats import pygrub_menu
from tests.support import generated_menus, grub_emu, pv_menu, pygrub

UUID = "0f3c1a52-6e0d-4c8b-9a41-3f2f5d1c7e10"
WITH_COPY = ("6.12.117+deb13-amd64", "6.1.0-40-amd64")
COMMAND = re.compile(r"((?:^|; then )[ \t]*)linux[ \t]+([^;\n]*)", re.MULTILINE)
QUIET = re.compile(
    r"^[ \t]*(search|set root=|initrd|terminal_output|loadfont|load_video|gfxmode|echo) ?.*",
    re.MULTILINE,
)


def kernels_and_copies(boot: Path, text: str) -> Path:
    """A /boot with the kernels that `text` names, and copies of two of them."""
    (boot / "xen").mkdir(parents=True)
    for release in re.findall(r"vmlinuz-(\S+)", text):
        (boot / f"vmlinuz-{release}").write_text("a kernel")
    for release in WITH_COPY:
        if (boot / f"vmlinuz-{release}").exists():
            (boot / f"xen/vmlinux-{release}.gz").write_text("its copy")
    return boot


def menu(tmp_path: Path, name: str) -> tuple[str, str]:
    """Debian's menu `name` in a directory of the test's, before and after the script."""
    text = generated_menus.text(name).replace("/boot/", f"{tmp_path}/boot/")
    boot = kernels_and_copies(tmp_path / "boot", text)
    return text, pv_menu.rewritten(text, boot, tmp_path / "output").decode()


def started(directory: Path, text: str, platform: str, env: str) -> str:
    """What GRUB starts by itself on this platform, with these lines in its environment block."""
    text = QUIET.sub("true", text.replace("save_env", "true"))
    text = COMMAND.sub(rf"\1echo {grub_emu.MARK} \2 {grub_emu.END}", text)
    block = "# GRUB Environment Block\n" + env
    first = f"set grub_platform={platform}\nset timeout=0\n"
    last = "\nset timeout=0\n"
    found, _ = grub_emu.started(directory, first + text + last, {"grubenv": block})
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "setting", "env"),
    [
        pytest.param("trixie-simple", "", "", id="number-0"),
        pytest.param("trixie-simple", "1>1", "", id="recovery-of-the-newest"),
        pytest.param("trixie-simple", "1>2", "", id="a-kernel-without-copy"),
        pytest.param("trixie-simple", "1>4", "", id="an-older-kernel"),
        pytest.param(
            "trixie-simple",
            "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-40-amd64",
            "",
            id="title",
        ),
        pytest.param("trixie-simple", "ID", "", id="id"),
        pytest.param("trixie-saved", "", "saved_entry=1>4\n", id="saved-number"),
        pytest.param("trixie-saved", "", "saved_entry=ID\n", id="saved-id"),
        pytest.param("trixie-saved", "", "saved_entry=0\nnext_entry=ID\n", id="next-entry"),
    ],
)
def test_only_the_kernel_s_file_differs(tmp_path: Path, name: str, setting: str, env: str) -> None:
    before, after = menu(tmp_path, name)
    (ident,) = re.findall(r"menuentry_id_option '(gnulinux-6.1.0-40-amd64-advanced-\S+)'", before)
    (above,) = re.findall(r"^submenu .*menuentry_id_option '(\S+)'", before, re.MULTILINE)
    choose = f"\nset default='{setting}'\n".replace("ID", f"{above}>{ident}") if setting else ""
    block = env.replace("ID", f"{above}>{ident}")
    plain = started(tmp_path / "plain", before + choose, "xen", block)
    for platform in ("xen_pvh", "pc", "efi"):
        assert started(tmp_path / platform, after + choose, platform, block) == plain
    wanted = plain
    for release in WITH_COPY:
        wanted = wanted.replace(f"/vmlinuz-{release} ", f"/xen/vmlinux-{release}.gz ")
    assert started(tmp_path / "xen", after + choose, "xen", block) == wanted
    assert (wanted == plain) is (setting == "1>2")


def test_without_a_copy_a_pv_boot_starts_what_it_started(tmp_path: Path) -> None:
    before, after = menu(tmp_path, "trixie-simple")
    assert before != after
    for copy in (tmp_path / "boot/xen").iterdir():
        copy.write_bytes(b"")
    plain = started(tmp_path / "plain", before, "xen", "")
    assert started(tmp_path / "xen", after, "xen", "") == plain


def test_pygrub_reads_the_same(tmp_path: Path) -> None:
    names = [path.stem for path in generated_menus.PATHS]
    texts = []
    for name in names:
        before, after = menu(tmp_path / name, name)
        there = f"{tmp_path / name}/boot/"
        texts += [before.replace(there, "/boot/"), after.replace(there, "/boot/")]
    found = pygrub.chosen([{"/boot/grub/grub.cfg": text} for text in texts], tmp_path)
    assert all("kernel" in each for each in found)
    assert found[::2] == found[1::2]
    for before, after in zip(texts[::2], texts[1::2], strict=True):
        ours = [pygrub_menu.read(text, pygrub_menu.FILES[0][1]) for text in (before, after)]
        assert ours[0] == ours[1]


@pytest.mark.parametrize(
    ("line", "touched"),
    [
        pytest.param("linux {k} root=/dev/xvda ro", True, id="plain"),
        pytest.param("\tlinux\t{k}", True, id="no-arguments"),
        pytest.param("linux {k} dyndbg=\"file a +p; file b +p\" 'a;b' x", True, id="quoted"),
        pytest.param("linux {k} via=$grub_platform:${{prefix}}", True, id="variables"),
        pytest.param("linux ($root){k} ro", True, id="device"),
        pytest.param(r"linux {k} systemd.mask=dev-a\x2db.swap '\' x=\\ ro", True, id="escaped"),
        pytest.param(r"linux {k} a=\' ro", False, id="escaped-quote"),
        pytest.param("linux {k} ro \\", False, id="continued"),
        pytest.param("linux {k} ro; echo x", False, id="two-commands"),
        pytest.param("linux {k} 'a", False, id="open-quote"),
        pytest.param("linux {k} ro # a comment", False, id="comment"),
        pytest.param("linux {k}x ro", False, id="another-kernel"),
        pytest.param("echo linux {k} ro", False, id="another-command"),
        pytest.param("if true; then linux {k} ro; fi", False, id="in-a-condition"),
        pytest.param("# linux {k} ro", False, id="commented-out"),
    ],
)
def test_a_line_that_is_no_whole_command_stays(tmp_path: Path, line: str, touched: bool) -> None:
    kernel = f"{tmp_path}/boot/vmlinuz-{WITH_COPY[0]}"
    follows = "'" if line.endswith("'a") else "" if line.endswith("\\") else "true"
    text = f"menuentry a {{\n{line.format(k=kernel)}\n{follows}\n}}\n"
    boot = kernels_and_copies(tmp_path / "boot", f"vmlinuz-{WITH_COPY[0]} ")
    after = pv_menu.rewritten(text, boot, tmp_path / "output").decode()
    assert (after != text) is touched
    added = [row for row in after.splitlines() if row not in text.splitlines()]
    assert [row for row in after.splitlines() if row not in added] == text.splitlines()
    if touched:
        assert f"/xen/vmlinux-{WITH_COPY[0]}.gz" in added[0]
        assert added[0].endswith("; else")


def test_off_where_there_is_no_copy(tmp_path: Path) -> None:
    text = generated_menus.text("trixie-simple")
    boot = kernels_and_copies(tmp_path / "boot", text)
    for copy in (boot / "xen").iterdir():
        copy.unlink()
    assert pv_menu.rewritten(text, boot, tmp_path / "output").decode() == text


@pytest.mark.parametrize(
    "before",
    [
        pytest.param("ulimit -f $(($(wc -c <{output}) / 512 + 1))", id="no-room"),
        pytest.param("ulimit -f $(($(wc -c <{output}) / 512 + 1)); exec 2>&-", id="nor-stderr"),
        pytest.param("umask 777; cd /; set -u", id="odd-shell"),
    ],
)
def test_what_goes_wrong_costs_no_menu(tmp_path: Path, before: str) -> None:
    text, _ = menu(tmp_path, "trixie-simple")
    output = tmp_path / "again"
    found = pv_menu.rewritten(
        text, tmp_path / "boot", output, before=before.format(output=output)
    ).decode()
    assert found.startswith(text[:1000])
    assert "\0" not in found
    is_as_before = found == text
    assert is_as_before is ("ulimit" in before)


def test_a_pipe_gets_what_was_printed(tmp_path: Path) -> None:
    menu(tmp_path, "trixie-simple")
    script = (tmp_path / "output.sh").read_text()
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
