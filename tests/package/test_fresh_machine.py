# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's commands, on a machine that has what the README says and nothing else."""

import re
from pathlib import Path

from tests.support.checkout import CHECKOUT
from tests.support.debian_tree import Suite
from tests.support.fresh_machine import fresh_machine

README = (CHECKOUT / "README.md").read_text()
LAST = ("on the disk", "in the file")
"""How the last lines of the demo begin, before the sum of what is there."""
KINDS = sorted({path.parent.name for path in CHECKOUT.glob("tests/*/test_*.py")})


def commands(*words: str) -> str:
    """The one block of commands in the README that has these words."""
    blocks = re.findall(r"(?:^    (?:sudo|make) .*\n)+", README, re.MULTILINE)
    (found,) = [block for block in blocks if all(word in block.split() for word in words)]
    return str(found)


def there_already() -> tuple[str, ...]:
    """What the README expects on the machine."""
    (words,) = re.findall(r"with nothing but (.+):", README)
    return tuple(re.split(r", | and ", words))


def test_what_the_readme_says_is_true(suite: Suite, tmp_path: Path) -> None:
    with fresh_machine(suite, tmp_path, there_already()) as machine:
        demo = machine.run(commands("demo")).splitlines()
        last = [
            re.fullmatch(rf"{place}  ([0-9a-f]{{16}})", line)
            for place, line in zip(LAST, demo[-2:], strict=True)
        ]
        assert all(last), demo[-20:]
        assert len({found[1] for found in last if found}) == 1

        collected = machine.run(commands("test"), arguments="--collect-only -q")
        assert [kind for kind in KINDS if f"tests/{kind}/" not in collected] == []
        # What most of the tests begin with, before anything else has installed what it needs.
        machine.run('sudo debian/build "$(mktemp -d)"')

        assert re.search(r"\d+ passed", machine.run(commands("check")))

        long = machine.run("make test-xen", arguments="--collect-only -q")
        assert [
            path.name for path in CHECKOUT.glob("tests/xen/long_*.py") if path.name not in long
        ] == []
        machine.run("make reliability", arguments="--help")

        machine.run(commands("deb"))
        assert "xen-guest-bootloader" in machine.run("xen-guest-bootloader --version")
