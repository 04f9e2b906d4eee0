# SPDX-License-Identifier: GPL-3.0-or-later
"""A tree whose own GRUB is an enemy's: what it can see, reach and leave behind while this
software works on the tree.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import images, waiting
from tests.support.debian_tree import Suite
from tests.support.outside_guest import (
    Outcome,
    OutsideGuest,
    command,
    environment,
    outside_guest,
    snapshot,
)

PV = "x86_64-xen"
SECRET = "what the host keeps for itself"  # noqa: S105 - a marker
PROGRAMS = (
    "/usr/sbin/grub-probe",
    "/usr/sbin/grub-install",
    "/usr/sbin/grub-mkconfig",
    "/usr/bin/grub-script-check",
)
ALSO_RUN = ("/usr/bin/grub-mkrelpath", "/usr/bin/grub-mkimage", "/usr/bin/dash")
MOST_SECONDS = 60
"""Far below the 300 s that an endless grub-install is given, and enough for a busy machine."""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("hostile"), Suite.BOOKWORM) as tree:
        tree.run("sync", f"--target={PV}")
        yield tree


@contextmanager
def replaced(tree: OutsideGuest, program: str, script: str) -> Iterator[None]:
    """Let `script` stand in the place of the tree's own `program`, which it can run as
    `program`.real.
    """
    real = tree.path(program)
    aside = real.rename(f"{real}.real")
    real.write_text(f"#!/bin/sh\n{script}\n")
    real.chmod(0o755)
    try:
        yield
    finally:
        aside.rename(real)


def built(tree: OutsideGuest, script: str, code: int | None = 4) -> Outcome:
    """A sync for which the tree's grub-install must run, and is `script`."""
    with replaced(tree, "/usr/sbin/grub-install", script):
        began = time.monotonic()
        done = tree.run("sync", "--force", "--no-update-grub", f"--target={PV}", code=code)
        assert time.monotonic() - began < MOST_SECONDS
    assert SECRET not in done.stdout + done.stderr
    tree.run("sync", f"--target={PV}", "--lock-timeout=1")  # nobody holds the lock
    return done


def running(words: str) -> bool:
    """Whether a process runs on this machine whose command line has `words`."""
    for directory in Path("/proc").iterdir():
        if directory.name.isdigit():
            try:
                if words in (directory / "cmdline").read_text().replace("\0", " "):
                    return True
            except OSError:
                continue
    return False


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("status", f"--target={PV}"), None),
        (("detect", f"--target={PV}"), 0),
        (("preflight", f"--target={PV}"), None),
        (("sync", "--dry-run", f"--target={PV}"), 0),
        (("sync", "--dry-run", "--force", f"--target={PV}"), None),
        (("rollback", f"--target={PV}"), None),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_to_look_runs_nothing_of_the_tree(
    tree: OutsideGuest, words: tuple[str, ...], code: int | None
) -> None:
    for program in (*PROGRAMS, *ALSO_RUN):
        tree.path(program).rename(tree.path(f"{program}.real"))
        tree.path(program).write_text("#!/usr/bin/dash.real\n: >/ran\n")
        tree.path(program).chmod(0o755)
    try:
        done = tree.run(*words, code=code)
        assert not tree.path("/ran").exists()
        assert "Traceback" not in done.stderr
    finally:
        for program in (*PROGRAMS, *ALSO_RUN):
            tree.path(f"{program}.real").rename(tree.path(program))
        tree.path("/ran").unlink(missing_ok=True)


