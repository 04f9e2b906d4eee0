# SPDX-License-Identifier: GPL-3.0-or-later
"""What a new kernel of trixie costs a PV guest, beyond what Debian does: the copy that GRUB can
start.
"""

from statistics import median

from bench.limits import Measured
from bench.preflight import REMEMBERED
from tests.support.chroot_guest import ChrootGuest

RUNS = 5
HOOK = "/etc/kernel/postinst.d/xen-guest-bootloader"
SCRIPT = """\
rm -f /boot/xen/vmlinux-{version}.gz {cache}
sync --file-system /boot
TIMEFORMAT='%U %S'
{{ time {hook} {version} /boot/vmlinuz-{version} >/dev/null 2>&1; }} 2>&1
test -s /boot/xen/vmlinux-{version}.gz
"""
"""Processor time of the hook and all that it starts, with bash's word for it."""


def figures(guest: ChrootGuest) -> dict[str, Measured]:
    """The processor time of the hook that runs before update-grub, for a kernel without a copy."""
    (path,) = guest.path("/boot").glob("vmlinuz-*-amd64")
    version = path.name.removeprefix("vmlinuz-")
    script = SCRIPT.format(hook=HOOK, version=version, cache=" ".join(REMEMBERED))
    told = [guest.run("bash", "-ec", script).stdout for _ in range(RUNS)]
    used = [sum(map(float, each.split())) for each in told]
    kernel, copy = (
        guest.path(f"/boot/{name}").stat().st_size / 1e6
        for name in (path.name, f"xen/vmlinux-{version}.gz")
    )
    detail = f"worst {max(used):.2f} s; {version}, {kernel:.1f} MB, copy {copy:.1f} MB"
    return {"pv-kernel": Measured(value=median(used), detail=detail)}
