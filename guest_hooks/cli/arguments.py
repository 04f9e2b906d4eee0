# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the command line: its verbs, their options, the common ones; one table each."""

import argparse
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from guest_hooks import __version__
from guest_hooks.errors import ExitCode, UsageError
from guest_hooks.targets import TARGETS

PROGRAM = "xen-guest-bootloader"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {PROGRAM} --help")


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 <= value < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _target(text: str) -> str:
    if text not in TARGETS:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no target; targets are: {', '.join(TARGETS)}"
        )
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verb:
    """One row of the command line."""

    name: str
    does: str
    options: tuple[str, ...] = ()


_VERBS = (
    _Verb(
        name="detect",
        does="which guest this is, by what evidence, and so which targets",
        options=("target",),
    ),
    _Verb(
        name="status",
        does="how the second stages and grub.cfg are; nothing is changed",
        options=("target", "metrics"),
    ),
    _Verb(
        name="sync",
        does="make them as they should be",
        options=(
            "target",
            "dry-run",
            "force",
            "adopt",
            "no-update-grub",
            "automatic",
            "lock-timeout",
        ),
    ),
    _Verb(
        name="preflight",
        does="will the next boot work, link by link; nothing is changed",
        options=("target",),
    ),
    _Verb(name="inspect", does="what a second stage, core image or kernel is", options=("files",)),
    _Verb(
        name="rollback",
        does="put back the second stage before the present one",
        options=("target", "lock-timeout"),
    ),
    _Verb(
        name="stage1",
        does=(
            "for a host's admin: print a stage 1's grub.cfg (config), or build a whole image"
            " (build)"
        ),
        options=("action", "target", "output"),
    ),
    _Verb(
        name="watch", does="repair by itself what goes missing or stale, until stopped", options=()
    ),
)

_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "target": (
        ("--target", "-t"),
        {
            "action": "append",
            "type": _target,
            "default": [],
            "metavar": "T",
            "help": f"only this target, again for more: {', '.join(TARGETS)}",
        },
    ),
    "metrics": (
        ("--metrics",),
        {"action": "store_true", "help": "print metrics for Prometheus' node exporter instead"},
    ),
    "dry-run": (
        ("--dry-run", "-n"),
        {
            "action": "store_true",
            "help": "tell which files would be written and why; exit code 3 if any",
        },
    ),
    "force": (("--force",), {"action": "store_true", "help": "build anew what is current, too"}),
    "adopt": (
        ("--adopt",),
        {"action": "store_true", "help": "replace a second stage that grub-install did not make"},
    ),
    "no-update-grub": (
        ("--no-update-grub",),
        {"dest": "update_grub", "action": "store_false", "help": "leave grub.cfg alone"},
    ),
    "automatic": (
        ("--automatic",),
        {"action": "store_true", "help": "as hooks call it: leave alone what rollback put back"},
    ),
    "lock-timeout": (
        ("--lock-timeout",),
        {
            "type": _seconds,
            "default": 60.0,
            "metavar": "S",
            "help": "wait so many seconds for another run to end (default: 60)",
        },
    ),
    "action": (
        ("action",),
        {
            "choices": ("config", "build"),
            "help": "print the configuration, or build an image with it",
        },
    ),
    "output": (
        ("--output", "-o"),
        {"metavar": "FILE", "default": None, "help": "where `stage1 build` puts the image"},
    ),
    "files": (("files",), {"nargs": "+", "metavar": "FILE", "help": "a file of this machine"}),
}

_COMMON: tuple[tuple[tuple[str, ...], dict[str, Any]], ...] = (
    (
        ("--root",),
        {"metavar": "DIR", "default": "/", "help": "work on the guest's tree mounted at DIR"},
    ),
    (
        ("--json",),
        {"action": "store_true", "default": False, "help": "one JSON object on standard output"},
    ),
    (
        ("--quiet", "-q"),
        {"action": "store_true", "default": False, "help": "say nothing but errors"},
    ),
    (("--verbose", "-v"), {"action": "store_true", "default": False, "help": "say more"}),
    (
        ("--color",),
        {"choices": ("auto", "always", "never"), "default": "auto", "help": "default: auto"},
    ),
    (("--config",), {"metavar": "FILE", "default": None, "help": "read this configuration alone"}),
)


def parser() -> argparse.ArgumentParser:
    """The whole command line; common options stand before or after the verb."""
    codes = "\n".join(f"  {code.value}  {code.meaning}" for code in ExitCode)
    top = _Parser(
        prog=PROGRAM,
        description="Keeps the second-stage boot loader of a Debian guest under Xen right.",
        epilog=f"exit codes:\n{codes}\n\nThe manual is {PROGRAM}(8).",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for names, settings in _COMMON:
        top.add_argument(*names, **settings)
    verbs = top.add_subparsers(metavar="VERB", required=True)
    for row in _VERBS:
        verb = verbs.add_parser(
            row.name,
            help=row.does,
            description=f"{row.does[0].upper()}{row.does[1:]}.",
            allow_abbrev=False,
        )
        verb.set_defaults(verb=row.name)
        for names, settings in _COMMON:
            verb.add_argument(*names, **{**settings, "default": argparse.SUPPRESS})
        for option in row.options:
            names, settings = _OPTIONS[option]
            verb.add_argument(*names, **settings)
    return top
