"""The running guest, with a real kernel and grub-mkconfig: the cheap look that nothing has changed, grub.cfg, a terminal."""

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest_hooks import __version__
from tests.support import report_schema
from tests.support.command_line import on_terminal
from tests.support.debian_tree import Suite
from tests.support.guest_tree import Outcome, live_guest, snapshot, verb
from tests.support.tree_guest import Platform, TreeGuest

CFG = "/boot/grub/grub.cfg"
CHEAP = "Nothing to do: nothing has changed since the last sync.\n"
FILE = "/boot/xen/pvboot-x86_64.elf"
FINGERPRINT = "/var/lib/xen-guest-bootloader/fingerprint"


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TreeGuest]:
    with live_guest(Suite.BOOKWORM, tmp_path_factory.mktemp("live")) as guest:
        verb(guest, "sync")
        yield guest


@pytest.fixture
def settled(guest: TreeGuest) -> TreeGuest:
    """The guest as a sync that found nothing to do leaves it."""
    guest.platform = Platform.PV
    verb(guest, "sync")
    assert verb(guest, "sync").stdout == CHEAP
    return guest


def test_what_is_installed_is_what_the_guest_is(guest: TreeGuest) -> None:
    table = verb(guest, "status", "--json").json
    assert report_schema.complaints(table, "status") == []
    assert [(row["target"], row["required"], row["state"]) for row in table["targets"]] == [("x86_64-xen", True, "current")]
    assert (table["guest"]["mode"], table["grub_cfg"]["state"], table["ok"]) == ("pv", "current", True)


def test_a_host_that_switches_to_pvh_makes_its_files_wanted(settled: TreeGuest) -> None:
    settled.platform = Platform.PVH
    assert verb(settled, "status", "--json", code=3).states() == {"i386-xen_pvh": "missing"}
    assert CHEAP not in verb(settled, "sync").stdout
    assert verb(settled, "status", "--json").states() == {"i386-xen_pvh": "current"}


@pytest.mark.parametrize("platform", [Platform.HVM, Platform.DOM0, Platform.NONE])
def test_where_it_does_not_belong_it_writes_nothing(settled: TreeGuest, platform: Platform) -> None:
    settled.platform = platform
    before = snapshot(settled.path("/boot"))
    done = verb(settled, "sync", code=5)
    assert len([line for line in done.stderr.splitlines() if "error" in line]) == 1
    assert snapshot(settled.path("/boot")) == before


def test_the_cheap_look_writes_nothing(settled: TreeGuest) -> None:
    before = snapshot(settled.path("/boot"), settled.path("/var/lib"), settled.path("/etc"))
    assert verb(settled, "sync").stdout == CHEAP
    assert verb(settled, "sync", "--quiet", "--automatic").stdout == ""
    assert snapshot(settled.path("/boot"), settled.path("/var/lib"), settled.path("/etc")) == before


def same_size_and_time(path: Path, data: bytes) -> None:
    """Replace a file by another of the same length and time; nothing but its inode and its change time tell."""
    status = path.stat()
    other = path.with_name("other")
    other.write_bytes(data)
    other.chmod(status.st_mode & 0o7777)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(path)


def same_size_in_place(path: Path, data: bytes) -> None:
    status = path.stat()
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def spoiled(data: bytes) -> bytes:
    return data[:-40] + bytes(40)


@pytest.mark.parametrize("replace", [same_size_and_time, same_size_in_place])
@pytest.mark.parametrize(
    "path", [FILE, "/boot/grub/x86_64-xen/core.elf", "/boot/grub/x86_64-xen/normal.mod", "/usr/lib/grub/x86_64-xen/normal.mod"]
)
def test_a_file_of_the_same_size_and_time_is_seen_in_the_same_second(
    guest: TreeGuest, path: str, replace: Callable[[Path, bytes], None]
) -> None:
    """The file is replaced in the very moment that a sync ends, within one second of its own time."""
    good = guest.read("/usr/lib/grub/x86_64-xen/normal.mod")
    guest.path(FILE).unlink()
    verb(guest, "sync")  # writes the second stage, and remembers that all is well
    replace(guest.path(path), spoiled(guest.read(path)))
    assert CHEAP not in verb(guest, "sync", code=None).stdout
    guest.path("/usr/lib/grub/x86_64-xen/normal.mod").write_bytes(good)
    verb(guest, "sync")
    assert verb(guest, "status", "--json").json["ok"] is True


