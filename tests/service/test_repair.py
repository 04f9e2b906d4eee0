# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes missing or stale comes back by itself, in a booted systemd."""

import json
from pathlib import Path

import pytest

from guest_hooks.machine.journal import KINDS, Outcome
from tests.support.debian_package import host
from tests.support.nspawn_guest import DISK, SECOND_STAGE, SETTING, TARGET, Guest

_AS_OS_PROBER = """\
#!/bin/sh
# What os-prober and its like do: mount, look, write something, ask disks, have their own namespace.
set -eux
mkdir -p /run/other
mount -t tmpfs -o size=1m,mode=755 other /run/other
echo it > /run/other/os-release
cp /run/other/os-release /srv/found
chown 1:1 /srv/found
unshare --mount umount /run/other
blkid -p /dev/xvdb
dd if=/dev/xvdb of=/dev/null bs=4096 count=1
perl -e 'exit !(eval q(1 + 1) == 2)'
# And what none of them does.
ask='import ctypes; c = ctypes.CDLL(None, use_errno=True); c.swapoff(b"/")'
python3 -c "$ask; print(ctypes.get_errno())" | grep -x 1
(touch @SETTING@ 2>&1 || true) | sed 's/.*: //' > /srv/refused
"""
WATCHER = "xen-guest-bootloader.service"
SYNC = "xen-guest-bootloader-sync.service"


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(f"rm {SECOND_STAGE}", id="delete"),
        pytest.param(f"truncate -s 1000 {SECOND_STAGE}", id="truncate"),
        pytest.param(f": > {SECOND_STAGE}", id="empty"),
        pytest.param(
            f"printf XXXX | dd of={SECOND_STAGE} bs=1 seek=5000 conv=notrunc", id="overwrite"
        ),
        pytest.param(f"rm {SECOND_STAGE} && mkdir {SECOND_STAGE}", id="replace-by-directory"),
        pytest.param(f"mv {SECOND_STAGE} /boot/xen/elsewhere", id="rename-away"),
        pytest.param(f"ln -sf /etc/passwd {SECOND_STAGE}", id="replace-by-link"),
        pytest.param("rm -r /boot/xen", id="delete-directory"),
        pytest.param("mv /boot/xen /boot/xen.old", id="rename-directory"),
    ],
)
def test_damage_is_repaired(guest: Guest, damage: str) -> None:
    before = guest.digest()
    guest.run(damage)
    guest.until(
        f"test -f {SECOND_STAGE} && ! test -L {SECOND_STAGE} && echo '{before}  {SECOND_STAGE}' |"
        " sha256sum --check"
    )
    guest.at_rest()
    guest.run("rm -rf /boot/xen.old /boot/xen/elsewhere")
    assert guest.service()["repair"] == "done"


@pytest.mark.parametrize("damage", ["rm", "truncate -s 4000000"])
def test_a_kernel_s_copy_for_pv_comes_back(guest: Guest, damage: str) -> None:
    copy = guest.out("ls /boot/xen/vmlinux-*.gz")
    before = guest.out(f"sha256sum {copy}")
    guest.run(f"{damage} {copy}")
    guest.until(f"echo '{before}' | sha256sum --check")
    guest.at_rest()
    assert guest.service()["repair"] == "done"


@pytest.mark.parametrize(
    "mkfs",
    [
        pytest.param("mkfs.xfs -qf --unsupported", id="xfs"),
        pytest.param("mkfs.btrfs -qf", id="btrfs"),
    ],
)
def test_boot_on_another_file_system_is_repaired(guest: Guest, mkfs: str) -> None:
    guest.run(
        "systemctl stop xen-guest-bootloader; cp -a /boot /root/kept; umount /boot; dd if=/dev/xvdb"
        " of=/root/kept.img bs=1M"
    )
    try:
        host(*mkfs.split(), str(guest.disk))
        # So closed XFS is frozen, and has not to be waited for.
        guest.run(
            "mount /dev/xvdb /boot && cp -a /root/kept/. /boot && chmod 700 /boot && systemctl"
            " start xen-guest-bootloader"
        )
        guest.run("xen-guest-bootloader sync --quiet --force")
        before = guest.digest()
        guest.at_rest()
        guest.run(f"rm {SECOND_STAGE}")
        guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
        guest.at_rest()
        assert guest.service()["repair"] == "done"
    finally:
        guest.run(
            "systemctl stop xen-guest-bootloader; umount /boot; dd if=/root/kept.img of=/dev/xvdb"
            " bs=1M; mount /dev/xvdb /boot"
        )
        guest.run("rm -r /root/kept /root/kept.img; systemctl start xen-guest-bootloader")


