# SPDX-License-Identifier: GPL-3.0-or-later
"""The package is upgraded, downgraded and removed by dpkg while its service runs, and while it
repairs.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.paths import RECEIPT
from tests.support import debian_package, older_package
from tests.support.nspawn_guest import SECOND_STAGE, Guest

NAME = "xen-guest-bootloader"
SYNC = f"{NAME}-sync.service"
CORE = "/boot/grub/x86_64-xen/core.elf"
CONFIG = "/etc/xen-guest-bootloader/config.toml"
EDITED = "# what the admin wrote"
INSTALL = "dpkg --force-confdef --force-confold --install"


@pytest.fixture
def packages(guest: Guest, deb: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The version before, this one and a later one, by their paths in the guest; what it had is
    installed again at the end.
    """
    made = {
        "older": older_package.build(deb, tmp_path),
        "this": deb,
        "newer": debian_package.repacked(deb, tmp_path, version="9.0", change=_another_conffile),
    }
    paths = {}
    for name, source in made.items():
        paths[name] = f"/root/{name}.deb"
        (guest.tree / f"root/{name}.deb").write_bytes(source.read_bytes())
    kept = (guest.tree / CONFIG[1:]).read_text()
    yield paths
    guest.run(f"dpkg --force-confnew --install {paths['this']}; rm -f {CONFIG}.dpkg-*")
    (guest.tree / CONFIG[1:]).write_text(kept)
    guest.run(f"rm {' '.join(paths.values())}")


def _another_conffile(top: Path) -> None:
    with (top / CONFIG[1:]).open("a") as file:
        file.write("# what a later version says\n")


def is_whole(guest: Guest, digest: str) -> None:
    """The package is installed whole, its service runs by it and repairs what is damaged."""
    assert guest.out("dpkg --audit") == ""
    assert guest.out("systemctl list-units --failed --no-legend --plain 'xen-guest-*'") == ""
    guest.until(f"systemctl is-active --quiet {NAME}")
    guest.at_rest()
    assert guest.service()["troubles"] == []
    assert guest.out("readlink /usr/sbin/grub-install") == f"../lib/{NAME}/grub-install"
    guest.run("grub-install --version")
    assert EDITED in (guest.tree / CONFIG[1:]).read_text()
    guest.run(f"rm {SECOND_STAGE}")
    guest.until(f"echo '{digest}  {SECOND_STAGE}' | sha256sum --check --status")
    guest.at_rest()


def test_up_and_down_while_the_service_runs(guest: Guest, packages: dict[str, str]) -> None:
    """Each version's own service runs afterwards; an edited conffile stays what it is."""
    guest.run(f"echo '{EDITED}' >> {CONFIG}")
    digest = guest.digest()
    pids = [guest.out(f"systemctl show -P MainPID {NAME}")]
    for name in ("older", "this", "newer", "this"):
        guest.run(f"{INSTALL} {packages[name]}")
        is_whole(guest, digest)
        pids.append(guest.out(f"systemctl show -P MainPID {NAME}"))
    assert len(set(pids)) == len(pids)
    assert (guest.tree / f"{CONFIG[1:]}.dpkg-dist").exists()


def test_upgraded_in_the_midst_of_a_repair(guest: Guest, packages: dict[str, str]) -> None:
    """The repair goes on by the program it began with, and is finished; dpkg waits for it."""
    guest.run(f"echo '{EDITED}' >> {CONFIG}")
    digest = guest.digest()
    since = now(guest)
    in_the_midst_of_a_repair(guest, f"{INSTALL} {packages['newer']}")
    is_whole(guest, digest)
    said = said_since(guest, since)
    assert "Traceback" not in said
    assert "internal error" not in said
    assert "Error" not in said


def test_removed_in_the_midst_of_a_repair(guest: Guest, packages: dict[str, str]) -> None:
    """The same, and nothing runs on without its program."""
    digest = guest.digest()
    since = now(guest)
    in_the_midst_of_a_repair(guest, f"dpkg --remove {NAME}")
    guest.run(f"echo '{digest}  {SECOND_STAGE}' | sha256sum --check --status")
    assert guest.out("systemctl list-units --no-legend --plain --state=active 'xen-guest-*'") == ""
    said = said_since(guest, since)
    assert "Traceback" not in said
    assert "internal error" not in said
    assert f"Rebuilt {SECOND_STAGE}" in said
    assert guest.run("readlink /usr/sbin/grub-install", check=False).returncode == 1
    guest.run("grub-install --version")
    guest.run(f"dpkg --install {packages['this']}")
    guest.at_rest()


def in_the_midst_of_a_repair(guest: Guest, command: str) -> None:
    """Run a dpkg while grub-install works for the service; both end well."""
    with guest.slow_grub_install():
        guest.run(f"rm {SECOND_STAGE} {CORE} {RECEIPT}; rm -f /var/log/dpkg.log")
        guest.until("test -e /run/grub-install-waits")
        pid = guest.out(f"systemctl show -P MainPID {SYNC}")
        guest.run(
            f"systemd-run --quiet --unit=package --remain-after-exit --setenv=PATH=$PATH {command}"
        )
        guest.until(f"grep ' status half-configured {NAME}' /var/log/dpkg.log")
        assert guest.out(f"sleep 2; systemctl show -P MainPID {SYNC}") == pid
        assert guest.out("systemctl show -P SubState package") == "running"
    guest.until("test $(systemctl show -P SubState package) = exited")
    assert guest.out("systemctl show -P Result package") == "success"
    guest.run("systemctl stop package")


def now(guest: Guest) -> str:
    return guest.out("journalctl --sync; date +@%s.%N")


def said_since(guest: Guest, since: str) -> str:
    return guest.out(f"journalctl --sync; journalctl -o cat --since '{since}' -t {NAME} -u {SYNC}")
