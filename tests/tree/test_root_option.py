# SPDX-License-Identifier: GPL-3.0-or-later
"""`--root`: nothing is left mounted, nothing is written outside the tree, and what is no
guest's disk is refused.
"""

import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guest_hooks.cli.verbs.run_sync import UNCHANGED
from tests.support import images, other_users, report_schema
from tests.support.debian_tree import Suite
from tests.support.outside_guest import (
    FILES,
    OutsideGuest,
    command,
    environment,
    outside_guest,
    snapshot,
)

PV = "x86_64-xen"
PV_FILE = FILES[PV][0]
MOMENTS = 14


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("root"), Suite.BOOKWORM) as tree:
        tree.run("sync", f"--target={PV}")
        yield tree


@pytest.fixture(scope="module")
def own_boot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("own-boot"), Suite.BOOKWORM, boot="ext4") as tree:
        yield tree


def test_a_caller_s_umask_makes_no_directory_root_s_alone(own_boot: OutsideGuest) -> None:
    tops = [
        own_boot.path(path) for path in ("/boot/xen", "/boot/grub", "/var/lib/xen-guest-bootloader")
    ]
    for top in tops:
        shutil.rmtree(top, ignore_errors=True)
    own_boot.run("sync", f"--target={PV}", prefix=["sh", "-c", 'umask 077; exec "$@"', "sh"])
    made = [*tops, *(path for top in tops for path in top.rglob("*") if path.is_dir())]
    assert {path: mode for path in made if (mode := path.stat().st_mode & 0o777) != 0o755} == {}


