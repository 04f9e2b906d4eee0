# SPDX-License-Identifier: GPL-3.0-or-later
"""grub.cfg of the running guest, made by the real grub-mkconfig for a real kernel."""

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support import hanging
from tests.support.chroot_guest import ChrootGuest
from tests.support.command_line import on_terminal
from tests.support.outside_guest import verb
from tests.tree.test_terminal_escapes import foreign

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


SNIPPET = "/etc/default/grub.d/99-prober.cfg"
PROBER = "/etc/default/prober"


def add_gone(guest: ChrootGuest) -> None:
    """An entry of a kernel that is gone, behind those that boot: the menu is to be made."""
    end = b"### END /etc/grub.d/10_linux ###"
    entry = b"menuentry 'gone' {\n\tlinux\t/boot/vmlinuz-0.1\n}\n"
    guest.path(CFG).write_bytes(guest.read(CFG).replace(end, entry + end))


@pytest.fixture
def hung(settled: ChrootGuest) -> Iterator[ChrootGuest]:
    """The real 30_os-prober starts an os-prober that never ends, in a session of its own; the menu
    is to be made.
    """
    guest = settled
    guest.write(f"{PROBER}/os-prober", f"#!/bin/sh\nexec setsid {hanging.FOREVER}\n", mode=0o755)
    guest.write(f"{PROBER}/linux-boot-prober", "#!/bin/sh\n", mode=0o755)
    guest.write(SNIPPET, f"GRUB_DISABLE_OS_PROBER=false\nPATH={PROBER}:$PATH\n")
    kept = guest.read(CFG)
    add_gone(guest)
    yield guest
    shutil.rmtree(guest.path(PROBER))
    guest.path(SNIPPET).unlink()
    guest.path(CFG).write_bytes(kept)
    verb(guest, "sync")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("sync",), 4, id="by-hand"),
        pytest.param(("sync", "--quiet", "--automatic"), 4, id="service-and-timer"),
        pytest.param(("sync", "--dry-run"), 3, id="dry-run"),
        pytest.param(("hook", "kernel-postinst", "6.1"), 0, id="kernel"),
        pytest.param(("hook", "kernel-postrm", "6.1"), 0, id="kernel-s-removal"),
        pytest.param(("hook", "trigger"), 4, id="trigger"),
    ],
)
def test_a_script_that_hangs_is_ended_and_named(
    hung: ChrootGuest, words: tuple[str, ...], code: int
) -> None:
    menu = hung.read(CFG)
    hung.path(FILE).unlink()
    before = hanging.living()
    began = time.monotonic()
    done = hanging.bounded(hung, *words)
    assert hanging.BOUND < time.monotonic() - began < hanging.BOUND + 30
    assert hanging.living() == before
    assert done.code == code, done.stderr
    assert "/etc/grub.d/30_os-prober was ended" in done.stderr
    assert f"grub-mkconfig did not end within {hanging.BOUND} s" in done.stderr
    assert "chmod -x /etc/grub.d/30_os-prober" in done.stderr
    assert hung.read(CFG) == menu
    assert hung.path(FILE).exists() is (words[-1] != "--dry-run"), "the second stage is made"


EVIL = "\\033]0;owned\\007\\033[2Jred\\302\\2331m"
"""For printf: a window's title, an erased screen, a colour by a C1 control."""


@pytest.mark.parametrize(
    ("words", "code"),
    [
        pytest.param(("hook", "kernel-postinst", "6.1"), 0, id="kernel"),
        pytest.param(("hook", "kernel-postrm", "6.1"), 0, id="kernel-s-removal"),
        pytest.param(("hook", "trigger"), 4, id="trigger"),
        pytest.param(("hook", "grub-install"), 0, id="grub-install"),
        pytest.param(("hook", "grub-install", "--verbose"), 1, id="grub-install-fails"),
    ],
)
def test_nothing_that_others_say_moves_a_terminal_s_cursor(
    settled: ChrootGuest, words: tuple[str, ...], code: int
) -> None:
    guest = settled
    tool, real = guest.path("/usr/sbin/grub-install"), guest.path("/usr/sbin/grub-install.real")
    changed = [guest.path(path) for path in ("/etc/os-release", "/etc/default/grub", CFG)]
    kept = {path: path.read_bytes() for path in changed if path.exists()}
    tool.rename(real)
    say = f"printf '{EVIL} %s\\n' "
    guest.write(
        "/usr/sbin/grub-install",
        f"#!/bin/sh\n{say}out; {say}err >&2\n"
        'case $* in *--verbose*) exit 1 ;; esac; exec /usr/sbin/grub-install.real "$@"\n',
        mode=0o755,
    )
    guest.write("/etc/grub.d/41_odd", f"#!/bin/sh\n{say}odd >&2; exit 1\n", mode=0o755)
    evil = guest.shell(f"printf '{EVIL}'").stdout
    guest.path("/etc/os-release").write_text(f'PRETTY_NAME="{evil}"\nNAME="{evil}"\n')
    guest.path("/etc/default/grub").write_text(f'GRUB_DISTRIBUTOR="{evil}"\n{say}set >&2\n')
    guest.path(f"/boot/vmlinuz-9.0{evil}").write_bytes(b"no kernel")
    add_gone(guest)
    guest.path(FILE).unlink()
    try:
        command = guest.command("python3", "-m", "guest_hooks", *words)
        found, shown = on_terminal(command)
        piped = guest.run("python3", "-m", "guest_hooks", *words, check=False)
    finally:
        real.rename(tool)
        guest.path("/etc/grub.d/41_odd").unlink()
        guest.path(f"/boot/vmlinuz-9.0{evil}").unlink()
        for path in changed:
            path.unlink()
        for path, data in kept.items():
            path.write_bytes(data)
        verb(guest, "sync")
    assert (found, piped.returncode) == (code, code), shown
    assert "owned" in shown
    assert foreign(shown) == ""
    if "grub-install" in words:
        assert evil in piped.stdout, "to a pipe it is passed on as it was said"
        assert evil in piped.stderr
