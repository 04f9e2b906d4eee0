# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be said changes no exit code: with each descriptor closed, full or without a
reader, for each verb and hook.
"""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.command_line import on_terminal
from tests.support.outside_guest import PYTHON, environment

WAYS = {
    "all-closed": "0<&- 1>&- 2>&-",
    "stdin-closed": "0<&-",
    "stdout-closed": "1>&-",
    "stderr-closed": "2>&-",
    "stderr-full": "2>/dev/full",
    "stderr-gone": "2> >(exec true; )",
    "stdout-gone": "1> >(exec true; )",
}
WORDS = {
    "detect": "detect --root {tree}",
    "no-guest": "status --root {tree}",
    "usage": "no-such-verb",
    "inspect": "inspect /etc/passwd",
    "kernel-postrm": "hook kernel-postrm",
    "kernel-postinst": "hook kernel-postinst 6.1.0-1",
    "unknown-hook": "hook no-such",
}


def code(words: str, way: str) -> int:
    # The reader has ended when anything is written.
    script = f"{PYTHON} -m guest_hooks {words} {way}"
    if "exec true" in way:
        script = (
            f"trap '' PIPE; exec 9> >(:); sleep 0.1; {PYTHON} -m guest_hooks {words} {way[0]}>&9"
        )
    done = subprocess.run(
        ["/bin/bash", "-c", script], env=environment(), timeout=60, check=False, capture_output=True
    )
    return done.returncode


@pytest.mark.parametrize("words", WORDS.values(), ids=WORDS)
def test_no_message_that_can_t_be_written_changes_an_exit_code(tree: Path, words: str) -> None:
    words = words.format(tree=tree)
    expected = code(words, "")
    assert {name: code(words, way) for name, way in WAYS.items()} == dict.fromkeys(WAYS, expected)


def test_nothing_is_written_into_a_file_that_took_a_closed_descriptor(tmp_path: Path) -> None:
    """The configuration would be opened as descriptor 2, and the complaint about it go there."""
    config = tmp_path / "config.toml"
    config.write_text("targets = [\n")
    script = f"exec 0<&- 1>&- 2>&-; exec {PYTHON} -m guest_hooks detect --config {config}"
    assert (
        subprocess.run(
            ["/bin/bash", "-c", script], env=environment(), timeout=60, check=False
        ).returncode
        == 2
    )
    assert config.read_text() == "targets = [\n"


def test_a_locale_without_our_characters_is_no_fault(tree: Path) -> None:
    """Latin-1 has no dash as the words for people have it."""
    program = (
        "import sys; sys.stdout.reconfigure(encoding='latin-1'); sys.stdout.errors == 'strict' or"
        " sys.exit(9)\n"
    )
    program += (
        f"from guest_hooks import cli; sys.exit(cli.main(['detect', '--root', {str(tree)!r}]) or"
        " print('\\u2192'))"
    )
    done = subprocess.run(
        [PYTHON, "-c", program],
        env=environment(),
        timeout=60,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("\\u2192\n")


def test_no_descriptor_is_left_open(tree: Path) -> None:
    program = (
        "import os, sys; from guest_hooks.machine import streams; before ="
        " os.listdir('/proc/self/fd')\n"
    )
    program += (
        "streams.open_closed(); streams.settle(); sys.exit(before != os.listdir('/proc/self/fd'))"
    )
    assert (
        subprocess.run(
            [PYTHON, "-c", program], env=environment(), cwd=tree, timeout=60, check=False
        ).returncode
        == 0
    )
    assert os.path.exists("/proc/self/fd/0")


def test_a_sync_with_nothing_to_do_waits_for_no_import() -> None:
    program = (
        "import sys; before = set(sys.modules); import guest_hooks.cli;"
        " print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [PYTHON, "-c", program],
        env=environment(),
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    assert {name for name in done.stdout.split() if not name.startswith("guest_hooks")} <= {
        "gc",
        "zlib",
        "io",  # until Python 3.13 it was there at the start
    }


@pytest.mark.parametrize("stream", ["out", "err"])
def test_another_s_words_are_passed_on_byte_by_byte_but_to_a_terminal(stream: str) -> None:
    said = (
        b"Installing for \033]0;owned\007\342\200\256red\033[2J platform.\n\n\303\274 \377 done\n"
    )
    program = "import sys; from guest_hooks.machine import streams;"
    program += f" streams.pass_on({said!r}, sys.std{stream})"
    command = [PYTHON, "-c", program]
    piped = subprocess.run(command, env=environment(), timeout=60, check=True, capture_output=True)
    assert (piped.stdout, piped.stderr) == ((said, b"") if stream == "out" else (b"", said))
    code, shown = on_terminal(command, env=environment())
    assert code == 0
    assert shown == "Installing for ?]0;owned??red?[2J platform.\r\n\r\nü \ufffd done\r\n"