def upgraded(guest: TreeGuest) -> None:
    """Let the fingerprint be that of the version before."""
    guest.write(FINGERPRINT, guest.read(FINGERPRINT).decode().replace(f" of {__version__}\n", " of 0.9.9\n", 1))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda guest: guest.write("/etc/xen-guest-bootloader/config.toml", ""), id="configuration-made"),
        pytest.param(lambda guest: guest.write("/etc/xen-guest-bootloader/conf.d/a.toml", ""), id="configuration-added"),
        pytest.param(lambda guest: guest.path("/usr/lib/grub/x86_64-xen/hexdump.mod").touch(), id="package-touched"),
        pytest.param(lambda guest: guest.path("/usr/lib/grub/x86_64-xen/new.mod").touch(), id="module-added"),
        pytest.param(lambda guest: guest.path(CFG).touch(), id="grub-cfg-touched"),
        pytest.param(lambda guest: guest.path("/boot/vmlinuz-6.99.0-cloud-amd64").write_bytes(b"x"), id="kernel-added"),
        pytest.param(lambda guest: guest.path("/etc/fstab").touch(), id="fstab"),
        pytest.param(lambda guest: guest.write(FINGERPRINT, guest.read(FINGERPRINT).decode()[:-40]), id="fingerprint-damaged"),
        pytest.param(upgraded, id="package-upgraded"),
        pytest.param(lambda guest: guest.write(FINGERPRINT, ""), id="fingerprint-empty"),
        pytest.param(lambda guest: guest.path(FINGERPRINT).unlink(), id="fingerprint-deleted"),
    ],
)
def test_what_may_matter_ends_the_cheap_look(settled: TreeGuest, change: Callable[[TreeGuest], object]) -> None:
    change(settled)
    assert verb(settled, "sync").stdout != CHEAP
    for path in ("/etc/xen-guest-bootloader", "/usr/lib/grub/x86_64-xen/new.mod", "/boot/vmlinuz-6.99.0-cloud-amd64"):
        there = settled.path(path)
        shutil.rmtree(there) if there.is_dir() else there.unlink(missing_ok=True)


@pytest.mark.parametrize(
    "words",
    [["--force"], ["--dry-run"], ["--target=x86_64-xen"], ["--json"], ["--adopt"]],
    ids=lambda words: words[0],
)
def test_whoever_asks_for_more_gets_more(settled: TreeGuest, words: list[str]) -> None:
    assert verb(settled, "sync", *words).stdout != CHEAP


@pytest.mark.parametrize("words", [["status", "--metrics"], ["sync", "--force"], ["preflight"]], ids=" ".join)
def test_grub_s_tools_are_found_where_cron_s_path_leaves_them_out(settled: TreeGuest, words: list[str]) -> None:
    expected = verb(settled, *words, code=None)
    done = settled.run("env", "PATH=/usr/bin:/bin", "python3", "-m", "guest_hooks", *words, check=False)
    assert (done.returncode, done.stderr) == (expected.code, expected.stderr)
    assert "not installed" not in done.stderr


WITHOUT_AN_INITRD = """
import sys
from guest_hooks import cli
from guest_hooks.machine import mounts
mounts.MOUNTINFO = "/tmp/mountinfo"
sys.exit(cli.main(sys.argv[1:]))
"""
"""Runs the program with the mount table of a kernel that mounted its root itself."""


def test_a_root_that_the_kernel_mounted_by_itself(settled: TreeGuest) -> None:
    device = settled.disk.root.device
    table = f"sed 's# {device} # /dev/root #' /proc/self/mountinfo >/tmp/mountinfo; grep -q /dev/root /tmp/mountinfo"
    settled.write("/tmp/program", WITHOUT_AN_INITRD)
    settled.path(FILE).unlink()
    settled.shell(f"{table}; python3 /tmp/program sync")
    assert f"\nuuid\t{device}\t{settled.disk.root.uuid}\n" in settled.read(FINGERPRINT).decode()
    assert verb(settled, "sync").stdout == CHEAP


def test_a_menu_of_grub_legacy_that_is_gone_is_made_anew(settled: TreeGuest) -> None:
    menu = settled.path("/boot/grub/menu.lst")
    settled.write("/etc/xen-guest-bootloader/conf.d/legacy.toml", "legacy_menu = true\n")
    try:
        verb(settled, "sync")
        assert verb(settled, "sync").stdout == CHEAP
        menu.unlink()
        verb(settled, "status", code=3)
        verb(settled, "sync")
        assert menu.exists()
    finally:
        shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))
        menu.unlink(missing_ok=True)


