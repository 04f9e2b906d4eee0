"""Who holds a lock that a repair has to wait for. Nothing is locked to find out: that could make the others fail."""

import os

from guest_hooks.machine import lock
from guest_hooks.machine.root import Root

LOCKS = "/proc/locks"
WAITED_FOR = {
    "/var/lib/dpkg/lock": "dpkg",
    lock.PATH: "another run, or grub-install,",
}
"""Each with the one it belongs to. `lock-frontend` is not among them: apt holds that while it only asks or downloads."""


def holder(root: Root) -> str:
    """Who holds one of the locks, as words for a message; empty where nobody does."""
    for path, owner in WAITED_FOR.items():
        if is_held(root, path):
            return f"{owner} holds {root.outside(path)}"
    return ""


def is_held(root: Root, path: str) -> bool:
    """Whether some process holds a lock on `path`."""
    status = root.stat(path)
    return status is not None and _is_taken(status, _taken(Root().read_text(LOCKS, limit=1 << 20) or ""))


def _taken(text: str) -> set[tuple[str, str]]:
    """Device ("fd:00") and inode of every file with a lock: "1: POSIX  ADVISORY  WRITE 1234 fd:00:5678 0 EOF" (proc(5))."""
    taken = set()
    for line in text.splitlines():
        fields = line.split()
        if len(fields) >= 8 and fields[1] != "->":  # "->" is one who waits for it
            device, _, inode = fields[5].rpartition(":")
            taken.add((device, inode))
    return taken


def _is_taken(status: os.stat_result, taken: set[tuple[str, str]]) -> bool:
    major, minor = os.major(status.st_dev), os.minor(status.st_dev)
    if major == 0:  # btrfs tells stat another device than the one its locks are on
        return any(inode == str(status.st_ino) for _, inode in taken)
    return (f"{major:02x}:{minor:02x}", str(status.st_ino)) in taken
