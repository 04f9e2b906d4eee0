# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight says of damaged and of healthy guests, as a test saw it, and the page of it.

`tests/golden/damaged-guests.json` holds what the program says of each row; RECORD=1 lets the tests
write what they see there, and `make pages` makes docs/preflight.md of it.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from tests.support.checkout import CHECKOUT
from tests.support.damaged_debian import ROWS
from tests.support.debian_damage import PV, Guest, Row
from tests.support.debian_layouts import LAYOUTS
from tests.support.healthy_boot import HEALTHY
from tests.support.seen_on_xen import CODES
from tests.support.unusual_debian import WELL

PAGE = CHECKOUT / "docs/preflight.md"
_ABOUT = """\
# What preflight says

Made from the tests by `make pages`; `tests/golden/damaged-guests.json` holds what a test saw.

Each damaged guest is a Debian 12 with Debian's own kernel on a disk image, to which one thing was
done; `tests/tree/test_damaged_guests.py` expects the codes here and no others. Of the healthy
guests nothing may be found: whole Debian systems on disk images, and trees of small kernels with
what the kernel and udev would say of their disks (LVM, LUKS, two whole disks, a cloud image's
partitions), for which there is no real disk here.

### Which words have been seen

An asterisk: a guest with a damage of this code is booted as PV on Xen 4.17, and its console says
what preflight foretold (`tests/xen/long_preflight.py`). Other words come from the sources that the
code names: GRUB, Linux, initramfs-tools, systemd. Not seen on any console: `emergency mode`, the
words about a resume disk, all of dracut's, and those of pvgrub-legacy, of which Debian has no
package, so that none could be tried. Those of initramfs-tools, systemd and dracut are held to what
bookworm and trixie ship, whose scripts are run for it (`tests/tree/test_console_words.py`,
`test_dracut.py`). What pygrub refuses was tried with the real pygrub of xen-utils 4.17.

### When GRUB refuses a menu

GRUB drops what makes no sense up to some word, with the rest of that word's line, and goes on with
the next line: a menu that its parser refuses may boot. preflight follows what is left, as
`grub-emu` does (`tests/tree/test_grub_emu.py`). A menu without a mark of grub-mkconfig's is a
person's, and no run replaces it unasked.

### When bytes are compared

preflight finds the guest's files by their names. It then reads the second stage and grub.cfg on the
raw device, too, by GRUB's drivers, and compares: `other-bytes`. They differ where GRUB comes to
them another way (a btrfs subvolume, a bind mount, a link) and where a file is mounted over one of
them. What was seen to be the same is remembered as long as the file is; what was changed within the
last minute on XFS, which GRUB reads without its log, is not judged
(`tests/tree/test_boot_places.py`).
"""
SMALL = ("images", "menus", "system")
"""Of the tests of damaged trees: what stands for one of their modules."""
GOLDEN = CHECKOUT / "tests/golden/damaged-guests.json"


def key(row: Row) -> str:
    """The row's name."""
    return f"{row.what}, {platform(row)}"


def platform(row: Row) -> str:
    """As what the guest is started."""
    return "PV" if row.target == PV else "PVH"


def damaged(row: Row, answer: Mapping[str, Any], guest: Guest) -> dict[str, Any]:
    """What is said of one row; releases and UUIDs of this run have a word in their place."""
    findings = sorted(answer["findings"], key=lambda each: not each["stops"])
    first = findings[0] if findings else {"console": "", "hint": ""}
    names = {guest.uuid: "UUID", guest.release: "RELEASE", str(guest.top): ""}
    return {
        "guest": key(row),
        "codes": sorted({each["code"] for each in findings}),
        "boots": answer["will_boot"],
        "console": _named(first["console"], names),
        "step": _named(first["hint"], names),
    }


def _named(text: str, names: Mapping[str, str]) -> str:
    for value, name in names.items():
        text = text.replace(value, name)
    return re.sub(r" --(root|config|target)[= ]?\S*?(?=[ ;]|$)", "", text)


def same_as_written(found: Mapping[str, Any]) -> bool:
    """Whether the golden file says the same; with RECORD=1 it is made to."""
    written = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    rest = {name: value for name, value in found.items() if name != "guest"}
    if os.environ.get("RECORD"):
        GOLDEN.write_text(json.dumps({**written, found["guest"]: rest}, indent=1) + "\n")
        return True
    assert written.get(found["guest"]) == rest
    return True


def page() -> str:
    """docs/preflight.md."""
    return "\n".join(
        [
            _ABOUT,
            "## Damaged guests",
            "",
            "| what is wrong | as | boots | found | the console shows | what to do |",
            "|---|---|---|---|---|---|",
            *_damaged_rows(),
            "",
            "### In trees of small kernels",
            "",
            "A damage each; no other error may be found (`tests/unit/preflight`). What the console",
            "shows may go on.",
            "",
            "| what is wrong | as | boots | found | the console shows |",
            "|---|---|---|---|---|",
            *_small_rows(),
            "",
            "## Healthy guests",
            "",
            "| guest | as | looked at |",
            "|---|---|---|",
            *_healthy_rows(),
            "",
        ]
    )


def _damaged_rows() -> Iterator[str]:
    written = json.loads(GOLDEN.read_text())
    for row in ROWS:
        said = written[key(row)]
        is_seen = row.target == PV and not CODES.isdisjoint(said["codes"])
        mark = " \\*" if is_seen else ""
        shown = f"`` {said['console']} ``{mark}" if said["console"] else ""
        codes = ", ".join(f"`{code}`" for code in said["codes"])
        boots = "yes" if said["boots"] else "no"
        yield f"| {row.what} | {platform(row)} | {boots} | {codes} | {shown} | {said['step']} |"


def _small_rows() -> Iterator[str]:
    for module in SMALL:
        for case in import_module(f"tests.unit.preflight.test_damaged_{module}").CASES:
            boots = "yes" if case.boots else "no"
            shown = f"`` {case.console} ``" if case.console else ""
            mode = case.mode.upper()
            name = _words(case.name.removesuffix(f"-{case.mode}"))
            yield f"| {name} | {mode} | {boots} | `{case.code}` | {shown} |"


def _healthy_rows() -> Iterator[str]:
    for name, (_, target) in LAYOUTS.items():
        yield f"| {_words(name)} | {'PV' if target == PV else 'PVH'} | a whole Debian |"
    for row in WELL:
        yield f"| {row.what} | {platform(row)} | a whole Debian |"
    for name in HEALTHY:
        platforms = "PV" if name.endswith("-pv") else "PV, PVH"
        yield f"| {_words(name.removesuffix('-pv'))} | {platforms} | a tree of small kernels |"


def _words(name: str) -> str:
    return name.replace("-", " ")
