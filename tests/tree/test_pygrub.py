# SPDX-License-Identifier: GPL-3.0-or-later
"""What pygrub makes of a menu: our reader beside the real program, over many menus in real file
systems.
"""

from pathlib import Path
from typing import Any

from guest_hooks.errors import FormatError
from guest_hooks.formats import pygrub_menu
from tests.support import generated_menus, pygrub

CFG = "/boot/grub/grub.cfg"


def entry(
    title: str = "Debian", number: int = 1, *, body: str = "", options: str = "--class debian"
) -> str:
    return (
        f"menuentry '{title}' {options} {{\n{body}linux /vmlinuz-{number} root=UUID=1234 ro\ninitrd"
        f" /initrd-{number}\n}}\n"
    )


TWO = entry("a", 1) + entry("b", 2)
IN_SUBMENU = entry("a", 1) + "submenu 'more' {\n" + entry("b", 2) + entry("c", 3) + "}\n"

GRUB_2 = {
    "one": entry(),
    "two": TWO,
    "default-number": "set default=1\n" + TWO,
    "default-quoted": 'set default="1"\n' + TWO,
    "default-title": "set default=b\n" + TWO,
    "default-quoted-title": 'set default="b"\n' + TWO,
    "default-beyond": "set default=7\n" + TWO,
    "default-just-beyond": "set default=2\n" + TWO,
    "default-negative": "set default=-1\n" + TWO,
    "default-hex": "set default=0x1\n" + TWO,
    "default-underscore": "set default=0_1\n" + TWO,
    "default-path": "set default='1>0'\n" + IN_SUBMENU,
    "default-flat": "set default=2\n" + IN_SUBMENU,
    "default-saved": 'set default="${saved_entry}"\n' + TWO,
    "default-saved-bare": "set default=saved\n" + TWO,
    "default-next": 'set default="1"\nset default="${next_entry}"\n' + TWO,
    "default-in-if": 'if [ "x" = "y" ]; then\nset default=1\nfi\n' + TWO,
    "default-after": TWO + "set default=1\n",
    "default-spaced": "set default = 1\n" + TWO,
    "default-tab": "set\tdefault=1\n" + TWO,
    "entry-in-if": 'if [ "x" = "y" ]; then\n' + entry("a", 1) + "fi\n" + entry("b", 2),
    "entry-in-else": "if true; then\n" + entry("a", 1) + "else\n" + entry("b", 2) + "fi\n",
    "submenu-only": "submenu 'more' {\n" + entry("b", 2) + "}\n",
    "submenu-in-entry": "menuentry 'a' x {\nsubmenu 'b' {\n}\nlinux /vmlinuz-1\n}\n",
    "nested-entry": "menuentry 'a' x {\nmenuentry 'b' y {\nlinux /k\n}\n}\n",
    "no-blank": "menuentry 'a'{\nlinux /vmlinuz-1\n}\n" + entry("b", 2),
    "no-options": "menuentry 'a' {\nlinux /vmlinuz-1\n}\n",
    "double-quoted": 'menuentry "a" {\nlinux /vmlinuz-1\n}\n',
    "unquoted": "menuentry a {\nlinux /vmlinuz-1\n}\n" + entry("b", 2),
    "two-blanks": "menuentry  'a' {\nlinux /vmlinuz-1\n}\n" + entry("b", 2),
    "brace-on-the-next-line": "menuentry 'a' x\n{\nlinux /vmlinuz-1\n}\n",
    "quote-in-title": 'menuentry "it\'s" x {\nlinux /vmlinuz-1\n}\n',
    "blank-in-title": "set default=1\nmenuentry 'a b' x {\nlinux /vmlinuz-1\n}\n" + entry("b", 2),
    "brace-too-many": entry() + "}\n",
    "brace-missing": "menuentry 'a' x {\nlinux /vmlinuz-1\n",
    "function": "function load {\nset default=1\nif x; then\ny\nfi\n}\n" + TWO,
    "function-with-brace": "function load {\nsubmenu 'x' {\n}\n}\n" + TWO,
    "function-never-ends": "function load {\n" + "linux /x\n",
    "root-hd": entry(body="set root='hd0,msdos1'\n"),
    "root-gpt": entry(body="set root='hd0,gpt2'\n"),
    "root-number": entry(body="set root='hd0,1'\n"),
    "root-parentheses": entry(body="set root=(hd0,1)\n"),
    "root-whole": entry(body="set root='hd0'\n"),
    "root-xen": entry(body="set root='xen/xvda'\n"),
    "root-xen-partition": entry(body="set root=(xen/xvda,msdos1)\n"),
    "root-xvd": entry(body="set root=/dev/xvda\n"),
    "root-lvm": entry(body="set root='lvmid/abc/def'\n"),
    "root-md": entry(body="set root='mduuid/abc'\n"),
    "root-outside": "set root='lvmid/abc'\n" + entry(),
    "root-outside-good": "set root='hd0,msdos1'\n" + entry(),
    "root-in-last-entry": TWO + entry("c", 3, body="set root='xen/xvda'\n"),
    "root-variable": "menuentry 'a' x {\nlinux ($root)/vmlinuz-1\n}\n",
    "root-three-parts": entry(body="set root='hd0,gpt1,bsd1'\n"),
    "kernel-on-device": (
        "menuentry 'a' x {\nlinux (hd0,1)/vmlinuz-1 ro\ninitrd (hd0,1)/initrd-1\n}\n"
    ),
    "kernel-on-xen-device": "menuentry 'a' x {\nlinux (xen/xvda)/vmlinuz-1 ro\n}\n",
    "kernel-unclosed": "menuentry 'a' x {\nlinux (hd0,1/vmlinuz-1 ro\n}\n",
    "kernel-tabs": (
        "menuentry 'a' x {\n\tlinux\t/vmlinuz-1 root=/dev/xvda ro\n\tinitrd\t/initrd-1\n}\n"
    ),
    "kernel-tab-inside": "menuentry 'a' x {\nlinux /vmlinuz-1\troot=/dev/xvda ro\n}\n",
    "kernel-alone": "menuentry 'a' x {\nlinux /vmlinuz-1\n}\n",
    "kernel-twice": "menuentry 'a' x {\nlinux /vmlinuz-1 a\nlinux /vmlinuz-2 b\n}\n",
    "linux16": "menuentry 'a' x {\nlinux16 /vmlinuz-1 a\ninitrd16 /initrd-1\n}\n",
    "linuxefi": "menuentry 'a' x {\nlinuxefi /vmlinuz-1 a\n}\n",
    "initrd-two": "menuentry 'a' x {\nlinux /vmlinuz-1 a\ninitrd /early /initrd-1\n}\n",
    "multiboot2": "menuentry 'a' x {\nmultiboot2 /xen.gz placeholder\nmodule2 /vmlinuz-1 a\n}\n",
    "chainloader": "menuentry 'a' x {\nchainloader +1\n}\n" + entry("b", 2),
    "set-two-equals": 'set kernelopts="root=UUID=1 ro"\n' + entry(),
    "set-without-value": "set\n" + entry(),
    "set-name-alone": "set pager\n" + entry(),
    "set-in-entry-two-equals": entry(body="set a=b=c\n"),
    "set-gfxpayload": entry(body="set gfxpayload=keep\n"),
    "set-empty": "set theme=\n" + entry(),
    "comments": "# menuentry 'x' {\n  # }\n" + entry(),
    "indented": "   menuentry 'a' x {\n      linux /vmlinuz-1 a\n   }\n",
    "empty": "\n",
    "no-entries": "set default=0\n",
    "crlf": entry().replace("\n", "\r\n"),
}
OTHERS: dict[str, dict[str, str]] = {
    "nothing": {"/etc/fstab": "\n"},
    "own-boot": {"/grub/grub.cfg": entry()},
    "grub2-directory": {"/boot/grub2/grub.cfg": entry()},
    "grub-before-grub2": {CFG: entry("a", 1), "/boot/grub2/grub.cfg": entry("b", 2)},
    "bad-grub-cfg-hides-menu-lst": {
        CFG: "}\n",
        "/boot/grub/menu.lst": "title a\nkernel /vmlinuz-1\n",
    },
    "menu-lst": {
        "/boot/grub/menu.lst": (
            "default 1\ntimeout 5\ntitle a\nroot (hd0,0)\nkernel /a x\ntitle b\nkernel /b y\ninitrd"
            " /i\n"
        )
    },
    "menu-lst-equals": {
        "/boot/grub/menu.lst": "default=1\ntitle a\nkernel=/a\ntitle b\nkernel=/b x=y\n"
    },
    "menu-lst-saved": {
        "/boot/grub/menu.lst": "default saved\ntitle a\nkernel /a\ntitle b\nkernel /b\n"
    },
    "menu-lst-empty-last": {"/boot/grub/menu.lst": "default 1\ntitle a\nkernel /a\ntitle b\n"},
    "menu-lst-on-device": {"/boot/grub/menu.lst": "title a\nroot (hd0)\nkernel (hd0,0)/a ro\n"},
    "menu-lst-pvgrub": {
        "/boot/grub/menu.lst": "title a\nkernel (hd0)/boot/xen/pvboot-x86_64.elf\n"
    },
    "menu-lst-root-bad": {"/boot/grub/menu.lst": "title a\nroot ($root)\nkernel /a\n"},
    "grub-conf": {"/boot/grub/grub.conf": "title a\nkernel /a\n"},
    "extlinux": {
        "/boot/extlinux/extlinux.conf": (
            "default two\nlabel one\nkernel /a\nappend ro\nlabel two\nkernel /b\nappend initrd=/i"
            " ro\n"
        )
    },
    "extlinux-upper": {
        "/extlinux.conf": "DEFAULT two\nLABEL one\nKERNEL /a\nLABEL two\nKERNEL /b c\nAPPEND d\n"
    },
    "extlinux-mboot": {
        "/extlinux.conf": "label x\nkernel mboot.c32\nappend xen.gz a --- /k ro --- /i\n"
    },
    "extlinux-append-first": {"/extlinux.conf": "label x\nappend a\nkernel /k\n"},
    "extlinux-quoted": {"/extlinux.conf": 'label "x"\nkernel /k\nappend "a b"\n'},
    "extlinux-no-kernel": {"/extlinux.conf": "label x\nappend a\n"},
}


