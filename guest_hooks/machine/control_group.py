# SPDX-License-Identifier: GPL-3.0-or-later
"""The systemd unit that this process runs in."""

import os

from guest_hooks.machine.root import Root


def own_unit() -> str:
    """The unit that this process runs in, by its control group; empty where there is no systemd."""
    # cgroups(7): "0::/system.slice/NAME.service"; in the old hierarchy "name=systemd" is between
    # the colons. Where both are there systemd goes by the new one, and goes on where it "failed to
    # attach" a process to the old ("compat systemd cgroup").
    lines = (Root().read_text("/proc/self/cgroup") or "").splitlines()
    rows = [line.split(":", 2) for line in lines if line.count(":") > 1]
    paths = {names: path for _, names, path in rows if path != "/"}
    return os.path.basename(paths.get("") or paths.get("name=systemd", ""))
