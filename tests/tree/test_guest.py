# SPDX-License-Identifier: GPL-3.0-or-later
"""A real chroot, as an image build has it."""

import os
from pathlib import Path

import pytest

from guest_hooks.machine import guest
from guest_hooks.machine.root import Root
from tests.support import images


@pytest.mark.parametrize("has_proc", [True, False])
def test_a_chroot_is_told_by_what_init_sees(tmp_path: Path, has_proc: bool) -> None:
    (tmp_path / "proc").mkdir()
    if has_proc:
        images.tool("mount", "--bind", "/proc", str(tmp_path / "proc"))
    reader, writer = os.pipe()
    try:
        pid = os.fork()
        if pid == 0:
            try:
                os.chroot(tmp_path)
                os.chdir("/")
                os.write(writer, str(guest.is_chroot(Root()).holds).encode())
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        assert os.read(reader, 100) == b"True"
    finally:
        os.close(reader)
        os.close(writer)
        if has_proc:
            images.tool("umount", str(tmp_path / "proc"))
    assert not guest.is_chroot(Root())