def test_a_repair_leaves_scripts_of_the_admin_what_they_need(guest: Guest) -> None:
    dropin = f"/run/systemd/system/{SYNC}.d/20-script.conf"
    guest.run(
        f"mkdir -p $(dirname {dropin}) && printf"
        f" '[Service]\\nExecStart=\\nExecStart=/root/script\\n' > {dropin}"
    )
    script = _AS_OS_PROBER.replace("@SETTING@", SETTING)
    guest.run(
        f"cat > /root/script <<'END'\n{script}\nEND\nchmod 755 /root/script; systemctl"
        " daemon-reload"
    )
    guest.run(f"touch {SETTING}")
    try:
        done = guest.run(f"systemctl start {SYNC}", check=False)
        assert done.returncode == 0, guest.out(f"journalctl -u {SYNC} -n 20 -o cat")
        assert (
            guest.out(
                "cat /srv/found; stat -c %u:%g /srv/found; grep -c /run/other /proc/mounts || true"
            )
            == "it\n1:1\n0"
        )
        assert guest.out("cat /srv/refused") == "Read-only file system"
    finally:
        guest.run(f"rm -f {dropin} /root/script /srv/found /srv/refused; systemctl daemon-reload")


def test_a_changed_mode_is_looked_after(guest: Guest) -> None:
    before = guest.syncs()
    guest.run(f"chmod 000 {SECOND_STAGE}")
    guest.until(f"test $(journalctl -u {SYNC} -o cat | grep -c ^Finished) -gt {before}")
    guest.at_rest()
    assert guest.syncs() == before + 1
    guest.run(f"chmod 644 {SECOND_STAGE}")


def test_a_repair_is_in_the_journal_with_its_explanation(guest: Guest) -> None:
    guest.run(f"rm {SECOND_STAGE}")
    guest.until(f"test -s {SECOND_STAGE}")
    guest.at_rest()
    guest.run("journalctl --sync")
    entry = json.loads(
        guest.out(f"journalctl -o json -n 1 MESSAGE_ID={KINDS[Outcome.NOTICED].message_id}")
    )
    assert entry["BOOTLOADER_PATH"] == SECOND_STAGE
    assert entry["_SYSTEMD_UNIT"] == WATCHER
    done = json.loads(
        guest.out(f"journalctl -o json -n 1 MESSAGE_ID={KINDS[Outcome.REPAIRED].message_id}")
    )
    assert (done["BOOTLOADER_PATH"], done["BOOTLOADER_TARGET"]) == (SECOND_STAGE, TARGET)
    assert (done["BOOTLOADER_STATE_BEFORE"], done["BOOTLOADER_STATE_AFTER"]) == (
        "missing",
        "current",
    )
    assert done["_SYSTEMD_UNIT"] == SYNC
    explained = guest.out(f"journalctl -x -n 1 MESSAGE_ID={KINDS[Outcome.NOTICED].message_id}")
    assert "A change was noticed, and a repair begins" in explained
    assert SECOND_STAGE in explained


def test_a_missing_boot_is_reported_and_its_return_is_seen(guest: Guest) -> None:
    before = guest.digest()
    guest.run("umount /boot")
    guest.until(
        "grep -q 'is in /etc/fstab and is not mounted' /run/xen-guest-bootloader/watch/state.json"
    )
    assert guest.run("test -e /boot/xen", check=False).returncode != 0, (
        "a repair wrote under the mount point"
    )
    guest.run(f"mount /dev/xvdb /boot && rm {SECOND_STAGE}")
    guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
    guest.at_rest()


