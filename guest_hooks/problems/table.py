# SPDX-License-Identifier: GPL-3.0-or-later
"""All problem codes."""

from collections.abc import Mapping

from guest_hooks.problems.boot import (
    BootFsProblem,
    ConsoleProblem,
    FstabProblem,
    RootProblem,
    Stage1Problem,
)
from guest_hooks.problems.images import FileProblem, ImageProblem
from guest_hooks.problems.kernels import InitrdProblem, KernelProblem
from guest_hooks.problems.menus import MenuProblem
from guest_hooks.problems.other_hosts import LegacyProblem, PygrubProblem
from guest_hooks.problems.pv_kernels import PvKernelProblem
from guest_hooks.problems.row import ProblemCode
from guest_hooks.problems.runs import RunProblem
from guest_hooks.problems.second_stage import SecondStageProblem

GROUPS: Mapping[str, type[ProblemCode]] = {
    "Stage 1 and the disks": Stage1Problem,
    "The file system of /boot": BootFsProblem,
    "A second stage": SecondStageProblem,
    "The bytes of a second stage": ImageProblem,
    "The menu": MenuProblem,
    "A kernel": KernelProblem,
    "A kernel's copy for PV": PvKernelProblem,
    "An initial RAM disk": InitrdProblem,
    "The guest's console": ConsoleProblem,
    "The root file system": RootProblem,
    "The disks of /etc/fstab": FstabProblem,
    "pygrub": PygrubProblem,
    "pvgrub-legacy": LegacyProblem,
    "A kernel that is inspected": FileProblem,
    "A run": RunProblem,
}
"""By what the problem is with, in the order in which a boot meets it."""
TABLE: Mapping[str, ProblemCode] = {code.value: code for group in GROUPS.values() for code in group}
