# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit that this process runs in."""

import os

from guest_hooks.machine.root import Root


def own_unit() -> str:
    """The unit that this process runs in, by its control group; empty where there is no systemd."""
    # cgroups(7): "0::/system.slice/NAME.service"; in the old hierarchy "name=systemd" is between
    # the colons.
    lines = (Root().read_text("/proc/self/cgroup") or "").splitlines()
    for _, names, path in (line.split(":", 2) for line in lines if line.count(":") > 1):
        if names in ("", "name=systemd") and path != "/":
            return os.path.basename(path)
    return ""
