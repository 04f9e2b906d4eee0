# SPDX-License-Identifier: GPL-3.0-or-later
"""A mount point as systemd's automount units make them: the kernel asks this process when
somebody walks in.

Source: Linux Documentation/filesystems/autofs.rst, include/uapi/linux/auto_fs.h.
"""

import ctypes
import fcntl
import os
import signal
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from guest_hooks.machine import mounts

READY, FAIL = 0x9360, 0x9361
"""AUTOFS_IOC_READY and AUTOFS_IOC_FAIL."""
TOKEN_AT = 8
"""In struct autofs_v5_packet, behind the protocol's version and the packet's type."""
PACKET = 304


@contextmanager
def on_demand(point: Path, device: str) -> Iterator[None]:
    """Let `device` be mounted at `point` when somebody walks in; an empty one can't be mounted."""
    reader, writer = os.pipe()
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setpgid(0, 0)  # what this group does at the mount point asks nobody
            _serve(point, device, reader, writer, told)
        finally:
            os._exit(1)
    os.close(writer)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"r", "autofs could not be mounted"
        yield
    finally:
        os.close(ready)
        while any(mount.mountpoint == str(point) for mount in mounts.here()):
            subprocess.run(["umount", "--lazy", point], check=True, timeout=60)
        os.close(reader)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _serve(point: Path, device: str, reader: int, writer: int, told: int) -> None:
    options = f"fd={writer},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"test", os.fsencode(point), b"autofs", 0, options.encode()) != 0:
        return
    os.close(writer)
    top = os.open(point, os.O_RDONLY | os.O_DIRECTORY)
    os.write(told, b"r")
    while packet := os.read(reader, PACKET):
        (token,) = struct.unpack_from("I", packet, TOKEN_AT)
        is_mounted = (
            bool(device)
            and subprocess.run(["mount", device, point], check=False, timeout=60).returncode == 0
        )
        fcntl.ioctl(top, READY if is_mounted else FAIL, token)
