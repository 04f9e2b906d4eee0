# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made from the table of problem codes: the manual's list, the schema's codes, a page;
and HACKING's picture, from the tree.

`python3 -m tests.support.problem_pages` writes them; a test compares them with what it would write.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from guest_hooks.model import Reason
from guest_hooks.problems.row import Actor, Effect, ProblemCode, Severity
from guest_hooks.problems.table import GROUPS, TABLE
from tests.support import guest_tables, picture
from tests.support.checkout import CHECKOUT

MANUAL = CHECKOUT / "man/xen-guest-bootloader.8"
SCHEMA = CHECKOUT / "guest_hooks/schema/report.schema.json"
PAGE = CHECKOUT / "docs/troubleshooting.md"
_BEGIN, _END = '.\\" Made by `make pages` from here', '.\\" to here'
_EFFECTS = {
    Effect.ENDS: "The boot ends here.",
    Effect.FALLS_BACK: "The host's GRUB then reads grub.cfg itself.",
    Effect.MAY_END: "The boot may end here.",
    Effect.NONE: "",
}
_ABOUT = """\
# Troubleshooting

Made from the table of problem codes (`guest_hooks/problems`) by `make pages`.

`xen-guest-bootloader preflight` predicts what a guest's console will show at the next boot. This
page goes the other way: find what the console shows in the first column. Words in capital letters
stand for a path, a UUID or a version. *Nothing* means that the console stays silent.

The next step is for whoever is named: *here* is where you run `xen-guest-bootloader` (in the
guest, or on its disk from outside with `--root DIR`), *guest* is inside the guest, *host* is the
host's admin. A guest that can't boot: start it by another entry of its menu or by another kernel
of the host's, or mount its disk on the host and use `--root DIR`.

`preflight` writes the codes of a second stage as `second-stage-CODE`.
"""
_USUAL = {
    "make": "update-initramfs -u -k RELEASE",
    "menu": "xen-guest-bootloader sync",
    "package": "linux-image-amd64",
    "packages": "linux-image-RELEASE",
    "remedy": "xen-guest-bootloader sync",
}
"""What a field of a row usually is; any other stands for itself."""
_ACTORS = {Actor.HERE: "here", Actor.GUEST: "guest", Actor.HOST: "host"}


def written() -> dict[Path, str]:
    """The files and the text that each has to have."""
    pages = {MANUAL: manual(MANUAL.read_text()), SCHEMA: schema(SCHEMA.read_text()), PAGE: page()}
    pages[guest_tables.PAGE] = guest_tables.page()
    return pages | picture.written()


def manual(text: str) -> str:
    """The manual page `text` with the list as the table has it."""
    head, _, rest = text.partition(f"{_BEGIN}\n")
    _, _, tail = rest.partition(f"{_END}\n")
    return f"{head}{_BEGIN}\n{''.join(_list())}{_END}\n{tail}"


def _list() -> Iterator[str]:
    for title, group in GROUPS.items():
        yield f".SS {title}\n"
        for code in group:
            row = code.row
            kind = "A warning." if row.severity is Severity.WARNING else ""
            words = " ".join(filter(None, (row.meaning, _EFFECTS[row.effect], kind)))
            yield f".TP\n.B {_roff(code)}\n{_roff(words)}\n"


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{escaped}" if escaped.startswith((".", "'")) else escaped


def schema(text: str) -> str:
    """The JSON Schema `text` with the codes as the table has them."""
    table = json.loads(text)
    definitions = table["$defs"]
    definitions["code"] = {
        "description": "A problem's stable name; xen-guest-bootloader(8) says what each means.",
        "enum": sorted(TABLE),
    }
    definitions["findingCode"] = {
        "description": "The same; those of a second stage begin with second-stage-.",
        "enum": sorted(code.finding for code in TABLE.values()),
    }
    definitions["why"] = {
        "description": "The code of a problem, or what asked for the change.",
        "enum": sorted((*TABLE, *Reason)),
    }
    definitions["finding"]["properties"]["code"] = {"$ref": "#/$defs/findingCode"}
    definitions["change"]["properties"]["why"]["items"] = {"$ref": "#/$defs/why"}
    return json.dumps(table, indent=2) + "\n"


def page() -> str:
    """docs/troubleshooting.md."""
    ends = [code for code in TABLE.values() if code.row.effect is not Effect.NONE]
    others = [code for code in TABLE.values() if code.row.effect is Effect.NONE]
    return "\n".join(
        [
            _ABOUT,
            "## The guest does not boot, or not as it should",
            "",
            *_table(sorted(ends, key=lambda code: (not code.row.console, code.row.console))),
            "",
            "## The guest boots, and this is reported",
            "",
            *_table(others),
            "",
        ]
    )


def _table(codes: list[ProblemCode]) -> Iterator[str]:
    yield "| the console shows | code | what it is | what to do | who |"
    yield "|---|---|---|---|---|"
    for code in codes:
        row = code.row
        shown = _literal(row.console) if row.console else _silence(row.effect)
        what = " ".join(filter(None, (row.meaning, _EFFECTS[row.effect])))
        todo = _filled(row.hint.replace("{step}", row.step))
        cells = (shown, f"`{code}`", what, todo, _ACTORS[row.actor])
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _silence(effect: Effect) -> str:
    return "" if effect is Effect.NONE else "*nothing*"


def _literal(console: str) -> str:
    quote = "``" if "`" in console else "`"
    # CommonMark 6.1: a backtick at the end would count as one more of the quote.
    edge = " " if console.startswith("`") or console.endswith("`") else ""
    return f"{quote}{edge}{_filled(console)}{edge}{quote}"


def _filled(template: str) -> str:
    """`template` with the usual words for the fields, or the fields in capital letters."""
    return re.sub(r"\{(\w+)\}", lambda field: _USUAL.get(field[1], field[1].upper()), template)


if __name__ == "__main__":
    for path, text in written().items():
        path.write_text(text)