def test_a_tree_s_program_finds_nothing_of_the_host(tree: OutsideGuest, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{SECRET}\n")
    host_disk = os.stat(tmp_path).st_dev
    tree.path("/planted").unlink(missing_ok=True)
    os.mknod(tree.path("/planted"), 0o60666, host_disk)  # in the image before anybody mounted it
    images.tool("mount", "--bind", str(tmp_path), str(tree.path("/mnt")))
    script = f"""exec 3>/report
for root in "" /proc/1/root /proc/1/cwd ../../../../../../..; do cat "$root{secret}"; done >&3 2>&1
cat /mnt/secret >&3 2>&1
while read -r line; do
    case $line in Cap*|NoNewPrivs*) echo "$line";; esac
done </proc/self/status >&3
echo "processes: $(echo /proc/[0-9]*)" >&3
echo "devices: $(cd /dev && echo *)" >&3
{{ tail -n +3 /proc/self/net/dev | cut -d: -f1; head -c 1 /planted; }} >&3 2>&1
{{ mknod /made b 254 0; mount -t tmpfs none /mnt; }} >&3 2>&1
{{ unshare --user true; unshare --mount true; }} >&3 2>&1
echo x 2>&3 >/dev/xvda
echo x 2>&3 >/proc/sys/kernel/core_pattern
cat /proc/self/mountinfo >&3
exec "$0.real" "$@"
"""
    try:
        built(tree, script, code=0)
    finally:
        images.tool("umount", str(tree.path("/mnt")))
    report = tree.path("/report").read_text()
    assert SECRET not in report
    assert [line.split()[1] for line in report.splitlines() if line.startswith("Cap")] == [
        "0" * 16
    ] * 5
    assert "NoNewPrivs:\t1" in report
    shown = {
        line.split(": ")[0]: line.split(": ")[1].split()
        for line in report.splitlines()
        if line.startswith(("processes", "devices"))
    }
    assert len(shown["processes"]) <= 4
    assert [
        name
        for name in shown["devices"]
        if name.startswith(("sd", "vd", "nvme", "loop", "dm", "xvd"))
    ] in (
        ["xvda"],
        [Path(tree.disk.root.device).name, "xvda"],
    )
    assert report.count("Permission denied") >= 2  # its planted node, its own disk for writing
    assert report.count("unshare failed: Operation not permitted") == 2
    assert not tree.path("/made").exists()
    mounts = [line.split(" - ")[1].split()[0] for line in report.splitlines() if " - " in line]
    assert sorted(set(mounts)) == ["ext4", "proc", "tmpfs"]
    assert sum(kind == "ext4" for kind in mounts) == 1


def test_all_that_a_tree_s_program_started_ends_with_it(tree: OutsideGuest) -> None:
    built(tree, 'setsid sleep 98761 & sleep 98761 & exec "$0.real" "$@"', code=0)
    waiting.until(lambda: not running("sleep 98761"), patience=5)


def test_a_tree_s_program_ends_with_us(tree: OutsideGuest) -> None:
    with replaced(tree, "/usr/sbin/grub-install", "setsid sleep 98762 & exec sleep 98763"):
        words = command(tree.top, "sync", "--force", "--no-update-grub", f"--target={PV}")
        with subprocess.Popen(
            words, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            waiting.until(lambda: running("sleep 98762") and running("sleep 98763"), patience=60)
            process.send_signal(signal.SIGKILL)
        waiting.until(lambda: not running("sleep 9876"), patience=5)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("mkfifo core.elf", id="fifo"),
        pytest.param("ln -s /dev/zero core.elf", id="link-to-zero"),
        pytest.param("ln -s /etc/shadow core.elf", id="link-to-shadow"),
        pytest.param("ln -s ../../../../../../../etc/shadow core.elf", id="link-upward"),
        pytest.param("mkdir core.elf", id="directory"),
        pytest.param("truncate -s 900M core.elf", id="sparse"),
        pytest.param("yes >core.elf", id="endless"),
        pytest.param('i=0; while : >"$i.mod"; do i=$((i + 1)); done; exit 0', id="names"),
        pytest.param(
            "mv /dev/.staging/modules /dev/.staging/gone; ln -s /etc /dev/.staging/modules",
            id="staging-as-link",
        ),
        pytest.param('"$0.real" "$@"; rm normal.mod; mkfifo normal.mod', id="module-as-fifo"),
        pytest.param(
            '"$0.real" "$@"; rm normal.mod; ln -s /dev/zero normal.mod', id="module-as-link"
        ),
    ],
)
def test_what_a_tree_s_program_leaves_is_read_as_a_stranger_s(
    tree: OutsideGuest, script: str
) -> None:
    before = snapshot(tree.path("/boot/xen"))
    done = built(tree, f"cd /boot/grub/{PV} || exit 1\n{script}\nexit 0")
    assert "Traceback" not in done.stderr
    assert "internal error" not in done.stderr
    assert snapshot(tree.path("/boot/xen")) == before


@pytest.mark.parametrize("where", ["", " >&2"], ids=["stdout", "stderr"])
@pytest.mark.parametrize("program", ["/usr/sbin/grub-install", "/usr/sbin/grub-mkconfig"])
def test_endless_words_are_not_collected(tree: OutsideGuest, program: str, where: str) -> None:
    menu = tree.path("/boot/grub/grub.cfg")
    kept = menu.read_bytes()
    with replaced(tree, program, f"exec yes{where}"):
        menu.write_bytes(b"menuentry {\n")  # no GRUB takes that
        done = tree.run(
            "sync",
            "--force",
            f"--target={PV}",
            code=4,
            prefix=["sh", "-c", 'ulimit -v 1000000; exec "$@"', "sh"],
        )
    assert "said more than" in done.stderr
    menu.write_bytes(kept)


def test_the_tree_of_another_mount_namespace_is_refused(tree: OutsideGuest) -> None:
    before = snapshot(tree.path("/boot"))
    with subprocess.Popen(["unshare", "--mount", "sleep", "98764"]) as process:
        try:
            waiting.until(lambda: running("sleep 98764"), patience=10)
            done = subprocess.run(
                command(Path(f"/proc/{process.pid}/root"), "status", f"--target={PV}"),
                capture_output=True,
                text=True,
                env=environment(),
                timeout=60,
                check=False,
            )
        finally:
            process.kill()
    assert (done.returncode, done.stdout) == (2, "")
    assert "shows the tree of another mount namespace" in done.stderr
    assert snapshot(tree.path("/boot")) == before