def menus() -> dict[str, dict[str, str]]:
    """Every menu, by a name: hand-made ones, and Debian's own."""
    own = {path.stem: {CFG: path.read_text()} for path in generated_menus.PATHS}
    return {name: {CFG: text} for name, text in GRUB_2.items()} | OTHERS | own


def ours(files: dict[str, str]) -> dict[str, Any]:
    """What our reader says that pygrub starts, in pygrub's words."""
    found = next(((path, language) for path, language in pygrub_menu.FILES if path in files), None)
    if found is None:
        return {"error": "no menu"}
    path, language = found
    try:
        image = pygrub_menu.read(files[path], language).chosen
    except FormatError as error:
        return {"error": error.message}
    if image is None or not image.kernel:
        return {"error": "nothing to start"}
    return {"kernel": image.kernel, "ramdisk": image.initrd or None, "args": image.arguments}


def test_the_real_pygrub_starts_the_same(tmp_path: Path) -> None:
    table = menus()
    real = dict(zip(table, pygrub.chosen(list(table.values()), tmp_path), strict=True))
    different = {
        name: {"pygrub": real[name], "ours": found}
        for name, files in table.items()
        if (found := ours(files)) != real[name] and not ("error" in found and "error" in real[name])
    }
    assert different == {}
    assert len(table) >= 60
    assert sum("error" in each for each in real.values()) >= 20
