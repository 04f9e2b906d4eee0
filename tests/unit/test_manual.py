# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages say what the program does: every verb, option, exit code,
key and hook.
"""

import argparse
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import fields

import pytest

from guest_hooks import __version__
from guest_hooks.cli import arguments
from guest_hooks.config import Config
from guest_hooks.errors import ExitCode
from guest_hooks.formats import boot_provenance
from guest_hooks.hooks import Hook
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT
from tests.support.month import PROGRAM, QUESTIONS, Question, command_line, sections

PAGES = ("xen-guest-bootloader.8", "xen-guest-bootloader.toml.5")


def page(name: str) -> str:
    """The source of a page, as it reads: without roff's escapes."""
    return (CHECKOUT / "man" / name).read_text().replace("\\-", "-").replace("\\(dq", '"')


def subparsers() -> dict[str, argparse.ArgumentParser]:
    action = next(
        action
        for action in arguments.parser()._actions
        if isinstance(action, argparse._SubParsersAction)
    )
    return dict(action.choices)


def long_options() -> Iterator[str]:
    for parser in subparsers().values():
        yield from (
            name
            for action in parser._actions
            for name in action.option_strings
            if name.startswith("--")
        )


@pytest.mark.parametrize("width", [60, 80, 100])
@pytest.mark.parametrize("name", PAGES)
def test_what_is_to_be_typed_is_not_broken(name: str, width: int) -> None:
    done = subprocess.run(
        ["man", "--warnings=w", "--encoding=UTF-8", "--local-file", CHECKOUT / "man" / name],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MANWIDTH": str(width), "LC_ALL": "C.UTF-8"},
    )
    source = (CHECKOUT / "man" / name).read_text()
    typed = {word.replace("\\-", "-") for word in re.findall(r"[\w./]+(?:\\-[\w./]+)+", source)}
    breaks = re.findall(r"(\S+)[-\N{HYPHEN}]\n +(\S+)", done.stdout)
    assert len(typed) > 10
    assert [halves for halves in breaks if "-".join(halves).strip('.,;:)"') in typed] == []
    assert width < 80 or done.stderr == ""


@pytest.mark.parametrize("verb", sorted(subparsers()))
def test_every_verb_is_described(verb: str) -> None:
    assert re.search(rf'^\.(B|BI) "?{verb}\b', page(PAGES[0]), re.MULTILINE)


@pytest.mark.parametrize("option", sorted({*long_options()} - {"--help"}))
def test_every_option_is_described(option: str) -> None:
    assert option in page(PAGES[0])


@pytest.mark.parametrize("code", list(ExitCode), ids=lambda code: code.name)
def test_every_exit_code_is_described(code: ExitCode) -> None:
    assert f".B {code.value}\n{code.meaning}\n" in page(PAGES[0])


@pytest.mark.parametrize("hook", list(Hook), ids=str)
def test_every_hook_is_described(hook: Hook) -> None:
    assert hook in page(PAGES[0])


@pytest.mark.parametrize("key", [each.name for each in fields(Config)])
def test_every_key_is_described_with_its_default(key: str) -> None:
    default = getattr(Config(), key)
    if isinstance(default, bool):
        shown = str(default).lower()
    elif isinstance(default, tuple):
        shown = "[" + ", ".join(f'"{item}"' for item in default) + "]"
    elif isinstance(default, str):
        shown = f'"{default}"'
    else:
        shown = f"{default:g}"
    assert f'.BR {key} " = {shown}"' in page(PAGES[1])
    assert re.search(
        rf"^#{key} = {re.escape(shown)}$",
        (CHECKOUT / "config/config.toml").read_text(),
        re.MULTILINE,
    )


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_is_named(target: str) -> None:
    assert all(target in page(name) for name in PAGES)


def test_every_file_in_etc_is_described() -> None:
    rows = [
        line.split()
        for line in (CHECKOUT / "debian/xen-guest-bootloader.install").read_text().splitlines()
    ]
    there = [
        f"/{directory}/{source.rpartition('/')[2]}"
        for source, directory in rows
        if directory.startswith("etc/")
    ]
    assert there
    assert [path for path in there if f"\n.I {path}\n" not in page(PAGES[0])] == []


def test_the_kernels_parameter_is_described() -> None:
    assert boot_provenance.PARAMETER in page(PAGES[0])
    assert (
        f" {boot_provenance.PARAMETER}="
        in (CHECKOUT / "config/default-grub.d/xen-guest-bootloader.cfg").read_text()
    )


@pytest.mark.parametrize("name", PAGES)
def test_the_pages_are_sound(name: str) -> None:
    done = subprocess.run(
        ["man", "--warnings", "--encoding=UTF-8", "--local-file", CHECKOUT / "man" / name],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""


def test_the_installed_readme_points_to_what_is_installed() -> None:
    text = (CHECKOUT / "debian/README.Debian").read_text()
    docs = (CHECKOUT / "debian/xen-guest-bootloader.docs").read_text().split()
    installed = {name.rpartition("/")[2] for name in docs}
    assert set(re.findall(r"\b[\w-]+\.md\b", text)) <= installed
    assert all(name.removesuffix(".5") in text for name in ("xen-guest-bootloader.toml.5",))
    assert [line for line in text.splitlines() if len(line) > 80] == []
    schema = re.search(r"dist-packages/(\S+\.json)", text)
    assert schema is not None
    assert (CHECKOUT / schema[1]).is_file()
    verbs = set(re.findall(r"^    xen-guest-bootloader (\w+)", text, re.MULTILINE))
    assert verbs <= set(subparsers())


TEXTS = (
    *(f"man/{name}" for name in PAGES),
    *("README.md", "debian/README.Debian", "systemd/xen-guest-bootloader.catalog"),
)
COMMAND = re.compile(
    r"(?:^|[ \"`(])(?:sudo )?xen-guest-bootloader((?: [\w./@=:-]+)*)", re.MULTILINE
)
WORDS = {"FILE": "/dev/null", "DIR": "/", "VERB": "sync", "TARGET": "x86_64-xen"}


@pytest.mark.parametrize("name", TEXTS)
def test_each_command_that_is_named_can_be_typed(name: str) -> None:
    text = (CHECKOUT / name).read_text().replace("\\-", "-").replace("\\", "")
    found = [match[1].split() for match in COMMAND.finditer(text)]
    commands = [words for words in found if words and words[0] in subparsers()]
    assert commands
    for words in commands:
        upto = next((n for n, word in enumerate(words) if word in ("8", "shows", "says")), None)
        typed = [WORDS.get(word, word.rstrip(".:")) for word in words[:upto]]
        assert arguments.parse(typed).verb in subparsers()


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.asked)
def test_the_manual_answers(question: Question) -> None:
    text = sections()[question.section]
    assert question.answer in text
    typed = question.types.split()
    named = [word for word in typed if word in typed[:1] or word.startswith("-")]
    assert [word for word in named if word not in text] == []
    words = command_line(question).split()
    if words[:1] == [PROGRAM] and typed[0] != "help":
        assert arguments.parse(words[1:]).verb in subparsers()


def test_one_version_everywhere() -> None:
    changelog = (CHECKOUT / "debian/changelog").read_text().splitlines()[0]
    assert changelog.startswith(f"xen-guest-bootloader ({__version__})")
    assert (CHECKOUT / "NEWS").read_text().startswith(f"{__version__}\n")
    assert all(f'"xen-guest-bootloader {__version__}"' in page(name) for name in PAGES)
