# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of the command line: its verbs, their options, the common ones; one table each."""

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

from guest_hooks import __version__, nearest
from guest_hooks.errors import UsageError
from guest_hooks.program import PROGRAM
from guest_hooks.targets import TARGETS, named

DEFAULT_VERB = "status"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does it; but the name that was probably meant takes the place of a list of
        all.
        """
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            what = "verb" if action.dest == "verb" else "value"
            name = (
                ""
                if action.dest == "verb"
                else f"{'/'.join(action.option_strings) or action.dest}: "
            )
            otherwise = (
                f"see: {PROGRAM} --help"
                if action.dest == "verb"
                else f"it is one of: {', '.join(known)}"
            )
            raise UsageError(
                f"{name}unknown {what} {value!r}",
                hint=nearest.hint(str(value), known, otherwise=otherwise),
            )


def _seconds(text: str) -> float:
    with suppress(ValueError):
        value = float(text)
        if 0 <= value < float("inf"):
            return value
    raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")


def _target(text: str) -> str:
    return named(text).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Verb:
    """One row of the command line: what the verb does, in words that fit into `--help`, and its
    options by name.
    """

    name: str
    does: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option or positional word: its names, what argparse is told of it, and what kind of value
    completion offers.
    """

    names: tuple[str, ...]
    settings: dict[str, Any]
    completes: str = ""


VERBS = (
    Verb(
        name="status",
        does="will the next boot work, and what needs attention",
        options=("target", "metrics"),
    ),
    Verb(name="preflight", does="follow the next boot, link by link", options=("target",)),
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
        name="rollback",
        does="put back the previous second stage",
        options=("target", "lock-timeout"),
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
            "default": [],
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
            "help": "as the service does: heed a hold and a rollback, wait for apt",
        },
    ),
    "lock-timeout": Option(
        names=("--lock-timeout",),
        settings={
            "type": _seconds,
            "default": 60.0,
            "metavar": "SECONDS",
            "help": "how long to wait for another run to end (default: 60)",
        },
    ),
    "action": Option(
        names=("action",),
        settings={
            "choices": ("config", "build"),
            "help": "print the configuration, or build an image with it",
        },
        completes="config build",
    ),
    "output": Option(
        names=("--output", "-o"),
        settings={"metavar": "FILE", "default": None, "help": "where stage1 build puts the image"},
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
            "default": "/",
            "help": "work on the guest's tree mounted at DIR",
        },
        completes="DIRECTORIES",
    ),
    Option(
        names=("--json",),
        settings={
            "action": "store_true",
            "default": False,
            "help": "one JSON object on standard output",
        },
    ),
    Option(
        names=("--quiet", "-q"),
        settings={"action": "store_true", "default": False, "help": "only what is wrong"},
    ),
    Option(
        names=("--verbose", "-v"),
        settings={
            "action": "store_true",
            "default": False,
            "help": "with details and problem codes",
        },
    ),
    Option(
        names=("--color",),
        settings={
            "choices": ("auto", "always", "never"),
            "default": "auto",
            "help": "when to use colours",
        },
        completes="auto always never",
    ),
    Option(
        names=("--config",),
        settings={"metavar": "FILE", "default": None, "help": "read this configuration alone"},
        completes="FILES",
    ),
)

_HELP = """\
usage: {program} [VERB] [OPTION...]
Keeps the second-stage boot loader of a Debian guest under Xen up to date.

{verbs}

Without a verb: {default}. Options of every verb: --root DIR, --json, -q, -v,
--color WHEN, --config FILE; {program} --version
Exit status: 0 fine, 3 action needed, 4 could not repair, 7 something missing
  (root, space, package), 2 usage, 5 not applicable, 6 locked, 1 internal error
More: {program} help VERB; man {program}
"""


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The options that `words` ask for, with the verb as `verb`; raises `UsageError`, and
    `SystemExit` after help or version.
    """
    position = verb_position(words)
    if position is None and not {"--help", "-h", "--version"} & set(words):
        words = [DEFAULT_VERB, *words]
    elif position is not None and words[position] == "help":
        rest = [*words[:position], *words[position + 1 :]]
        words = [*rest[:1], "--help"] if rest else ["--help"]
    options, unknown = parser().parse_known_args(words)
    if unknown:
        verb = next(verb for verb in VERBS if verb.name == options.verb)
        known = [
            name for option in _options(verb) for name in option.names if name.startswith("--")
        ]
        what = "option" if unknown[0].startswith("-") else "word"
        otherwise = f"see: {PROGRAM} {verb.name} --help"
        raise UsageError(
            f"{verb.name}: unknown {what} {unknown[0]!r}",
            hint=nearest.hint(unknown[0].partition("=")[0], known, otherwise=otherwise)
            if what == "option"
            else otherwise,
        )
    return options


def verb_position(words: Sequence[str]) -> int | None:
    """Where in `words` the verb is: the first that is neither an option nor the value of a common
    one.
    """
    with_value = {
        name
        for option in COMMON
        if option.settings.get("action") != "store_true"
        for name in option.names
    }
    for number, word in enumerate(words):
        if not word.startswith("-") and (number == 0 or words[number - 1] not in with_value):
            return number
    return None


def parser() -> argparse.ArgumentParser:
    """The whole command line; common options stand before or after the verb."""
    rows = "\n".join(f"  {verb.name:<10}  {verb.does}" for verb in VERBS)
    top = _Parser(prog=PROGRAM, usage=argparse.SUPPRESS, add_help=False, allow_abbrev=False)
    top.add_argument(
        "--help",
        "-h",
        action=_Help,
        text=_HELP.format(program=PROGRAM, verbs=rows, default=DEFAULT_VERB),
    )
    top.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    for option in COMMON:
        top.add_argument(*option.names, **option.settings)
    verbs = top.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=_Parser)
    for row in VERBS:
        verb = verbs.add_parser(
            row.name,
            prog=f"{PROGRAM} {row.name}",
            description=f"{row.does[0].upper()}{row.does[1:]}.",
            epilog=f"See {PROGRAM}(8).",
            allow_abbrev=False,
        )
        for option in COMMON:
            verb.add_argument(*option.names, **{**option.settings, "default": argparse.SUPPRESS})
        for name in row.options:
            verb.add_argument(*OPTIONS[name].names, **OPTIONS[name].settings)
    return top


def _options(verb: Verb) -> tuple[Option, ...]:
    return (*COMMON, *(OPTIONS[name] for name in verb.options))


class _Help(argparse.Action):
    """`--help` of the program itself, whose lines are counted."""

    def __init__(self, option_strings: Sequence[str], dest: str, text: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS)
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_unused: object, **_more: object) -> None:
        sys.stdout.write(self._text)
        parser.exit()
