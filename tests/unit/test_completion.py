# SPDX-License-Identifier: GPL-3.0-or-later
"""What the shells offer after Tab: asked of bash, zsh and fish themselves."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.cli import options
from guest_hooks.targets import TARGETS
from tests.support.checkout import CHECKOUT

FILES = {
    "bash": CHECKOUT / "completion/xen-guest-bootloader",
    "zsh": CHECKOUT / "completion/_xen-guest-bootloader",
    "fish": CHECKOUT / "completion/xen-guest-bootloader.fish",
}
BASH = """
. /usr/share/bash-completion/bash_completion
. "$1"
COMP_LINE="xen-guest-bootloader $2" COMP_POINT=$((${#2} + 21)) COMP_TYPE=9
read -ra COMP_WORDS <<<"${COMP_LINE//=/ = }"
[[ $2 != *' ' ]] || COMP_WORDS+=('')
[[ $2 != *'=' ]] || COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_xen_guest_bootloader
printf '%s\\n' "${COMPREPLY[@]}"
"""
# A shell of its own on a terminal of its own, where Tab is pressed; it prints what it would offer.
ZSH = r"""
zmodload zsh/zpty
zpty shell zsh -f -i
zpty -w shell "PS1=; fpath=(${(q)1:h} \$fpath); autoload -U compinit; compinit -D -u"
zpty -w shell 'compadd () {
    local -a found; builtin compadd -O found "$@"
    print -l -- ANSWER-$^found; builtin compadd "$@"; }'
zpty -w shell 'finish () print -l "" FINI""SHED; zle -N finish; bindkey "^X" finish'
zpty -w shell 'zstyle ":completion:*" list-prompt ""; unsetopt zle_bracketed_paste; print RE""ADY'
zpty -r -m shell line '*READY*'
zpty -w -n shell "xen-guest-bootloader $2"$'\t\C-x'
zpty -r -m shell line '*FINISHED*'
print -r -- $line
"""
FISH = "source $argv[1]; complete -C 'xen-guest-bootloader '$argv[2]"


def offered(shell: str, line: str, tmp_path: Path) -> set[str]:
    """The words that `shell` offers for the last one of `line`."""
    script = {"bash": BASH, "zsh": ZSH, "fish": FISH}[shell]
    first = [] if shell == "fish" else ["-"]
    command = [shell, "--norc"] if shell == "bash" else [shell]
    done = subprocess.run(
        [*command, "-c", script, *first, str(FILES[shell]), line],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "TERM": "xterm", "LC_ALL": "C.UTF-8"},
    )
    lines = done.stdout.replace("\r", "").splitlines()
    if shell == "zsh":
        lines = [text.partition("ANSWER-")[2] for text in lines if "ANSWER-" in text]
    words = [text.split("\t")[0].strip() for text in lines]
    return {word.rpartition("=")[2] if "=" in word[:-1] else word for word in words if word}


@pytest.mark.parametrize("shell", FILES)
@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param("sta", {"status", "stage1"}, id="verb"),
        pytest.param("--color nev", {"never"}, id="value"),
        pytest.param("status --color=nev", {"never"}, id="value-behind-equals"),
        pytest.param("sync --target=x", {"x86_64-xen"}, id="target-behind-equals"),
        pytest.param("sync --config status --fo", {"--force"}, id="a-value-is-no-verb"),
        pytest.param("stage1 ", {"config", "build"}, id="words-of-a-verb"),
        pytest.param("hook kernel-posti", {"kernel-postinst"}, id="hook"),
        pytest.param("help roll", {"rollback"}, id="help"),
    ],
)
def test_what_is_offered(shell: str, line: str, words: set[str], tmp_path: Path) -> None:
    found = offered(shell, line, tmp_path)
    assert words <= found
    if not line.endswith(" "):
        assert found == words


@pytest.mark.parametrize("shell", FILES)
def test_the_file_is_what_the_tables_say(shell: str) -> None:
    made = subprocess.run(
        [CHECKOUT / "completion/generate", shell],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert made.stdout == FILES[shell].read_text(), f"completion/generate {shell} >{FILES[shell]}"
    named = [verb.name for verb in options.VERBS] + list(TARGETS)
    assert [name for name in named if name not in made.stdout] == []
