# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run notes for the next one decides no exit code: a /var that takes no note, or a root
that nobody may write to.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from guest_hooks.errors import ExitCode
from tests.support import images
from tests.support.debian_tree import Suite
from tests.support.outside_guest import PYTHON, OutsideGuest, environment, outside_guest

ONE = "--target=x86_64-xen"
STAGE = "pvboot-x86_64.elf"
NAME = "xen-guest-bootloader"
WAYS = {
    "var-read-only": "mount -t tmpfs -o ro none {top}/var/lib",
    "var-full": "mount -t tmpfs -o nr_inodes=1 none {top}/var/lib",
    "root-read-only": "mount -o remount,ro {top}",
    "a-file-in-its-place": "cd {top}/var/lib; rm -rf {name}; touch {name}",
    "a-link-to-nowhere": "cd {top}/var/lib; rm -rf {name}; ln -s nowhere {name}",
}
UNDO = {
    "root-read-only": "mount -o remount,rw {top}",
    "a-file-in-its-place": "rm {top}/var/lib/{name}",
    "a-link-to-nowhere": "rm {top}/var/lib/{name}",
}
HOLD = """
import sys
from guest_hooks.machine import lock
from guest_hooks.machine.root import Root
with lock.held(Root(sys.argv[1]), timeout=20):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path_factory.mktemp("noted"), Suite.BOOKWORM, boot="ext4") as tree:
        yield tree


@contextmanager
def noted_nowhere(tree: OutsideGuest, way: str) -> Iterator[None]:
    images.tool("sh", "-c", WAYS[way].format(top=tree.top, name=NAME))
    try:
        yield
    finally:
        undo = UNDO.get(way, "umount {top}/var/lib").format(top=tree.top, name=NAME)
        images.tool("sh", "-c", undo)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("was_there", [False, True], ids=["first", "again"])
def test_the_exit_code_is_the_guest_s_state(tree: OutsideGuest, way: str, was_there: bool) -> None:
    images.tool(
        "sh",
        "-c",
        f"rm -rf {tree.top}/var/lib/xen-guest-bootloader {tree.top}/boot/xen"
        f" {tree.top}/boot/grub/x86_64-xen",
    )
    if was_there:
        tree.sync(ONE)
        tree.boot_xen(STAGE).write_bytes(b"damaged")
    with noted_nowhere(tree, way):
        done = tree.sync(ONE)
        assert done.states() == {"x86_64-xen": "current"}
        # A read-only root still has the note of the same second stage.
        is_noted = was_there and way == "root-read-only"
        assert ("warning: what was installed could not be noted: " in done.stderr) is not is_noted
        again = tree.sync(ONE)
        assert (again.json["changed"], again.states()) == ([], {"x86_64-xen": "current"})
        tree.boot_xen(STAGE).write_bytes(b"damaged")
        tree.sync(ONE)
        assert tree.status("x86_64-xen").states() == {"x86_64-xen": "current"}
        tree.run("rollback", ONE, code=ExitCode.NOT_REPAIRED if not was_there else None)
    tree.sync(ONE)
    assert tree.status("x86_64-xen").states() == {"x86_64-xen": "current"}


@pytest.mark.parametrize("way", WAYS)
def test_one_run_at_a_time_all_the_same(tree: OutsideGuest, way: str) -> None:
    images.tool("sh", "-c", f"rm -rf {tree.top}/var/lib/xen-guest-bootloader")
    with noted_nowhere(tree, way):
        process = subprocess.Popen(
            [PYTHON, "-c", HOLD, str(tree.top)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment(),
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            tree.sync(ONE, "--lock-timeout=0", code=ExitCode.LOCKED)
            process.communicate("")
        tree.sync(ONE, "--lock-timeout=0")
