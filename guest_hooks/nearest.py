# SPDX-License-Identifier: GPL-3.0-or-later
"""What a word that is none of ours was probably meant to be."""

from collections.abc import Iterable


def hint(word: str, known: Iterable[str], *, otherwise: str) -> str:
    """The question "did you mean …?" for the name of `known` that is nearest to `word`, or
    `otherwise`.
    """
    import difflib  # noqa: PLC0415 - only for a slip

    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.6)
    return f"did you mean {names[found[0]]}?" if found else otherwise