def mounts_at(top: Path) -> list[str]:
    """Every mount in or under `top`, and every process's that could still hold one."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    return sorted(line.split()[4] for line in lines if line.split()[4].startswith(str(top)))


def processes_in(top: Path) -> list[str]:
    """The processes that still see a mount under `top` beyond ours."""
    ours = len(mounts_at(top))
    found = []
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                lines = (directory / "mountinfo").read_text().splitlines()
            except OSError:
                continue
            if sum(line.split()[4].startswith(str(top)) for line in lines) > ours:
                found.append((directory / "cmdline").read_text())
    return found


def test_nothing_is_mounted_afterwards(tree: OutsideGuest) -> None:
    before = mounts_at(tree.top)
    tree.boot_xen(PV_FILE).unlink()
    tree.run("sync", f"--target={PV}")
    tree.run("status", f"--target={PV}", code=None)
    assert mounts_at(tree.top) == before
    assert list(tree.path("/dev").glob("xvd*")) == []
    assert not any(tree.path("/proc").iterdir())


def test_nothing_is_mounted_after_a_kill_at_any_moment(tree: OutsideGuest) -> None:
    before = mounts_at(tree.top)
    for moment in range(MOMENTS):
        tree.boot_xen(PV_FILE).unlink(missing_ok=True)
        with subprocess.Popen(
            command(tree.top, "sync", f"--target={PV}"),
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(0.1 + moment * 0.1)
            process.send_signal(signal.SIGKILL)
        assert mounts_at(tree.top) == before
        deadline = time.monotonic() + 20
        while (left := processes_in(tree.top)) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == []
    tree.run("sync", f"--target={PV}")
    assert [
        path for path in tree.path("/boot").rglob("*") if "xen-guest-bootloader" in path.name
    ] == []


def absolute(outside: Path) -> str:
    return str(outside)


def upward(outside: Path) -> str:
    return f"{'../' * 30}{outside}"


# Where a link stands, and what is expected of the sync; the files outside must stay as they are in
# either case.
PLACES = [
    "/boot",
    "/boot/xen",
    "/boot/grub",
    "/boot/grub/x86_64-xen",
    "/boot/grub/fonts",
    "/var",
    "/var/lib",
    "/var/lib/xen-guest-bootloader",
    "/run",
    "/dev",
    "/sys",
    "/proc",
]


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        *((place, absolute) for place in PLACES),
        *((place, upward) for place in ("/boot", "/boot/xen", "/var/lib")),
    ],
)
def test_no_link_leads_a_write_outside(
    tree: OutsideGuest, tmp_path: Path, place: str, shape: Callable[[Path], str]
) -> None:
    outside = tmp_path / "outside"
    for name in ("xen", "grub/x86_64-xen", "grub/fonts", "lib/xen-guest-bootloader", "x86_64-xen"):
        (outside / name).mkdir(parents=True)
    (outside / "keep").write_text("x")
    path, aside = tree.path(place), tree.path(f"{place}.aside")
    if path.exists():
        path.rename(aside)
    path.symlink_to(shape(outside))
    before, mounted = snapshot(outside), mounts_at(tree.top)
    try:
        tree.boot_xen(PV_FILE).unlink(missing_ok=True) if not place.startswith("/boot") else None
        done = tree.run("sync", "--json", "--force", f"--target={PV}", code=None)
        assert done.code in (0, 4, 7), done.stderr
        assert "Traceback" not in done.stderr
        assert "internal error" not in done.stderr
        assert snapshot(outside) == before
        assert mounts_at(tree.top) == mounted
        inside = tree.path(str(outside))
        if inside.exists():  # the link means a path of the guest, where the directory was made
            shutil.rmtree(inside)
    finally:
        path.unlink() if path.is_symlink() else shutil.rmtree(path)
        if aside.exists():
            aside.rename(path)
    tree.run("sync", "--force", f"--target={PV}")


@pytest.mark.parametrize(
    "place", ["/boot/xen", "/boot/grub/x86_64-xen", "/var/lib/xen-guest-bootloader"]
)
def test_a_link_inside_the_tree_is_followed(tree: OutsideGuest, place: str) -> None:
    path, moved = tree.path(place), tree.path("/boot/moved")
    tree.boot_xen(PV_FILE).unlink()
    path.rename(moved)
    path.symlink_to("/boot/moved")  # the guest's, not the host's
    try:
        tree.run("sync", f"--target={PV}")
        assert path.is_symlink()
        assert tree.status(PV).states()[PV] == "current"
        assert any(moved.iterdir())
    finally:
        path.unlink()
        moved.rename(path)


def refused(tree: OutsideGuest, *words: str) -> str:
    """The one line of a run that something is missing for; nothing of /boot was changed."""
    before = snapshot(tree.path("/boot"))
    done = tree.run("sync", "--json", *(words or (f"--target={PV}",)), code=7)
    assert report_schema.complaints(done.json, "error") == []
    assert snapshot(tree.path("/boot")) == before
    return done.stderr


def test_a_plain_directory_is_refused(tmp_path: Path) -> None:
    for name in ("boot", "dev", "proc", "sys", "etc"):
        (tmp_path / "guest" / name).mkdir(parents=True)
    done = subprocess.run(
        command(tmp_path / "guest", "sync", f"--target={PV}"),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=environment(),
    )
    assert done.returncode == 7
    assert "is not the top of a mounted file system" in done.stderr
    assert list((tmp_path / "guest/boot").iterdir()) == []


def test_an_unmounted_boot_is_refused(own_boot: OutsideGuest) -> None:
    boot = own_boot.path("/boot")
    images.tool("umount", str(boot))
    try:
        assert "is in /etc/fstab and is not mounted" in refused(own_boot)
        assert list(boot.iterdir()) == []
    finally:
        images.tool("mount", own_boot.disk.boot.device, str(boot))
    assert own_boot.run("sync", f"--target={PV}").code == 0


def test_a_read_only_boot_is_refused_and_can_be_looked_at(own_boot: OutsideGuest) -> None:
    own_boot.run("sync", f"--target={PV}")
    boot = str(own_boot.path("/boot"))
    own_boot.boot_xen(PV_FILE).unlink()
    images.tool("mount", "-o", "remount,ro", boot)
    try:
        assert "read-only" in refused(own_boot)
        assert own_boot.status(PV).states()[PV] == "missing"
    finally:
        images.tool("mount", "-o", "remount,rw", boot)


def test_a_read_only_boot_with_nothing_to_do_is_fine(own_boot: OutsideGuest) -> None:
    own_boot.run("sync", f"--target={PV}")
    boot = str(own_boot.path("/boot"))
    images.tool("mount", "-o", "remount,ro", boot)
    try:
        assert own_boot.run("sync", f"--target={PV}").stdout == f"{UNCHANGED}\n"
    finally:
        images.tool("mount", "-o", "remount,rw", boot)


def test_a_full_boot_is_refused_with_need_and_have(own_boot: OutsideGuest) -> None:
    own_boot.run("sync", f"--target={PV}")
    own_boot.boot_xen(PV_FILE).unlink()
    with images.filled(own_boot.path("/boot")):
        message = refused(own_boot, "--no-update-grub", f"--target={PV}")
        assert "it needs" in message
        assert "free" in message
    own_boot.run("sync", f"--target={PV}")


def test_a_process_that_may_have_no_mount_namespace_is_refused(tree: OutsideGuest) -> None:
    before = snapshot(tree.top)
    script = 'echo 0 >/proc/sys/user/max_mnt_namespaces; exec "$@"'
    prefix = ["unshare", "--user", "--map-root-user", "sh", "-c", script, "sh"]
    refused = tree.run("sync", "--force", f"--target={PV}", code=7, prefix=prefix)
    assert "may not make a mount namespace" in refused.stderr
    assert "outside an unprivileged container" in refused.stderr
    assert snapshot(tree.top) == before


def test_modules_that_are_not_installed(tree: OutsideGuest) -> None:
    lib = tree.path("/usr/lib/grub/x86_64-xen")
    lib.rename(f"{lib}.away")
    try:
        found = tree.status(PV)
        assert any(problem["code"] == "grub-not-installed" for problem in found.json["problems"])
        assert found.code == 3
        done = tree.run("sync", "--json", "--force", f"--target={PV}", code=7)
        assert "apt install grub-xen-bin" in done.stderr
    finally:
        Path(f"{lib}.away").rename(lib)


def test_a_lock_that_is_held(tree: OutsideGuest) -> None:
    with other_users.our_lock(tree.top) as holder:
        done = tree.run("sync", "--json", "--lock-timeout=0.2", f"--target={PV}", code=6)
    assert report_schema.complaints(done.json, "error") == []
    assert f"process {holder.pid}" in done.stderr


def test_what_an_earlier_sync_made_for_another_platform_is_told(tree: OutsideGuest) -> None:
    def codes() -> list[str]:
        done = tree.run("status", "--json", code=None)
        assert [target["target"] for target in done.json["targets"]] == ["i386-xen_pvh"]
        return [problem["code"] for problem in done.json["problems"]]

    config = tree.path("/etc/xen-guest-bootloader/config.toml")
    config.parent.mkdir(exist_ok=True)
    config.write_text('targets = ["i386-xen_pvh"]\n')
    tree.run("sync")
    assert codes() == ["second-stage-left-behind"]
    hint = tree.run("status", "--json", code=None).json["problems"][0]["hint"]
    assert f"remove it: rm {tree.boot_xen(PV_FILE)};" in hint
    assert f"""echo 'targets = ["i386-xen_pvh", "x86_64-xen"]' >{tree.top}/etc/""" in hint
    assert tree.run("sync", code=None).stderr == ""
    assert tree.run("status", "--json", f"--target={PV}", code=None).json["problems"] == []
    whole = tree.boot_xen(PV_FILE).read_bytes()
    tree.boot_xen(PV_FILE).unlink()
    assert codes() == []
    tree.boot_xen(PV_FILE).write_bytes(whole)
    config.unlink()


def test_metrics_tell_what_status_tells(tree: OutsideGuest) -> None:
    gone = tree.boot_xen(PV_FILE)
    whole = gone.read_bytes()
    for state in ("current", "missing"):  # in a tree without a kernel, which boots nothing
        done = tree.run("status", "--metrics", f"--target={PV}", code=3)
        assert (
            f'second_stage_state{{target="{PV}",required="true",state="{state}"}} 1\n'
            in done.stdout
        )
        assert "xen_guest_bootloader_ok 0\n" in done.stdout
        gone.unlink(missing_ok=True)
    gone.write_bytes(whole)
    assert tree.run("status", "--metrics", code=5).stdout == ""


def test_every_verb_prints_what_the_schema_says(tree: OutsideGuest) -> None:
    targets = [f"--target={PV}", "--target=i386-xen_pvh"]
    for words, definition in (
        (("status", *targets), "status"),
        (("status",), "notApplicable"),
        (("sync", "--dry-run", *targets), "sync"),
        (("sync", *targets), "sync"),
        (("sync",), "error"),
        (("detect", *targets), "detect"),
        (("detect",), "detect"),
        (("rollback", f"--target={PV}"), ""),
        (("inspect", str(tree.boot_xen(PV_FILE)), "-v"), "inspect"),
        (("inspect", str(tree.boot_xen("pvhboot-i386.linux"))), "inspect"),
        (("stage1", "build", "-o", str(tree.path("/tmp/stage1.elf"))), "stage1Build"),
    ):
        done = tree.run(*words, "--json", code=None)
        assert report_schema.complaints(done.json, definition) == [], words
