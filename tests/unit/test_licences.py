# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file says under which licence it is: in a line of its own, or in debian/copyright."""

from tests.support import licences
from tests.support.checkout import CHECKOUT


def test_each_file_that_can_carry_a_comment_has_a_line() -> None:
    lacking = [path.relative_to(CHECKOUT).as_posix() for path in licences.missing()]
    assert lacking == [], f"no '{licences.LINE}' in its first lines; `make format` adds it"


def test_the_package_s_copyright_speaks_of_all_others() -> None:
    assert "\nFiles: *\n" in (CHECKOUT / "debian/copyright").read_text()
    assert len(licences.bearers()) > 200
