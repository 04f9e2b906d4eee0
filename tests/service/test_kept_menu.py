# SPDX-License-Identifier: GPL-3.0-or-later
"""A menu that boots is kept from one that does not, by the real units: said once, tried again
at leisure, mended when it can be.
"""

from guest_hooks.machine.journal import KINDS, Outcome
from tests.support.nspawn_guest import Guest

CONF = "/etc/xen-guest-bootloader/conf.d/zz-menu.toml"
MENU = "/boot/grub/grub.cfg"
# This guest's root is no disk that GRUB knows, so grub-mkconfig is played: it lists the kernel,
# with or without its initrd.
MKCONFIG = """#!/bin/sh
exec >"$2"
kernel=$(basename "$(ls /boot/vmlinuz-* | head -n 1)")
echo '### BEGIN /etc/grub.d/10_linux ###'
echo "menuentry 'Debian' {"
echo "linux /$kernel root=/dev/nfs ro"
[ -e /root/no-initrd ] || echo "initrd /initrd.img-${kernel#vmlinuz-}"
echo '}'
echo '### END /etc/grub.d/10_linux ###'
"""
GONE = "menuentry gone { linux /vmlinuz-0.1 root=/dev/nfs ; }"


def test_a_menu_that_is_kept_is_told_once(guest: Guest) -> None:
    failed, repaired = (KINDS[each].message_id for each in (Outcome.NOT_REPAIRED, Outcome.REPAIRED))
    guest.run(f"cp -a {MENU} /root/menu; cp -a /usr/sbin/grub-mkconfig /root/grub-mkconfig")
    (guest.tree / "root/played").write_text(MKCONFIG)
    guest.run(
        "install -m 755 /root/played /usr/sbin/grub-mkconfig; /usr/sbin/grub-mkconfig -o /root/good"
    )
    guest.run(f"printf 'targets = [\"i386-xen_pvh\"]\\nupdate_grub = true\\n' >{CONF}")
    guest.run(
        f"chmod -x /etc/grub.d/00_chainload_xen_pvh; cp /root/good {MENU}; systemctl reload"
        " xen-guest-bootloader"
    )
    guest.run("xen-guest-bootloader sync --quiet")
    try:
        guest.at_rest()
        guest.run("touch /root/no-initrd; journalctl --rotate --vacuum-time=1s")
        guest.run(
            f"sed '/^### END/i {GONE}' /root/good >{MENU}.new; mv {MENU}.new {MENU}; cp {MENU}"
            " /root/stale"
        )
        guest.until(f"journalctl -q -o cat MESSAGE_ID={failed} | grep 'was kept'")
        tries = "journalctl -u xen-guest-bootloader-sync -o cat | grep -c 'Main process exited'"
        guest.until(f"test $({tries}) -ge 2")
        guest.run(f"cmp {MENU} /root/stale")
        guest.run("journalctl --sync")
        assert guest.out(f"journalctl -q -o cat MESSAGE_ID={failed} | wc -l") == "1"
        assert int(guest.out(tries)) <= 3
        guest.run("xen-guest-bootloader status --json | grep menu-kept")
        guest.run("rm /root/no-initrd; xen-guest-bootloader sync --quiet")
        guest.run(
            f"cmp {MENU} /root/good;"
            f" journalctl -q -o cat MESSAGE_ID={repaired} | grep 'a kernel that is gone'"
        )
    finally:
        guest.run(
            "install -m 755 /root/grub-mkconfig /usr/sbin/grub-mkconfig; chmod +x"
            " /etc/grub.d/00_chainload_xen_pvh"
        )
        guest.run(
            f"rm -f {CONF} /root/no-initrd; cp -a /root/menu {MENU}; systemctl reload"
            " xen-guest-bootloader"
        )
    guest.run("xen-guest-bootloader sync --quiet --force")
    guest.at_rest()
