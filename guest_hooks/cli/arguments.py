# SPDX-License-Identifier: GPL-3.0-or-later
"""The words of a command line, parsed by the tables of `options`."""

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from guest_hooks import __version__
from guest_hooks.cli.options import COMMON, OPTIONS, VERBS, Option, Options, Verb
from guest_hooks.errors import UsageError, did_you_mean
from guest_hooks.program import PROGRAM
from guest_hooks.report.styles import page_style, style_of
from guest_hooks.targets import TARGETS

DEFAULT_VERB = "status"
VERSION = "--version"


class _Formatter(argparse.HelpFormatter):
    """As wide as the terminal; argparse itself asks `shutil`, with all that it loads, for each
    option.
    """

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=page_style(style_of(sys.stdout)).width - 2)


_WORDS = (
    (re.compile(r"^argument (\S+): expected one argument$"), r"\1 needs a value"),
    (re.compile(r"^argument (\S+): "), r"\1: "),
    (re.compile(r"^the following arguments are required: (.*)$"), r"\1 is missing"),
)
"""What argparse says, and how it is said here."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        for theirs, ours in _WORDS:
            message = theirs.sub(ours, message)
        raise UsageError(message, hint=f"see: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does it; but the name that was probably meant takes the place of a list of
        all.
        """
        if action.choices is not None and value not in action.choices:
            known = [str(choice) for choice in action.choices]
            otherwise = f"it is one of: {', '.join(known)}"
            what = f"{'/'.join(action.option_strings)}: unknown value"
            if action.dest == "verb":
                what, otherwise = "unknown verb", f"see: {PROGRAM} --help"
            elif not action.option_strings:
                what = f"{self.prog.removeprefix(PROGRAM).strip()}: unknown word"
            raise UsageError(
                f"{what} {value!r}", hint=did_you_mean(str(value), known, otherwise=otherwise)
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


def parse(words: Sequence[str]) -> Options:
    """The options that `words` ask for, with the verb as `verb`; raises `UsageError`, and
    `SystemExit` after help or version.
    """
    position = verb_position(words)
    if position is None and not {"--help", "-h", VERSION} & set(words):
        words = [DEFAULT_VERB, *words]
    elif position is not None and words[position] == "help":
        rest = [*words[:position], *words[position + 1 :]]
        words = [*rest[:1], "--help"] if rest else ["--help"]
    position = verb_position(words)
    asked = [verb for verb in VERBS if position is not None and verb.name == words[position]]
    options, unknown = parser(asked or VERBS).parse_known_args(words)
    if unknown:
        verb = next(verb for verb in VERBS if verb.name == options.verb)
        raise _unknown(unknown[0], verb)
    return Options(**vars(options))


def _unknown(word: str, verb: Verb) -> UsageError:
    hint = f"see: {PROGRAM} {verb.name} --help"
    if not word.startswith("-"):
        if meant := _option_meant(word, verb):
            hint = f"did you mean {meant} {shlex.quote(word)}?"
        return UsageError(f"{verb.name}: unknown word {word!r}", hint=hint)
    names = [name for option in _options(verb) for name in option.names if name.startswith("--")]
    known = [*names, "--help", VERSION]
    return UsageError(
        f"{verb.name}: unknown option {word!r}",
        hint=did_you_mean(word.partition("=")[0], known, otherwise=hint),
    )


def _option_meant(word: str, verb: Verb) -> str:
    """The option that a word without one was probably meant for; empty: not known."""
    if word in TARGETS and "target" in verb.options:
        return "--target"
    return "--root" if word.startswith("/") else verb.bare_word


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


def parser(known: Sequence[Verb] = VERBS) -> argparse.ArgumentParser:
    """The command line with the verbs `known`; common options stand before or after the verb."""
    rows = "\n".join(f"  {verb.name:<10}  {verb.does}" for verb in VERBS)
    top = _Parser(
        prog=PROGRAM,
        usage=argparse.SUPPRESS,
        add_help=False,
        allow_abbrev=False,
        formatter_class=_Formatter,
        argument_default=argparse.SUPPRESS,
    )
    top.add_argument(
        "--help",
        "-h",
        action=_Help,
        text=_HELP.format(program=PROGRAM, verbs=rows, default=DEFAULT_VERB),
    )
    version = f"{PROGRAM} {__version__}"
    top.add_argument(VERSION, action="version", version=version)
    for option in COMMON:
        top.add_argument(*option.names, **option.settings)
    verbs = top.add_subparsers(metavar="VERB", dest="verb", required=True, parser_class=_Parser)
    for row in known:
        verb = verbs.add_parser(
            row.name,
            prog=f"{PROGRAM} {row.name}",
            description=f"{row.does[0].upper()}{row.does[1:]}.",
            epilog=f"See {PROGRAM}(8).",
            allow_abbrev=False,
            formatter_class=_Formatter,
            argument_default=argparse.SUPPRESS,
        )
        for option in _options(row):
            verb.add_argument(*option.names, **option.settings)
        verb.add_argument(VERSION, action="version", version=version, help=argparse.SUPPRESS)
    return top


def _options(verb: Verb) -> tuple[Option, ...]:
    return (*COMMON, *(OPTIONS[name] for name in verb.options))


class _Help(argparse.Action):
    """`--help` of the program itself, whose lines are counted."""

    def __init__(self, option_strings: Sequence[str], dest: str, default: str, text: str) -> None:
        super().__init__(option_strings, dest, nargs=0, default=default)
        self._text = text

    def __call__(self, parser: argparse.ArgumentParser, *_unused: object, **_more: object) -> None:
        sys.stdout.write(self._text)
        parser.exit()
