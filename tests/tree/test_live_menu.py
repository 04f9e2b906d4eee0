# SPDX-License-Identifier: GPL-3.0-or-later
"""grub.cfg of the running guest, made by the real grub-mkconfig for a real kernel."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.chroot_guest import ChrootGuest
from tests.support.outside_guest import verb

CFG = "/boot/grub/grub.cfg"
FILE = "/boot/xen/pvboot-x86_64.elf"


def cfg_state(guest: ChrootGuest) -> tuple[str, list[str]]:
    table = verb(guest, "status", "--json", code=None).json["grub_cfg"]
    return table["state"], [problem["code"] for problem in table["problems"]]


def kernel(guest: ChrootGuest) -> Path:
    (found,) = guest.path("/boot").glob("vmlinuz-*-amd64")
    return found


CFG_DAMAGES = [
    pytest.param(lambda path: path.unlink(), "missing", "grub-cfg-missing", id="missing"),
    pytest.param(lambda path: path.write_bytes(b""), "invalid", "grub-cfg-invalid", id="empty"),
    pytest.param(
        lambda path: path.write_bytes(bytes(4096)), "invalid", "grub-cfg-invalid", id="zeros"
    ),
    pytest.param(
        lambda path: path.write_text(
            path.read_text()[: path.read_text().index("menuentry '") + 300]
        ),
        "invalid",
        "grub-cfg-invalid",
        id="truncated",
    ),
    pytest.param(
        lambda path: path.write_text("if true; then\n" + path.read_text()),
        "invalid",
        "grub-cfg-invalid",
        id="syntax",
    ),
]


@pytest.mark.parametrize(("damage", "state", "code"), CFG_DAMAGES)
def test_a_damaged_grub_cfg_is_made_anew(
    settled: ChrootGuest, damage: Callable[[Path], object], state: str, code: str
) -> None:
    good = settled.read(CFG)
    path = settled.path(CFG)
    path.chmod(0o644)
    damage(path)
    assert cfg_state(settled) == (state, [code])
    left = verb(settled, "sync", "--no-update-grub", "--json")
    assert left.json["grub_cfg"]["state"] == state
    told = verb(settled, "sync", "--dry-run", "--json", code=3)
    done = verb(settled, "sync", "--json")
    assert [(change["path"], change["why"]) for change in done.json["changed"]] == [(CFG, [code])]
    assert told.json["changed"] == done.json["changed"]
    assert settled.read(CFG) == good
    assert path.stat().st_mode & 0o777 == (0o600 if state == "missing" else 0o644)


def another_kernel(guest: ChrootGuest) -> list[Path]:
    """A complete kernel that the menu does not name yet; its files."""
    own = kernel(guest)
    files = [guest.path(f"/boot/{kind}-6.99.0-cloud-amd64") for kind in ("vmlinuz", "initrd.img")]
    shutil.copy(own, files[0])
    shutil.copy(own.with_name(own.name.replace("vmlinuz", "initrd.img")), files[1])
    return files


def test_kernels_that_come_and_go(settled: ChrootGuest) -> None:
    files = another_kernel(settled)
    try:
        assert cfg_state(settled) == ("stale", ["kernel-not-in-menu"])
        verb(settled, "sync")
        assert b"vmlinuz-6.99.0-cloud-amd64" in settled.read(CFG)
    finally:
        for path in files:
            path.unlink()
    assert cfg_state(settled) == ("stale", ["kernel-gone"])
    verb(settled, "sync")
    assert b"6.99.0" not in settled.read(CFG)
    assert cfg_state(settled) == ("current", [])


def test_a_hand_written_grub_cfg_is_left_alone(settled: ChrootGuest) -> None:
    path = settled.path(CFG)
    good = path.read_bytes()
    path.unlink()
    mine = b"menuentry 'mine' {\n\tlinux /vmlinuz root=/dev/xvda\n}\n"
    path.write_bytes(mine)
    assert cfg_state(settled) == ("current", [])
    verb(settled, "sync", "--force")
    assert path.read_bytes() == mine
    path.unlink()
    path.write_bytes(good)


@pytest.mark.parametrize(
    ("script", "words"),
    [
        pytest.param("exit 0", "empty", id="says-nothing"),
        pytest.param("echo 'if true; then'", "yntax error", id="syntax"),
        pytest.param(
            "echo '### BEGIN /etc/grub.d/10_linux ###'; echo 'set a=1'", "cut off", id="cut-off"
        ),
        pytest.param("echo 'set a=1'; exit 1", "failed", id="fails"),
        pytest.param("head -c 3000 /dev/urandom", "", id="garbage"),
    ],
)
def test_a_grub_mkconfig_gone_wrong_leaves_the_old_one(
    settled: ChrootGuest, script: str, words: str
) -> None:
    real, files = settled.path("/usr/sbin/grub-mkconfig"), another_kernel(settled)
    kept = real.with_name("grub-mkconfig.kept")
    real.rename(kept)
    settled.write("/usr/sbin/grub-mkconfig", f'#!/bin/sh\nexec >"$2"\n{script}\n', mode=0o755)
    before = settled.read(CFG)
    settled.path(FILE).unlink()
    try:
        done = verb(settled, "sync", "--json", code=4)
        assert settled.read(CFG) == before
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        copy = "/boot/xen/vmlinux-6.99.0-cloud-amd64.gz"
        assert [change["path"] for change in done.json["changed"]] == [copy, FILE], (
            "what was done before is told"
        )
        assert verb(settled, "status", "--json", code=3).states() == {"x86_64-xen": "current"}
    finally:
        kept.rename(real)
        for path in files:
            path.unlink()


def test_a_grub_cfg_with_a_password_is_root_s_alone(settled: ChrootGuest) -> None:
    settled.write(
        "/etc/grub.d/45_password",
        "#!/bin/sh\necho 'password_pbkdf2 root grub.pbkdf2.sha512.1.A.B'\n",
        mode=0o755,
    )
    try:
        settled.path(CFG).unlink()
        verb(settled, "sync")
        assert settled.path(CFG).stat().st_mode & 0o777 == 0o600
    finally:
        settled.path("/etc/grub.d/45_password").unlink()
        settled.path(CFG).unlink()
        verb(settled, "sync")
