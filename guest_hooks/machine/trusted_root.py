# SPDX-License-Identifier: GPL-3.0-or-later
"""A root in which no other user's link is followed, for paths that a person names: in /tmp
anybody can put a link in the way.
"""

import os

from guest_hooks.errors import UsageError
from guest_hooks.machine.descriptors import closing
from guest_hooks.machine.root import Root
from guest_hooks.records import dataclass


@dataclass(frozen=True, slots=True)
class TrustedRoot(Root):
    """A root that follows a link only if it is root's, the caller's or of the owner of the
    directory that it is in.

    The kernel's rule for sticky directories (fs.protected_symlinks), kept here in every directory
    that others can write to.
    """

    SEES_AS_KERNEL = False

    def _target(self, directory: int, name: str) -> str:
        flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
        with closing(os.open(name, flags, dir_fd=directory)) as link:
            owner = os.fstat(link).st_uid
            if owner not in (0, os.geteuid(), os.fstat(directory).st_uid):
                where = os.readlink(f"/proc/self/fd/{directory}")
                raise UsageError(
                    f"{where}/{name} is a link of another user (uid {owner}), and is not followed",
                    hint=(
                        "name the place that it leads to, or a directory that only you can write to"
                    ),
                )
            return os.readlink("", dir_fd=link)
