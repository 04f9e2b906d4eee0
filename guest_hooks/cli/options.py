# SPDX-License-Identifier: GPL-3.0-or-later
"""The verbs of the command line and their options, one table each, and what they come to."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from guest_hooks.records import dataclass
from guest_hooks.targets import TARGETS, named


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 <= value < float("inf"):
            return value
    raise _refusal(f"{text!r} is not a number of seconds")


def _lines(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 6 and int(text):
        return int(text)
    raise _refusal(f"{text!r} is not a number of entries")


def _refusal(words: str) -> Exception:
    import argparse  # noqa: PLC0415 - `plain_words` does without

    return argparse.ArgumentTypeError(words)


def _target(text: str) -> str:
    return named(text).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One row of the command line: what the verb does, in words that fit into `--help`, and its
    options by name.

    `bare_word` is the option that a word without one was probably meant for.
    """

    name: str
    does: str
    options: tuple[str, ...] = ()
    bare_word: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option or positional word: its names, what argparse is told of it, and what kind of value
    completion offers.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    completes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a command line asks for; what it does not name, or its verb does not take, has the value
    given here.
    """

    verb: str
    root: str = "/"
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    color: str = "auto"
    config: str | None = None
    target: Sequence[str] = ()
    metrics: bool = False
    mode: str = ""
    dry_run: bool = False
    force: bool = False
    adopt: bool = False
    update_grub: bool = True
    automatic: bool = False
    lock_timeout: float = 60.0
    lines: int = 30
    list: bool = False
    until: str | None = None
    action: str = ""
    output: str | None = None
    files: Sequence[str] = ()


VERBS = (
    Verb(
        name="status",
        does="will the next boot work, and what needs attention",
        options=("target", "metrics"),
    ),
    Verb(name="preflight", does="follow the next boot, link by link", options=("target", "as")),
    Verb(
        name="sync",
        does="build, verify and install what is missing or out of date",
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
    Verb(
        name="log",
        does="what was done to the boot files, when, why and by whom",
        options=("lines",),
        bare_word="--lines",
    ),
    Verb(
        name="hold",
        does="no automatic changes, until unhold or a time",
        options=("until", "lock-timeout"),
        bare_word="--until",
    ),
    Verb(name="unhold", does="automatic changes again", options=("lock-timeout",)),
    Verb(
        name="rollback",
        does="put back the previous second stage",
        options=("target", "list", "lock-timeout"),
    ),
    Verb(
        name="detect", does="which guest this is, and which targets it needs", options=("target",)
    ),
    Verb(name="inspect", does="what a second stage, core image or kernel is", options=("files",)),
    Verb(name="config", does="the values in force, and the file each comes from"),
    Verb(name="watch", does="run the repair service in the foreground"),
    Verb(
        name="stage1",
        does="for a host: print a stage 1's grub.cfg, or build an image",
        options=("action", "target", "output"),
    ),
)
VERB_NAMES = (*(verb.name for verb in VERBS), "hook", "help")

OPTIONS: dict[str, Option] = {
    "target": Option(
        names=("--target", "-t"),
        settings={
            "action": "append",
            "type": _target,
            "metavar": "TARGET",
            "help": f"only this target; again for more: {', '.join(TARGETS)}",
        },
        completes=" ".join(TARGETS),
    ),
    "metrics": Option(
        names=("--metrics",),
        settings={
            "action": "store_true",
            "help": "print metrics for Prometheus' node exporter instead",
        },
    ),
    "as": Option(
        names=("--as",),
        settings={
            "dest": "mode",
            "choices": ("pv", "pvh"),
            "help": "as if the host started the guest in this mode",
        },
        completes="pv pvh",
    ),
    "dry-run": Option(
        names=("--dry-run", "-n"),
        settings={
            "action": "store_true",
            "help": "show what would be changed and why; exit code 3 if anything",
        },
    ),
    "force": Option(
        names=("--force",),
        settings={"action": "store_true", "help": "rebuild what is current, too"},
    ),
    "adopt": Option(
        names=("--adopt",),
        settings={
            "action": "store_true",
            "help": "replace a second stage that grub-install did not make",
        },
    ),
    "no-update-grub": Option(
        names=("--no-update-grub",),
        settings={
            "dest": "update_grub",
            "action": "store_false",
            "help": "leave grub.cfg as it is",
        },
    ),
    "automatic": Option(
        names=("--automatic",),
        settings={
            "action": "store_true",
            "help": "as the service does: respect a hold and a rollback, wait for apt",
        },
    ),
    "lines": Option(
        names=("--lines",),
        settings={
            "type": _lines,
            "metavar": "NUMBER",
            "help": "how many entries (default: 30)",
        },
    ),
    "list": Option(
        names=("--list",),
        settings={
            "action": "store_true",
            "help": "show what could be put back, and change nothing",
        },
    ),
    "until": Option(
        names=("--until",),
        settings={
            "metavar": "TIME",
            "help": 'when it ends: 18:00, 2026-11-30, tomorrow, 2h, "3 days"',
        },
    ),
    "lock-timeout": Option(
        names=("--lock-timeout",),
        settings={
            "type": _seconds,
            "metavar": "SECONDS",
            "help": "how long to wait for another run to end (default: 60)",
        },
    ),
    "action": Option(
        names=("action",),
        settings={
            "choices": ("config", "build"),
            "metavar": "config|build",
            "help": "print the configuration, or build an image with it",
        },
        completes="config build",
    ),
    "output": Option(
        names=("--output", "-o"),
        settings={"metavar": "FILE", "help": "where stage1 build puts the image"},
        completes="FILES",
    ),
    "files": Option(
        names=("files",),
        settings={"nargs": "+", "metavar": "FILE", "help": "a file of this machine"},
        completes="FILES",
    ),
}

COMMON = (
    Option(
        names=("--root",),
        settings={
            "metavar": "DIR",
            "help": "work on the guest's tree mounted at DIR",
        },
        completes="DIRECTORIES",
    ),
    Option(
        names=("--json",),
        settings={
            "action": "store_true",
            "help": "one JSON object on standard output",
        },
    ),
    Option(
        names=("--quiet", "-q"),
        settings={"action": "store_true", "help": "show only what is wrong"},
    ),
    Option(
        names=("--verbose", "-v"),
        settings={
            "action": "store_true",
            "help": "show details and problem codes",
        },
    ),
    Option(
        names=("--color",),
        settings={
            "choices": ("auto", "always", "never"),
            "help": "when to use colours",
        },
        completes="auto always never",
    ),
    Option(
        names=("--config",),
        settings={"metavar": "FILE", "help": "read only this configuration"},
        completes="FILES",
    ),
)