def cfg_state(guest: TreeGuest) -> tuple[str, list[str]]:
    table = verb(guest, "status", "--json", code=None).json["grub_cfg"]
    return table["state"], [problem["code"] for problem in table["problems"]]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        pytest.param(place, words, id=f"{words[0]}-{place}")
        for place, verbs in (
            ("/boot", (("detect",), ("status",), ("preflight",), ("sync", "--dry-run"))),
            ("/boot/xen", (("status",), ("status", "--metrics"), ("preflight",), ("sync", "--dry-run"))),
            ("/boot/grub", (("status",),)),
            ("/boot/grub/x86_64-xen", (("status",),)),
            ("/usr/lib/grub/x86_64-xen", (("status",),)),
        )
        for words in verbs
    ],
)
def test_what_is_root_s_alone_is_named_to_another(guest: TreeGuest, place: str, words: tuple[str, ...]) -> None:
    guest.platform = Platform.PV
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "python3", "-m", "guest_hooks")
    guest.path(place).chmod(0o700)
    try:
        done = guest.run(*as_nobody, *words, check=False)
    finally:
        guest.path(place).chmod(0o755)
    assert done.returncode == 7, done.stderr
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        f"xen-guest-bootloader: error: {place} could not be looked at: Permission denied",
        "  -> run as root",
    ]


def kernel(guest: TreeGuest) -> Path:
    (found,) = guest.path("/boot").glob("vmlinuz-*-amd64")
    return found


CFG_DAMAGES = [
    pytest.param(lambda path: path.unlink(), "missing", "grub-cfg-missing", id="missing"),
    pytest.param(lambda path: path.write_bytes(b""), "invalid", "grub-cfg-invalid", id="empty"),
    pytest.param(lambda path: path.write_bytes(bytes(4096)), "invalid", "grub-cfg-invalid", id="zeros"),
    pytest.param(
        lambda path: path.write_text(path.read_text()[: path.read_text().index("menuentry '") + 300]),
        "invalid",
        "grub-cfg-invalid",
        id="truncated",
    ),
    pytest.param(lambda path: path.write_text("if true; then\n" + path.read_text()), "invalid", "grub-cfg-invalid", id="syntax"),
]


@pytest.mark.parametrize(("damage", "state", "code"), CFG_DAMAGES)
def test_a_damaged_grub_cfg_is_made_anew(settled: TreeGuest, damage: Callable[[Path], object], state: str, code: str) -> None:
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
    assert [change["path"] for change in told.json["changed"]] == [CFG]
    assert settled.read(CFG) == good
    assert path.stat().st_mode & 0o777 == 0o444


def test_kernels_that_come_and_go(settled: TreeGuest) -> None:
    new = settled.path("/boot/vmlinuz-6.99.0-cloud-amd64")
    shutil.copy(kernel(settled), new)
    try:
        assert cfg_state(settled) == ("stale", ["kernel-not-in-menu"])
        verb(settled, "sync")
        assert b"vmlinuz-6.99.0-cloud-amd64" in settled.read(CFG)
    finally:
        new.unlink()
    assert cfg_state(settled) == ("stale", ["kernel-gone"])
    verb(settled, "sync")
    assert b"6.99.0" not in settled.read(CFG)
    assert cfg_state(settled) == ("current", [])


def test_a_hand_written_grub_cfg_is_left_alone(settled: TreeGuest) -> None:
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
        pytest.param("echo 'if true; then'", "Syntax error", id="syntax"),
        pytest.param("echo '### BEGIN /etc/grub.d/10_linux ###'; echo 'set a=1'", "cut off", id="cut-off"),
        pytest.param("echo 'set a=1'; exit 1", "failed", id="fails"),
        pytest.param("head -c 3000 /dev/urandom", "", id="garbage"),
    ],
)
def test_a_grub_mkconfig_gone_wrong_leaves_the_old_one(settled: TreeGuest, script: str, words: str) -> None:
    real, stale = settled.path("/usr/sbin/grub-mkconfig"), settled.path("/boot/vmlinuz-6.99.0-cloud-amd64")
    kept = real.with_name("grub-mkconfig.kept")
    real.rename(kept)
    settled.write("/usr/sbin/grub-mkconfig", f"#!/bin/sh\n{script}\n", mode=0o755)
    stale.write_bytes(b"x")
    before = settled.read(CFG)
    settled.path(FILE).unlink()
    try:
        done = verb(settled, "sync", "--json", code=4)
        assert settled.read(CFG) == before
        assert words in done.stderr
        assert "Traceback" not in done.stderr
        assert [change["path"] for change in done.json["changed"]] == [FILE], "what was done before is told"
        assert verb(settled, "status", "--json", code=3).states() == {"x86_64-xen": "current"}
    finally:
        kept.rename(real)
        stale.unlink()


