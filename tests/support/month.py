# SPDX-License-Identifier: GPL-3.0-or-later
"""A new user's month with a guest: each question, where the manual answers it, and what is typed
then.
"""

import os
import subprocess
from dataclasses import dataclass
from functools import cache

from tests.support.checkout import CHECKOUT

MANUAL = "xen-guest-bootloader.8"
PROGRAM = "xen-guest-bootloader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What was asked, the section of the manual that answers it, and a word of the answer.

    `types` is a command that stands in that section and can be tried in any guest; empty where the
    answer is no command, or one that needs a network or ends the guest's use of the package.
    """

    asked: str
    section: str
    answer: str
    types: str = ""


_OFF = "/etc/xen-guest-bootloader/conf.d"
QUESTIONS = (
    Question(
        asked="Is my guest fine?",
        section="EXAMPLES",
        answer="See whether the next boot works",
        types="xen-guest-bootloader status",
    ),
    Question(
        asked="How do I repair it?",
        section="EXAMPLES",
        answer="repair what is wrong",
        types="xen-guest-bootloader sync",
    ),
    Question(
        asked="Why does it say that it will not boot?",
        section="VERBS",
        answer="link by link",
        types="preflight",
    ),
    Question(
        asked="What would it change?",
        section="OPTIONS",
        answer="what would be written and why",
        types="sync --dry-run",
    ),
    Question(
        asked="Which guest is this, and which files does it need?",
        section="VERBS",
        answer="which GRUB targets it needs",
        types="detect",
    ),
    Question(
        asked="Who reads which file at a boot?",
        section="HOW A GUEST BOOTS",
        answer="pvhboot-i386.linux",
        types="preflight",
    ),
    Question(asked="What is the bridge?", section="HOW A GUEST BOOTS", answer="Linux boot header"),
    Question(
        asked="What if the host switches to PVH?",
        section="HOW A GUEST BOOTS",
        answer="in the other mode",
        types="preflight --as pvh",
    ),
    Question(
        asked="What did it do last night, and why?",
        section="WHAT IT DID",
        answer="when, which file, why, and by whom",
        types="xen-guest-bootloader log",
    ),
    Question(
        asked="Where can I read more about an entry?",
        section="WHAT IT DID",
        answer="explains each entry",
        types="journalctl -xt xen-guest-bootloader",
    ),
    Question(
        asked="How do I keep it still during maintenance?",
        section="TURNING IT OFF",
        answer="While a hold is in force",
        types="xen-guest-bootloader hold --until 18:00",
    ),
    Question(
        asked="The maintenance is over.",
        section="TURNING IT OFF",
        answer="For a while",
        types="xen-guest-bootloader unhold",
    ),
    Question(
        asked="How do I turn it off for good?",
        section="TURNING IT OFF",
        answer="For good",
        types=f"echo 'repair = false' >{_OFF}/50-repair.toml",
    ),
    Question(
        asked="I make grub.cfg myself.",
        section="TURNING IT OFF",
        answer="Only grub.cfg",
        types=f"echo 'update_grub = false' >{_OFF}/50-menu.toml",
    ),
    Question(
        asked="I have a second stage of my own.",
        section="TURNING IT OFF",
        answer="is then left alone",
        types=f"echo 'accept_foreign = true' >{_OFF}/50-own.toml",
    ),
    Question(
        asked="Which value is in force, and from which file?",
        section="VERBS",
        answer="the file that it comes from",
        types="config",
    ),
    Question(
        asked="What is left when I purge it?",
        section="TURNING IT OFF",
        answer="because the guest boots by them",
    ),
    Question(
        asked="The new second stage is bad.",
        section="OPTIONS",
        answer="that could be put back",
        types="rollback --list",
    ),
    Question(
        asked="The kernel is packed with LZ4 or zstd.",
        section="NOTES",
        answer="package linux-image-amd64",
    ),
    Question(
        asked="Why does it wait during an upgrade?",
        section="PACKAGES BEING INSTALLED",
        answer="while a package manager is at work",
    ),
    Question(
        asked="Where is the shape of the JSON?",
        section="OPTIONS",
        answer="report.schema.json",
        types="status --json",
    ),
    Question(
        asked="How do I watch a thousand guests?",
        section="OPTIONS",
        answer="Prometheus",
        types="status --metrics",
    ),
    Question(
        asked="What does exit code 3 mean?", section="EXIT STATUS", answer="found something to do"
    ),
    Question(
        asked="What does the code in brackets mean?",
        section="PROBLEM CODES",
        answer="troubleshooting.md",
        types="status -v",
    ),
    Question(
        asked="What is this file in /boot/xen?",
        section="VERBS",
        answer="what a second stage, core image or kernel is",
        types="inspect /boot/xen/pvboot-x86_64.elf",
    ),
    Question(
        asked="How do I call a verb?",
        section="VERBS",
        answer="how VERB is called",
        types="help sync",
    ),
    Question(
        asked="Why is it slow on XFS?", section="ON THE DISK", answer="fs.xfs.xfssyncd_centisecs"
    ),
    Question(
        asked="How do I prepare an image for PV and PVH?",
        section="EXAMPLES",
        answer="sync --root /mnt --target x86_64-xen --target i386-xen_pvh",
    ),
)
"""In the order in which they came up."""


def command_line(question: Question) -> str:
    """What is typed, with the program's name before a verb."""
    first = question.types.partition(" ")[0]
    is_whole = first in ("", PROGRAM, "journalctl", "echo")
    return question.types if is_whole else f"{PROGRAM} {question.types}"


@cache
def sections() -> dict[str, str]:
    """The sections of the manual as a reader sees them, each on one line."""
    text = subprocess.run(
        ["man", "--encoding=UTF-8", "--local-file", CHECKOUT / "man" / MANUAL],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "MANWIDTH": "1000", "MAN_KEEP_FORMATTING": "", "LC_ALL": "C.UTF-8"},
    ).stdout
    found: dict[str, str] = {}
    name = ""
    for line in text.splitlines():
        if line[:1].strip():
            name = line.strip()
        elif name:
            found[name] = " ".join(f"{found.get(name, '')} {line}".split())
    return found
