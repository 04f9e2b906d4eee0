# SPDX-License-Identifier: GPL-3.0-or-later
"""What Debian's packages call: a kernel's hooks, the grub-install wrapper, dpkg's trigger,
cloud-init's first boot.

Each says nothing and succeeds where there is nothing for it to do, and none reads standard input.
The shell scripts that call them take any exit code but those that a hook documents for a program
that could not run.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import assert_never

from guest_hooks.errors import ExitCode, UsageError, did_you_mean
from guest_hooks.hooks import grub_install, kernel, repair
from guest_hooks.machine.root import Root


class Hook(StrEnum):
    """The names a package knows."""

    KERNEL_POSTINST = "kernel-postinst"
    PV_KERNELS = "pv-kernels"
    KERNEL_POSTRM = "kernel-postrm"
    GRUB_INSTALL = "grub-install"
    TRIGGER = "trigger"
    FIRST_BOOT = "first-boot"


DOES = {
    Hook.KERNEL_POSTINST: "after a kernel was installed; arguments: version, image",
    Hook.PV_KERNELS: "before update-grub lists a kernel that was installed",
    Hook.KERNEL_POSTRM: "after a kernel was removed; arguments: version, image",
    Hook.GRUB_INSTALL: "in place of grub-install, with its arguments",
    Hook.TRIGGER: "after GRUB's modules were upgraded (dpkg's trigger)",
    Hook.FIRST_BOOT: "on an instance's first boot (cloud-init)",
}
"""What each is for, in words that fit into `hook --help`."""


def run(words: Sequence[str]) -> ExitCode | int:
    """Run the hook that `words` begin with, on the running system; raises `GuestHooksError`
    where its caller should see it fail.
    """
    root = Root()
    name, arguments = (words[0], words[1:]) if words else ("", ())
    if name not in list(Hook):
        otherwise = f"hooks are: {', '.join(Hook)}"
        hint = did_you_mean(name, Hook, otherwise=otherwise) if name else otherwise
        raise UsageError(f"unknown hook {name!r}" if name else "no hook is named", hint=hint)
    match Hook(name):
        case Hook.KERNEL_POSTINST:
            return kernel.installed(root, arguments)
        case Hook.PV_KERNELS:
            return repair.copied(root, name)
        case Hook.KERNEL_POSTRM:
            return kernel.removed(root)
        case Hook.GRUB_INSTALL:
            return grub_install.run(root, arguments)
        case Hook.TRIGGER | Hook.FIRST_BOOT:
            return repair.repaired(root, name)
        case other:
            assert_never(other)
