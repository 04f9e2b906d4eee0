# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian's GRUB tools, asked about one root: grub-probe, grub-mkconfig, grub-script-check.
grub-install is in `installer`.
"""

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import lru_cache

from guest_hooks.errors import GuestHooksError, LackingError
from guest_hooks.machine import grub_basis, mounts
from guest_hooks.machine.grub_answers import Answers
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Run, run

LOCALE = "/etc/default/locale"
_LOCALE_LINE = re.compile(
    r"""^\s*(?:export\s+)?(LANG|LANGUAGE|LC_MESSAGES|LC_ALL)=["']?([^"'\s\0]*)""", re.MULTILINE
)
CONFIG_TIMEOUT = 300
PROBE_TIMEOUT = 60
PROBED = ("fs_uuid", "abstraction", "drive", "partmap", "fs")
_ASK = """
set -e
answer=
while [ $# -gt 0 ]; do
    case $1,$answer in
        path,*) answer=$(grub-mkrelpath "$2") ;;
        drive,) ;;
        *) answer=$(grub-probe --target="$1" "$2") ;;
    esac
    printf "%s\\0" "$answer"
    shift 2
done
"""
"""One shell for all questions: one more process to start, and not one for each. GRUB's name of the
drive matters where an abstraction (LVM, RAID, LUKS) was named, just before it.
"""
Question = tuple[str, str]
"""One of `PROBED`, or `path`; and the path that it is about."""
ALL_USERS = 0xFFFFFFFF
_NOT_FOUND = 127
"""sh's exit code for a program that is not there."""
_AS_NOBODY = (
    "setpriv",
    "--reuid=65534",
    "--regid=65534",
    "--clear-groups",
    "--inh-caps=-all",
    "--bounding-set=-all",
    "--no-new-privs",
)
"""How a program of the host's reads what a tree's owner wrote, where it needs no right to do so."""


def facts(
    root: Root, groups: Sequence[Sequence[str]], answers: Answers | None = None
) -> tuple[Mapping[str, str], ...]:
    """GRUB's word on existing paths, one answer a path: grub-probe's for each of `PROBED`,
    grub-mkrelpath's as `path`.

    The paths of one group lie on one mount, of which grub-probe is asked once. What it has said
    before is taken from `answers`. Nothing of a tree is run: what its superblock and partition
    table don't tell, this machine's own GRUB is asked.
    Raises `LackingError` where GRUB's tools are not installed, `CommandError` where they can't
    tell.
    """
    if not root.is_live:
        from guest_hooks.machine import tree_facts  # noqa: PLC0415 - of no use to a running guest

        told = [tree_facts.facts(root, path) for group in groups for path in group]
        if None not in told:
            return tuple(each for each in told if each is not None)
    answers = answers or Answers(root)
    bases = _bases(groups, answers)
    asked = [
        (what, path)
        for group in groups
        for n, path in enumerate(group)
        for what in ((*PROBED, "path") if n == 0 else ("path",))
    ]
    known = {each: answers.get(" ".join(each), bases.get(each)) for each in asked}
    left = [each for each, answer in known.items() if answer is None]
    said = _asked(root, left) if left else {}
    if left and bases == _bases(groups, answers):  # it has not changed meanwhile
        # Of a volume after all: what is beneath it is in no basis.
        is_volume = any(answer for (what, _), answer in said.items() if what == "abstraction")
        for each, answer in () if is_volume else said.items():
            answers.put(" ".join(each), bases.get(each), answer)
    known |= said
    return tuple(
        {what: known[what, group[0]] or "" for what in PROBED} | {"path": known["path", path] or ""}
        for group in groups
        for path in group
    )


def _bases(groups: Sequence[Sequence[str]], answers: Answers) -> dict[Question, grub_basis.Lines]:
    """What the answer to each question rests on, as far as that can be told and is worth it."""
    table = mounts.here() if answers.are_kept else ()
    found: dict[Question, grub_basis.Lines] = {}
    for path in (path for group in groups for path in group if answers.are_kept):
        basis = grub_basis.of_directory(path, table)
        if basis is not None:
            found |= {(what, path): basis.lines for what in (*PROBED, "path")}
            found["fs_uuid", path] = (*basis.lines, *basis.uuid)
    return found


def _asked(root: Root, questions: Sequence[Question]) -> dict[Question, str]:
    """What GRUB's tools answer now."""
    outside = [(what, _outside(root, path)) for what, path in questions]
    try:
        completed = run(
            ["sh", "-c", _ASK, "sh", *(word for each in outside for word in each)],
            name=f"grub-probe {outside[0][1]}",
            timeout=PROBE_TIMEOUT,
        )
    except CommandError as error:
        if error.code == _NOT_FOUND:
            raise LackingError(
                "GRUB's tools are not installed on this machine", hint="apt install grub-common"
            ) from error
        raise
    answers = [answer.strip() for answer in completed.text.split("\0")[:-1]]
    if len(answers) != len(questions):
        raise CommandError("grub-probe and grub-mkrelpath gave no answer, and no error")
    return dict(zip(questions, answers, strict=True))


def refuses(root: Root, path: str) -> bool:
    """Whether GRUB opens the disk that `path` lies on, and finds no file system there that it
    reads.
    """

    def is_told(what: str) -> bool:
        command = ["grub-probe", f"--target={what}", _outside(root, path)]
        try:
            return bool(run(command, timeout=PROBE_TIMEOUT).text)
        except GuestHooksError:
            return False

    return is_told("drive") and not is_told("fs")


def _outside(root: Root, path: str) -> str:
    return path if root.is_live else root.outside(root.resolve(path))


def locale(root: Root) -> dict[str, str]:
    """The system's locale: 10_linux translates the titles, and GRUB_DEFAULT may name an entry
    by its title.
    """
    set_there = dict(_LOCALE_LINE.findall(root.read_text(LOCALE) or ""))
    return {"LC_ALL": "", **set_there} if set_there else {}


def script_error(
    root: Root, config: bytes, *, answers: Answers | None = None, run: Run = run
) -> str:
    """Why the script parser of this machine's GRUB refuses `config`, or an empty string where
    it accepts it, now or, by `answers`, before.
    """
    tool = grub_basis.of_tool(grub_basis.CHECK) if answers and answers.are_kept else None
    basis = (*tool, hashlib.sha256(config).hexdigest()) if tool else None
    if answers and answers.get(grub_basis.CHECK, basis) == "":
        return ""
    as_nobody = () if root.is_live or not _may_become_nobody() else _AS_NOBODY
    error = _script_error((*as_nobody, "grub-script-check"), config, run)
    if answers and not error:
        answers.put(grub_basis.CHECK, basis, "")
    return error


@lru_cache(maxsize=1)
def _script_error(command: Sequence[str], config: bytes, run: Run) -> str:
    """What one run asks several times, of the same bytes."""
    try:
        completed = run(
            command,
            name="grub-script-check",
            stdin=config,
            timeout=PROBE_TIMEOUT,
            success_codes=(0, 1),
        )
    except CommandError as error:
        if error.code == _NOT_FOUND:
            raise LackingError(
                "grub-script-check is not installed", hint="apt install grub-common"
            ) from error
        raise
    said = completed.stderr.decode(errors="replace").strip() or "grub-script-check refuses it"
    return "" if completed.code == 0 else said.splitlines()[-1]


def _may_become_nobody() -> bool:
    """Whether this is root, and of all users: a container may know no other one."""
    with suppress(OSError), open("/proc/self/uid_map", encoding="ascii") as file:
        return os.geteuid() == 0 and file.read().split() == ["0", "0", str(ALL_USERS)]
    return False
