# SPDX-License-Identifier: GPL-3.0-or-later
"""What a grub-mkconfig may cost the running system."""

from pathlib import Path

import pytest

from guest_hooks.errors import NotRepairedError
from guest_hooks.machine import mkconfig, staging
from guest_hooks.machine.root import Root

ENDLESS = """#!/bin/sh -e
exec >"$2.new"
echo "### BEGIN /etc/grub.d/41_odd ###"
sh -c "exec yes" || { code=$?; wc -c <"$2.new" >{size}; exit $code; }
"""


def test_a_script_that_prints_without_an_end_fills_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "grub-mkconfig"
    program.write_text(ENDLESS.replace("{size}", str(tmp_path / "size")))
    program.chmod(0o755)
    monkeypatch.setattr(mkconfig, "PROGRAM", str(program))
    monkeypatch.setattr(staging, "STAGING_DIR", str(tmp_path / "staging"))
    with pytest.raises(NotRepairedError, match=r"/etc/grub\.d/41_odd failed"):
        mkconfig.make(Root(), "/boot/grub/grub.cfg")
    assert int((tmp_path / "size").read_text()) == mkconfig.MOST_MENU
    assert not list((tmp_path / "staging").iterdir())
