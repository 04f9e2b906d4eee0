# SPDX-License-Identifier: GPL-3.0-or-later
"""Python broken in each way, in a real Debian tree: kernels come and go, and grub-install does
what Debian's own does.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.package.test_kernels import DAMAGE, HOOK, SECOND_STAGE, another_kernel, menu, version_of
from tests.support.chroot_guest import ChrootGuest

PURGE = HOOK.replace("postinst.d", "postrm.d")
PACKAGES = "/usr/lib/python3/dist-packages"
STDLIB = "$(ls -d /usr/lib/python3.[0-9]*)"
BROKEN = {
    "no-elftools": f"mv {PACKAGES}/elftools {PACKAGES}/elftools.away",
    "no-guest-hooks": f"mv {PACKAGES}/guest_hooks {PACKAGES}/guest_hooks.away",
    "half-unpacked": (
        f"mv {PACKAGES}/guest_hooks/survey/plan.py /root/; rm -r {PACKAGES}/guest_hooks/__pycache__"
    ),
    "another-version-s-code": f"echo 'match = = 1' >{PACKAGES}/guest_hooks/sync/__init__.py",
    "no-python": "mv /usr/bin/python3 /usr/bin/python3.away",
    "python-of-another-version": "ln -sf python3.99 /usr/bin/python3",
    "python-crashes": (
        "mv /usr/bin/python3 /usr/bin/python3.away; printf '#!/bin/sh\\nkill -SEGV $$\\n'"
        " >/usr/bin/python3; chmod 755 /usr/bin/python3"
    ),
    "python-is-no-program": "mv /usr/bin/python3 /usr/bin/python3.away; : >/usr/bin/python3",
    "no-standard-library": f"d={STDLIB}; mv $d/encodings $d/encodings.away",
    "no-ctypes": (
        f"d={STDLIB}; mv $d/ctypes $d/ctypes.away; rm -rf {PACKAGES}/guest_hooks/__pycache__"
    ),
}
WHOLE = {
    "python-home": {"PYTHONHOME": "/nonexistent"},
    "python-path": {"PYTHONPATH": "/root/evil"},
    "no-path": {"PATH": ""},
    "bash-env": {"BASH_ENV": "/root/evil/env", "ENV": "/root/evil/env"},
    "functions": {"BASH_FUNC_exec%%": "() { exit 9; }", "BASH_FUNC_grep%%": "() { exit 9; }"},
}


@contextmanager
def broken(guest: ChrootGuest, script: str) -> Iterator[None]:
    """The guest with `script` run in it, and as before at the end."""
    guest.shell(
        "cp -a /usr/bin/python3 /root/python3; cp -a /usr/lib/python3/dist-packages /root/packages"
    )
    guest.shell(script)
    try:
        yield
    finally:
        guest.shell(
            "rm -f /usr/bin/python3 /usr/bin/python3.away; mv /root/python3 /usr/bin/python3; "
            "rm -r /usr/lib/python3/dist-packages; mv /root/packages"
            " /usr/lib/python3/dist-packages; rm -f /root/plan.py; "
            f'd={STDLIB}; for away in "$d"/*.away; do [ ! -e "$away" ] || mv "$away"'
            ' "${away%.away}"; done'
        )


@pytest.mark.parametrize("script", BROKEN.values(), ids=BROKEN)
def test_hooks_and_grub_install(shared_guest: ChrootGuest, script: str) -> None:
    guest = shared_guest
    guest.shell(DAMAGE)
    with broken(guest, script):
        for hook, mode in ((HOOK, "configure"), (PURGE, "remove")):
            done = guest.run(hook, "6.1.0-0-amd64", "/boot/vmlinuz", env={"DEB_MAINT_PARAMS": mode})
            assert done.stdout == ""
            assert "this stops no kernel" in done.stderr
        guest.shell("rm -f /boot/grub/x86_64-xen/core.elf")
        for words in (["grub-install"], ["grub-install", "--target=x86_64-xen"]):
            done = guest.run(*words)
            assert done.stderr.endswith("Installation finished. No error reported.\n")
            assert guest.read("/boot/grub/x86_64-xen/core.elf") == guest.read(SECOND_STAGE)
        failing = guest.run("grub-install", "--target=x86_64-xen", "--no-such-option", check=False)
        assert failing.returncode == 64
    assert guest.run("xen-guest-bootloader", "sync").returncode == 0
    guest.assert_right()


@pytest.mark.parametrize("environment", WHOLE.values(), ids=WHOLE)
def test_the_caller_s_environment_breaks_nothing(
    shared_guest: ChrootGuest, environment: dict[str, str]
) -> None:
    guest = shared_guest
    guest.write("/root/evil/json.py", "raise SystemExit(9)\n")
    guest.write("/root/evil/env", "exit 9\n")
    guest.shell(DAMAGE)
    # env(1) finds no program where PATH is empty
    variables = "".join(f" {name}={value!r}" for name, value in environment.items())
    script = [f"/usr/bin/env{variables} {HOOK} 6.1.0-0-amd64"]
    done = guest.run("/bin/sh", "-c", *script)
    assert f"Rebuilt {SECOND_STAGE}" in done.stderr
    guest.shell(DAMAGE)
    guest.run(
        "/usr/bin/env",
        *(f"{name}={value}" for name, value in environment.items()),
        "/usr/sbin/grub-install",
    )
    guest.assert_right()
    guest.shell("rm -r /root/evil")


def test_kernels_come_and_go(pv_guest: ChrootGuest) -> None:
    guest = pv_guest
    package = another_kernel(guest)
    version = version_of(package)
    with broken(guest, BROKEN["no-elftools"]):
        guest.apt("install", "--no-install-recommends", package)
        assert f"vmlinuz-{version}" in menu(guest)
        guest.apt("remove", package)
        assert f"vmlinuz-{version}" not in menu(guest)
    guest.assert_right()