def test_a_boot_that_is_not_mounted_is_told_once_and_waited_for(guest: Guest) -> None:
    """With noauto in fstab no repair is started, until somebody mounts it."""
    entries = f"journalctl -o cat MESSAGE_ID={KINDS[Outcome.FAILING].message_id}"
    count = f"journalctl --sync; {entries} | grep -c 'and is not mounted' || true"
    before, syncs, said = guest.digest(), guest.syncs(), int(guest.out(count))
    guest.run(
        f"cp -p /etc/fstab /etc/fstab.kept; echo '{DISK} /boot ext4 noauto 0 0' >>/etc/fstab;"
        " umount /boot"
    )
    guest.until(
        "grep -q 'is in /etc/fstab and is not mounted' /run/xen-guest-bootloader/watch/state.json"
    )
    guest.run("mkdir /boot/xen; sleep 1; rmdir /boot/xen; sleep 2")
    assert (guest.syncs(), guest.service()["retry_at"]) == (syncs, "")
    assert int(guest.out(count)) == said + 1
    guest.run(f"mount /boot && rm {SECOND_STAGE}")
    guest.until(f"echo '{before}  {SECOND_STAGE}' | sha256sum --check")
    guest.run("mv /etc/fstab.kept /etc/fstab")
    guest.at_rest()


def test_a_boot_mounted_later_is_read_only_for_the_watcher(guest: Guest) -> None:
    guest.run("umount /boot; mount /dev/xvdb /boot")
    guest.until(
        "pid=$(systemctl show -P MainPID xen-guest-bootloader) && test $pid != 0 &&"
        " nsenter -t $pid -m findmnt -n -o OPTIONS /boot | grep '^ro'"
    )
    guest.until("systemctl is-active xen-guest-bootloader")


def test_a_changed_uuid_is_followed(guest: Guest) -> None:
    guest.run(
        "udevadm trigger --settle $(readlink -f /sys/dev/block/7:*/ | grep -m1 /loop) || true"
    )
    guest.run(f"udevadm trigger --settle --action=change {guest.disk}")
    guest.at_rest()
    new = guest.out("cat /proc/sys/kernel/random/uuid")
    guest.run(f"tune2fs -U {new} /dev/xvdb")
    guest.until(f"grep -q {new} {SECOND_STAGE}")
    guest.at_rest()
    answer = json.loads(guest.run("xen-guest-bootloader status --json", check=False).stdout)
    assert [each["state"] for each in answer["targets"]] == ["current"]
    assert answer["targets"][0]["fs_uuid"] == new


def test_a_grub_upgrade_by_apt_is_followed(guest: Guest, tmp_path: Path) -> None:
    before = guest.digest()
    module = f"usr/lib/grub/{TARGET}/help.mod"
    newer = guest.repacked(
        "grub-xen-bin", tmp_path, change=module, old=b"Show a help", new=b"Tell a help"
    )
    guest.run(f"apt-get install -y --no-install-recommends {newer}")
    guest.until(f"! echo '{before}  {SECOND_STAGE}' | sha256sum --check")
    guest.at_rest()
    answer = json.loads(guest.run("xen-guest-bootloader status --json", check=False).stdout)
    assert [each["state"] for each in answer["targets"]] == ["current"]


def test_a_burst_costs_at_most_two_syncs(guest: Guest) -> None:
    before = guest.syncs()
    guest.run(f"cd /boot/grub/{TARGET} && seq -f burst-%.0f 10000 | xargs touch")
    guest.at_rest()
    assert guest.syncs() - before <= 2
    guest.run(f"cd /boot/grub/{TARGET} && seq -f burst-%.0f 10000 | xargs rm")
    guest.at_rest()
    assert guest.syncs() - before <= 4
    assert guest.service()["running"]


def test_what_cannot_be_repaired_is_told_once_and_mended_when_it_can(guest: Guest) -> None:
    failing, mended = (KINDS[each].message_id for each in (Outcome.FAILING, Outcome.MENDED))
    guest.run("journalctl --rotate --vacuum-time=1s")
    guest.run(f"mv /usr/lib/grub/{TARGET} /usr/lib/grub/gone && rm {SECOND_STAGE}")
    guest.until(f"journalctl -q -o cat MESSAGE_ID={failing} | grep 'Repair failed'")
    guest.until('grep -q \'"retry_at": "2\' /run/xen-guest-bootloader/watch/state.json')
    for _ in range(5):
        guest.run("touch /boot/xen/other; rm /boot/xen/other; sleep 0.5")
    assert guest.out(f"journalctl -q -o cat MESSAGE_ID={failing} | wc -l") == "1"
    guest.run(f"mv /usr/lib/grub/gone /usr/lib/grub/{TARGET}")
    guest.until(f"test -s {SECOND_STAGE}")
    guest.until(f"journalctl -q -o cat MESSAGE_ID={mended} | grep .")
    guest.at_rest()
