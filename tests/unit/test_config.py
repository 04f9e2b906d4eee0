# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: every key, every wrong value, and any bytes at all."""

import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guest_hooks.config import LOCAL_DIR, Config, Modules, PvKernels, Source, Stage1, parse
from guest_hooks.errors import UsageError
from guest_hooks.machine import config_files
from guest_hooks.machine.root import Root


def config(*texts: str) -> Config:
    return parse(
        Source(name=f"{number}.toml", data=text.encode()) for number, text in enumerate(texts)
    )


def test_nothing_is_the_default() -> None:
    assert config() == Config() == config("", "# nothing\n")


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        pytest.param(
            "targets = ['auto', 'i386-xen']", "targets", ("auto", "i386-xen"), id="targets"
        ),
        pytest.param("targets = []", "targets", (), id="no-target"),
        pytest.param("modules = 'minimal'", "modules", Modules.MINIMAL, id="modules"),
        pytest.param(
            "extra_modules = ['hexdump', 'part_bsd']",
            "extra_modules",
            ("hexdump", "part_bsd"),
            id="extra-modules",
        ),
        pytest.param("pvh_names = ['i386']", "pvh_names", ("i386",), id="pvh-names"),
        pytest.param("pvh_chainload = false", "pvh_chainload", False, id="pvh-chainload"),
        pytest.param("update_grub = false", "update_grub", False, id="update-grub"),
        pytest.param("legacy_menu = true", "legacy_menu", True, id="legacy-menu"),
        pytest.param("keep_previous = false", "keep_previous", False, id="keep-previous"),
        pytest.param("settle_seconds = 2", "settle_seconds", 2.0, id="settle-seconds"),
        pytest.param("audit_interval = 0.5", "audit_interval", 0.5, id="audit-interval"),
        pytest.param("stage1 = 'own'", "stage1", Stage1.OWN, id="stage1"),
        pytest.param("accept_foreign = true", "accept_foreign", True, id="accept-foreign"),
        pytest.param("repair = false", "repair", False, id="repair"),
        pytest.param("pv_kernels = 'never'", "pv_kernels", PvKernels.NEVER, id="pv-kernels"),
    ],
)
def test_a_key_is_read(text: str, key: str, value: object) -> None:
    found = getattr(config(text), key)
    assert (found, type(found)) == (value, type(value))


def test_every_key_is_in_a_test_above() -> None:
    marks = next(mark for mark in test_a_key_is_read.pytestmark if mark.name == "parametrize")  # type: ignore[attr-defined]
    assert {row.values[1] for row in marks.args[1]} == {field.name for field in fields(Config)}


def test_the_later_source_counts_and_others_keep_their_keys() -> None:
    assert config("update_grub = false\nlegacy_menu = true", "update_grub = true") == Config(
        legacy_menu=True
    )


@pytest.mark.parametrize("key", [field.name for field in fields(Config)])
@pytest.mark.parametrize("value", ["{a = 1}", "1979-05-27", "[[1]]", "'nonsense'", "[1]", "[true]"])
def test_a_wrong_value_names_file_key_and_what_was_expected(key: str, value: str) -> None:
    with pytest.raises(UsageError) as caught:
        config("", f"{key} = {value}")
    assert caught.value.message.startswith(f"1.toml: {key}: expected ")
    assert caught.value.hint == f"correct {key} in 1.toml"


@pytest.mark.parametrize("name", ["", "a b", "a-b", "../x", "--help", "ä", "a\nb", "a/b"])
def test_what_is_no_module_name(name: str) -> None:
    with pytest.raises(UsageError, match="names of GRUB modules"):
        config(f"extra_modules = [{name!r}]")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_configuration_or_a_usage_error(data: bytes) -> None:
    try:
        parse([Source(name="a.toml", data=data)])
    except UsageError as error:
        assert "a.toml" in error.message  # noqa: PT017 - not raising is right, too


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from([field.name for field in fields(Config)])


def toml(value: object) -> str:
    match value:
        case bool():
            return str(value).lower()
        case str():
            return '"' + "".join(f"\\U{ord(character):08x}" for character in value) + '"'
        case list():
            return f"[{', '.join(map(toml, value))}]"
        case _:
            return str(value)


@given(
    KEYS,
    SCALARS.filter(lambda value: value is not None)
    | st.lists(st.text(max_size=8) | st.integers(), max_size=3),
)
def test_any_value_of_any_key_is_taken_or_a_usage_error(key: str, value: object) -> None:
    text = f"{key} = {toml(value)}"
    try:
        tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return  # a lone surrogate
    try:
        found = getattr(config(text), key)
    except UsageError as error:
        assert key in error.message  # noqa: PT017 - not raising is right, too
    else:
        assert type(found) is type(getattr(Config(), key))


def test_there_are_not_more_files_than_one_reads(tmp_path: Path) -> None:
    directory = tmp_path / LOCAL_DIR.lstrip("/")
    directory.mkdir(parents=True)
    for number in range(config_files.MOST_FILES):
        (directory / f"{number}.toml").touch()
    assert config_files.configuration(Root(str(tmp_path))) == Config()
    (directory / "more.toml").touch()
    with pytest.raises(UsageError, match="more than 1000 files"):
        config_files.configuration(Root(str(tmp_path)))
