# SPDX-License-Identifier: GPL-3.0-or-later
"""What is parsed without argparse is what argparse makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.cli import arguments, plain_words
from guest_hooks.cli.options import COMMON, OPTIONS, VERBS, Options

NAMES = [name for option in (*COMMON, *OPTIONS.values()) for name in option.names]
VALUES = [
    "x86_64-xen",
    "i386-xen_pvh",
    "3",
    "0.5",
    "-1",
    "nan",
    "",
    "pv",
    "never",
    "/srv",
    "=",
    "a=b",
]
WORDS = st.one_of(
    st.sampled_from(NAMES),
    st.sampled_from(VALUES),
    st.sampled_from([verb.name for verb in VERBS]),
    st.sampled_from(["--help", "-h", "--version", "-qv", "--", "--quie", "help"]),
    st.builds("{}={}".format, st.sampled_from(NAMES), st.sampled_from(VALUES)),
)


def same(plain: Options, parsed: Options) -> bool:
    """Whether the two ask for the same; what argparse was given no value for may be None."""
    return all(
        (getattr(plain, name) or None) == (getattr(parsed, name) or None)
        if not isinstance(getattr(plain, name), list | tuple)
        else [*getattr(plain, name)] == [*getattr(parsed, name)]
        for name in Options.__slots__
    )


@given(st.sampled_from([verb.name for verb in VERBS]), st.lists(WORDS, max_size=5))
def test_it_agrees_with_argparse_or_leaves_it_to_that(verb: str, words: list[str]) -> None:
    plain = plain_words.parse([verb, *words])
    if plain is not None:
        assert same(plain, arguments.parse([verb, *words]))


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("sync", id="a-verb"),
        pytest.param("sync --quiet --automatic --lock-timeout 300", id="the-service"),
        pytest.param("sync -q --target=x86_64-xen -t i386-xen --no-update-grub", id="targets"),
        pytest.param("status --root=/mnt --json", id="a-tree"),
        pytest.param("preflight --as pvh --color never", id="choices"),
    ],
)
def test_what_packages_and_people_type_is_plain(words: str) -> None:
    plain = plain_words.parse(words.split())
    assert plain is not None
    assert same(plain, arguments.parse(words.split()))


@pytest.mark.parametrize(
    "words",
    [
        "",
        "-q sync",
        "sync --fast",
        "sync --target other",
        "preflight --as hvm",
        "inspect a",
        "log --lines",
    ],
)
def test_what_is_not_plainly_right_is_left_to_argparse(words: str) -> None:
    assert plain_words.parse(words.split()) is None


def test_a_list_is_its_own() -> None:
    first = plain_words.parse(["sync", "-t", "x86_64-xen"])
    second = plain_words.parse(["sync"])
    assert first is not None
    assert second is not None
    assert ([*first.target], [*second.target]) == (["x86_64-xen"], [])