def test_an_optional_target_that_can_t_be_made_is_told(settled: TreeGuest) -> None:
    library, hidden = settled.path("/usr/lib/grub/i386-xen_pvh"), settled.path("/root/i386-xen_pvh")
    library.rename(hidden)
    for file in settled.path("/boot/xen").glob("pvhboot-*"):
        file.unlink()
    settled.write("/etc/xen-guest-bootloader/config.toml", 'targets = ["auto", "i386-xen_pvh"]\n')
    try:
        for words in (("sync",), ("sync", "--quiet", "--automatic"), ("hook", "trigger")):
            done = verb(settled, *words)
            assert done.stdout == ""
            assert "xen-guest-bootloader: warning: i386-xen_pvh, which is optional, is missing\n" in done.stderr
            assert "  -> apt install grub-xen-bin\n" in done.stderr
        assert "error" not in done.stderr
    finally:
        hidden.rename(library)
        shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))


def unsure(guest: TreeGuest, *words: str) -> Outcome:
    """Run the program in the guest as on a file system for which nothing is known that makes GRUB see what was written."""
    script = (
        "import sys; from guest_hooks import cli; from guest_hooks.machine import durable; from guest_hooks.model import *; "
        "durable.barrier = lambda root, where: Problem(code='barrier-unknown', message=where, severity=Severity.WARNING); "
        f"sys.exit(cli.main({list(words)!r}))"
    )
    done = guest.run("python3", "-c", script)
    return Outcome(code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def test_a_menu_that_grub_may_not_see_yet_is_told(settled: TreeGuest) -> None:
    settled.path(CFG).unlink()
    done = unsure(settled, "sync")
    assert done.stdout == f"wrote {CFG} (grub-cfg-missing)\n"
    assert done.stderr == "xen-guest-bootloader: warning: /boot/grub\n"
    settled.path(CFG).unlink()
    problems = unsure(settled, "sync", "--json").json["problems"]
    assert [problem["code"] for problem in problems] == ["barrier-unknown"]


def test_a_rollback_that_grub_may_not_see_yet_is_told(settled: TreeGuest) -> None:
    settled.write("/etc/xen-guest-bootloader/config.toml", 'extra_modules = ["hexdump"]\n')
    verb(settled, "sync")
    done = unsure(settled, "rollback")
    assert done.stdout == f"wrote {FILE} (rollback)\n"
    assert "xen-guest-bootloader: warning: /boot/xen\n" in done.stderr
    assert f"xen-guest-bootloader: warning: {FILE} was put back by rollback" in done.stderr
    held = verb(settled, "hook", "trigger")
    assert f"xen-guest-bootloader: warning: {FILE} was put back by rollback" in held.stderr
    shutil.rmtree(settled.path("/etc/xen-guest-bootloader"))
    verb(settled, "sync")


def test_a_grub_cfg_with_a_password_is_root_s_alone(settled: TreeGuest) -> None:
    settled.write("/etc/grub.d/45_password", "#!/bin/sh\necho 'password_pbkdf2 root grub.pbkdf2.sha512.1.A.B'\n", mode=0o755)
    try:
        settled.path(CFG).unlink()
        verb(settled, "sync")
        assert settled.path(CFG).stat().st_mode & 0o777 == 0o600
    finally:
        settled.path("/etc/grub.d/45_password").unlink()
        settled.path(CFG).unlink()
        verb(settled, "sync")


def test_progress_is_for_a_terminal(settled: TreeGuest) -> None:
    settled.path(FILE).unlink()
    slow = settled.path("/usr/local/sbin/grub-install")
    settled.write("/usr/local/sbin/grub-install", '#!/bin/sh\nsleep 1.5\nexec /usr/sbin/grub-install "$@"\n', mode=0o755)
    code, shown = on_terminal(settled.command("python3", "-m", "guest_hooks", "sync", "--force"))
    assert code == 0
    slow.unlink()
    times = re.findall(r"Building the second stage for x86_64-xen … (\d+\.\d) s", shown)
    assert len(set(times)) > 2
    assert max(map(float, times)) > 1
    last = shown.rstrip("\r\n").splitlines()[-1]
    assert last.rpartition("\033[K")[2].startswith("wrote ")
    settled.path(FILE).unlink()
    piped = verb(settled, "sync", "--force")
    assert piped.stdout == f"wrote {FILE} (missing)\n"
    assert piped.stderr == ""


def test_progress_does_not_mix_with_json(settled: TreeGuest) -> None:
    done: Outcome = verb(settled, "sync", "--json", "--force")
    assert report_schema.complaints(done.json, "sync") == []
    assert done.stderr == ""
