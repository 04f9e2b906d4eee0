# SPDX-License-Identifier: GPL-3.0-or-later
"""A verb with nothing but its options behind it, parsed without argparse, which takes as long to
load and to be told of a verb as all else that stands before the run.
"""

from collections.abc import Sequence
from typing import Any

from guest_hooks.cli.options import COMMON, OPTIONS, VERBS, Option, Options

_FLAGS = {"store_true": True, "store_false": False}


def parse(words: Sequence[str]) -> Options | None:
    """What `arguments.parse` makes of `words`; None for all that is not plainly right, and which
    that has more to say of.
    """
    verb = next((verb for verb in VERBS if verb.name in words[:1]), None)
    if verb is None:
        return None
    options = (*COMMON, *(OPTIONS[name] for name in verb.options))
    by_name = {name: option for option in options for name in option.names}
    if not all(name.startswith("-") for name in by_name):
        return None
    values: dict[str, Any] = {}
    left = iter(words[1:])
    try:
        for word in left:
            name, is_given, value = word.partition("=")
            option = by_name[name]
            flag = option.settings.get("action")
            if flag in _FLAGS:
                values[_place(option)] = _FLAGS[by_name[word].settings["action"]]
            else:
                values[_place(option)] = _with(option, values, value if is_given else next(left))
    except Exception:  # noqa: BLE001 - whatever is wrong with it, argparse says it
        return None
    return Options(verb=verb.name, **values)


def _place(option: Option) -> str:
    longest = next((name for name in option.names if name.startswith("--")), option.names[0])
    return str(option.settings.get("dest", longest.lstrip("-").replace("-", "_")))


def _with(option: Option, values: dict[str, Any], word: str) -> Any:
    """The value of an option that `word` was given to; raises whatever its type does."""
    if not word or word.startswith("-"):
        raise ValueError(word)
    value = option.settings.get("type", str)(word)
    if value not in option.settings.get("choices", (value,)):
        raise ValueError(word)
    is_one_of_many = option.settings.get("action") == "append"
    return [*values.get(_place(option), ()), value] if is_one_of_many else value
