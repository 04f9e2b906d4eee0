# SPDX-License-Identifier: GPL-3.0-or-later
"""Who runs this program: a package's hook, the repair service, its timer or a person; what the
journal's entries say of it.
"""

import os
import pwd
from collections.abc import Mapping
from contextlib import suppress

from guest_hooks.machine.control_group import own_unit
from guest_hooks.machine.root import Root
from guest_hooks.origin import By, Doer
from guest_hooks.program import SYNC_UNIT

GRUB_INSTALL = "grub-install"
TIMER_SUFFIX = ".timer"


def of_hook(hook: str, environ: Mapping[str, str] = os.environ) -> By:
    """Whoever called the hook of this name: dpkg, which names the package (dpkg(1)), or a person
    who runs grub-install.
    """
    package = environ.get("DPKG_MAINTSCRIPT_PACKAGE", "")
    if hook == GRUB_INSTALL and not package:
        return By(doer=Doer.PERSON, name=f"{_person(environ)} ({GRUB_INSTALL})")
    return By(doer=Doer.HOOK, name=f"{hook} of {package}" if package else hook)


def of_command(
    environ: Mapping[str, str] = os.environ, *, automatic: bool = False, unit: str | None = None
) -> By:
    """Whoever started a verb: systemd, by the watcher or by the timer (TRIGGER_UNIT,
    systemd.exec(5)), or a person.
    """
    if (own_unit() if unit is None else unit) == SYNC_UNIT:
        is_timer = environ.get("TRIGGER_UNIT", "").endswith(TIMER_SUFFIX)
        return By(doer=Doer.TIMER if is_timer else Doer.SERVICE)
    if automatic:
        return By(doer=Doer.SERVICE)
    return By(doer=Doer.PERSON, name=_person(environ))


def _person(environ: Mapping[str, str]) -> str:
    return environ.get("SUDO_USER") or _logged_in() or _user(os.getuid())


def _logged_in() -> str:
    """The user who logged in, whatever user runs this process now; empty where nobody did
    (proc_pid_loginuid(5)).
    """
    uid = (Root().read_text("/proc/self/loginuid") or "").strip()
    return _user(int(uid)) if uid.isdecimal() and int(uid) != 2**32 - 1 else ""


def _user(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
