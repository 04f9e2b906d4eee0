# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's own kernels that GRUB can't unpack for a PV guest, zstd's and LZ4's: the package alone
makes the guest boot by them.
"""

import gzip
import json
import os
import re

from tests.package.conftest import MakeGuest
from tests.package.test_kernels import another_kernel, menu, times_made, version_of
from tests.support import grub_file, hanging
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.kernels import pv_fault

CONDITION = re.compile(
    r'^(\s*)if \[ "\$grub_platform" = xen -a -s "(\S+)" \]; then linux (\S+)( .*); else\n'
    r"\1linux\s+(\S+)( .*)\n\1fi$",
    re.MULTILINE,
)
SECONDS = 3.0
"""Of processor time, for all that the hook before update-grub does."""


def kernels(guest: ChrootGuest) -> dict[str, dict[str, object]]:
    return {row["version"]: row for row in guest.status()["kernels"]}


def installed(guest: ChrootGuest) -> str:
    (path,) = guest.path("/boot").glob("vmlinuz-*")
    return path.name.removeprefix("vmlinuz-")


def has_right_copy(guest: ChrootGuest, version: str) -> None:
    """The copy is there, GRUB takes it for PV, and the menu has a PV boot start it."""
    copy = guest.read(f"/boot/xen/vmlinux-{version}.gz")
    assert pv_fault(copy) == ""
    assert gzip.decompress(copy).startswith(b"\x7fELF")
    work = guest.work / "copy"
    work.mkdir(exist_ok=True)
    assert grub_file.accepts(copy, "x86_64-xen", work)
    assert not grub_file.accepts(guest.read(f"/boot/vmlinuz-{version}"), "x86_64-xen", work)
    rows = [row for row in CONDITION.findall(menu(guest)) if row[4].endswith(f"vmlinuz-{version}")]
    assert len(rows) >= 2, "the entry and its recovery"
    for _, tested, started, arguments, kernel, others in rows:
        assert (
            tested == started == kernel.replace(f"vmlinuz-{version}", f"xen/vmlinux-{version}.gz")
        )
        assert arguments == others
    row = kernels(guest)[version]
    assert row["starts"] == {"pv": "copy", "pvh": "itself"}
    assert row["problems"] == []


def test_the_package_alone_makes_a_pv_guest_boot(shared_guest: ChrootGuest) -> None:
    has_right_copy(shared_guest, installed(shared_guest))
    words = ("preflight", "--json", "--target=x86_64-xen")
    answer = json.loads(shared_guest.run("xen-guest-bootloader", *words).stdout)
    assert (answer["will_boot"], answer["findings"]) == (True, [])
    assert any("/xen/vmlinux-" in step["text"] for step in answer["chain"])


def test_a_kernel_comes_and_goes_with_its_copy(pv_guest: ChrootGuest) -> None:
    package = another_kernel(pv_guest)
    version, older = version_of(package), installed(pv_guest)
    done = pv_guest.apt("install", "--no-install-recommends", package)
    words = done.stdout + done.stderr
    assert "will not boot" not in words
    assert times_made(words) == 1
    for each in (version, older):
        has_right_copy(pv_guest, each)
    pv_guest.assert_right()

    pv_guest.path(f"/boot/xen/vmlinux-{version}.gz").unlink()
    before = os.times()
    pv_guest.run("xen-guest-bootloader", "hook", "pv-kernels", version)
    after = os.times()
    used = after.children_user + after.children_system
    assert used - before.children_user - before.children_system < SECONDS
    has_right_copy(pv_guest, version)

    done = pv_guest.apt("remove", package)
    words = done.stdout + done.stderr
    assert times_made(words) == 1
    assert not pv_guest.path(f"/boot/xen/vmlinux-{version}.gz").exists()
    has_right_copy(pv_guest, older)
    pv_guest.assert_right()


def test_a_kernel_replaced_in_place_gets_another_copy(pv_guest: ChrootGuest) -> None:
    version = installed(pv_guest)
    before = pv_guest.read(f"/boot/xen/vmlinux-{version}.gz")
    kernel = pv_guest.path(f"/boot/vmlinuz-{version}")
    kernel.write_bytes(kernel.read_bytes() + b"\0" * 16)
    assert kernels(pv_guest)[version]["copy"]["state"] == "stale"  # type: ignore[index]
    pv_guest.run("xen-guest-bootloader", "sync")
    after = pv_guest.read(f"/boot/xen/vmlinux-{version}.gz")
    assert after != before
    assert gzip.decompress(after) == gzip.decompress(before)
    has_right_copy(pv_guest, version)


def test_off_again(make_guest: MakeGuest) -> None:
    """As PVH the guest needs no copy: `never` removes them, and the menu is Debian's again."""
    guest = make_guest(platform=Platform.PV, with_package=True)
    with_copies = menu(guest)
    guest.write("/etc/xen-guest-bootloader/conf.d/never.toml", 'pv_kernels = "never"\n')
    guest.platform = Platform.PVH
    guest.run("xen-guest-bootloader", "sync")
    assert not list(guest.path("/boot/xen").glob("vmlinux-*"))
    guest.run("update-grub")
    plain = menu(guest)
    assert "vmlinux-" not in plain
    assert CONDITION.sub(r"\1linux\t\5\6", with_copies) == plain


def test_a_script_that_hangs_is_waited_for_once(shared_guest: ChrootGuest) -> None:
    """A menu that starts no copies is made before the second stage, and not tried again behind
    it.
    """
    guest, script = shared_guest, "/etc/grub.d/41_hangs"
    kept = menu(guest)
    plain = CONDITION.sub(r"\1linux\t\5\6", kept)
    assert plain != kept
    guest.path("/boot/grub/grub.cfg").write_text(plain)
    guest.write(script, f"#!/bin/sh\necho >>/root/started; {hanging.FOREVER}\n", mode=0o755)
    guest.path("/boot/xen/pvboot-x86_64.elf").unlink()
    try:
        done = hanging.bounded(guest, "sync")
        started = guest.read("/root/started")
    finally:
        guest.path(script).unlink()
        guest.path("/root/started").unlink(missing_ok=True)
    assert (done.code, started, menu(guest)) == (4, b"\n", plain)
    assert f"{script} was ended" in done.stderr
    assert guest.path("/boot/xen/pvboot-x86_64.elf").exists()
    guest.run("xen-guest-bootloader", "sync")
    assert menu(guest) == kept
