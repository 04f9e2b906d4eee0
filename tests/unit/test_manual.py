# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual pages say what the program does: every verb, option, exit code,
key and hook.
"""

import argparse
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


QUESTIONS = {
    "Is my guest fine?": ("VERBS", "begins|comes first"),
    "Who reads which file at a boot?": ("HOW A GUEST BOOTS", "pvhboot-i386.linux"),
    "What is the bridge?": ("HOW A GUEST BOOTS", "Linux boot header"),
    "What if the host switches to PVH?": ("HOW A GUEST BOOTS", "preflight --as pvh"),
    "What did it do last night, and why?": ("WHAT IT DID", "xen-guest-bootloader log"),
    "Where can I read more about an entry?": ("WHAT IT DID", "journalctl -xt"),
    "How do I keep it still during maintenance?": ("TURNING IT OFF", "hold --until"),
    "How do I turn it off for good?": ("TURNING IT OFF", "repair = false"),
    "I have a second stage of my own.": ("TURNING IT OFF", "accept_foreign = true"),
    "What is left when I purge it?": ("TURNING IT OFF", "/boot/xen stay"),
    "The new second stage is bad.": ("VERBS", "rollback"),
    "The kernel is packed with LZ4 or zstd.": ("NOTES", "linux-image-amd64"),
    "Why does it wait during an upgrade?": ("PACKAGES BEING INSTALLED", "apt"),
    "Where is the shape of the JSON?": ("OPTIONS", "report.schema.json"),
    "What does exit code 3 mean?": ("EXIT STATUS", "status, preflight"),
}
"""What a new user asked in a month with a guest, and where the manual answers it."""


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_manual_answers(question: str) -> None:
    section, answer = QUESTIONS[question]
    text = page(PAGES[0]).partition(f".SH {section}\n")[2].partition("\n.SH ")[0]
    assert re.search(answer, re.sub(r"\s+", " ", text.replace("\n.I", "").replace("\n.B", "")))


def test_one_version_everywhere() -> None:
    changelog = (CHECKOUT / "debian/changelog").read_text().splitlines()[0]
    assert changelog.startswith(f"xen-guest-bootloader ({__version__})")
    assert (CHECKOUT / "NEWS").read_text().startswith(f"{__version__}\n")
    assert all(f'"xen-guest-bootloader {__version__}"' in page(name) for name in PAGES)
