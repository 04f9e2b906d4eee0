# SPDX-License-Identifier: GPL-3.0-or-later
"""What the run's last look at the machine would find."""

import subprocess
from pathlib import Path

from tests.support import images, machine_state
from tests.support.waiting import until


def test_a_loop_device_and_a_mount_are_found(tmp_path: Path) -> None:
    assert machine_state.leftovers(tmp_path) == []
    with images.disk(tmp_path, "ext4", size=40 * images.MIB) as disk:
        device = Path(disk.root.device).name
        assert f"mount on {disk.top}" in machine_state.leftovers(tmp_path)
        assert f"loop device {device} of {disk.root.image}" in machine_state.leftovers(tmp_path)
    assert machine_state.leftovers(tmp_path) == []


def test_a_process_is_found(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    with subprocess.Popen(["sleep", "60"], cwd=tmp_path / "work") as process:
        found = [f"process {process.pid}: sleep 60"]
        until(lambda: machine_state.leftovers(tmp_path) == found)
        process.kill()
    assert machine_state.leftovers(tmp_path) == []


def test_a_changed_setting_is_found() -> None:
    before = machine_state.settings()
    assert machine_state.changed_settings(before) == []
    value = before["fs/inotify/max_user_instances"]
    assert machine_state.changed_settings(before | {"fs/inotify/max_user_instances": "1"}) == [
        f"fs/inotify/max_user_instances: 1 -> {value}"
    ]
