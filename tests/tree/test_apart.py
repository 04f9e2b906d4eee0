# SPDX-License-Identifier: GPL-3.0-or-later
"""What a worker of the tests mounts below /run is its own, whoever removes what outside."""

import subprocess
from pathlib import Path

from tests.support.checkout import CHECKOUT

OURS = "/run/xen-guest-bootloader"
OUTSIDE = f"""
set -eu
mount -t tmpfs run /run
mkdir -p {OURS} /run/other
echo there > /run/other/file
ln -s other /run/link
mkfifo "$1/mounted" "$1/removed"
{{entered}} sh -euc '
    {{mount}}
    echo staging > {OURS}/staging
    cat /run/other/file /run/link/file
    : > "$1/mounted"
    read -r _ < "$1/removed"
    cat {OURS}/staging
' sh "$1" &
read -r _ < "$1/mounted" || :
ls {OURS}
rmdir {OURS}
echo > "$1/removed"
wait $!
"""
"""Stands for a machine, with a /run of its own so that this one's is left alone; and a process
on it that removes the directory.
"""


def outcome(directory: Path, *, entered: str, mount: str) -> subprocess.CompletedProcess[str]:
    script = OUTSIDE.format(entered=entered, mount=mount)
    command = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--",
        "sh",
        "-c",
        script,
        "sh",
        str(directory),
    ]
    return subprocess.run(
        command, cwd=CHECKOUT, check=False, capture_output=True, text=True, timeout=60
    )


def test_a_directory_removed_elsewhere_takes_no_mount_away(tmp_path: Path) -> None:
    done = outcome(tmp_path, entered="tests/apart", mount=f"mount -t tmpfs staging {OURS}")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["there", "there", "staging"]


def test_a_mount_on_the_machines_own_directory_is_taken_away(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    done = outcome(
        tmp_path,
        entered="unshare --mount --propagation private",
        mount=f"mount -t tmpfs staging {OURS}",
    )
    assert f"cat: {OURS}/staging: No such file or directory" in done.stderr


def test_the_directory_itself_is_no_mount_of_the_machines(tmp_path: Path) -> None:
    done = outcome(tmp_path, entered="tests/apart", mount=":")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["there", "there", "staging"]
