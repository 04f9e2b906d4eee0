# SPDX-License-Identifier: GPL-3.0-or-later
"""What sync writes is what update-grub writes; and nothing that boots is replaced by something
that does not.
"""

import os
import re
import shutil
import stat
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats import grub_cfg
from guest_hooks.machine.root import Root
from guest_hooks.survey import kernel_images
from tests.support import kernel_package
from tests.support.chroot_guest import ChrootGuest, Platform
from tests.support.debian_tree import RELEASES
from tests.support.outside_guest import CHEAP, live_guest, verb

CFG = "/boot/grub/grub.cfg"
SNIPPET = "/etc/default/grub.d/50-loud.cfg"
SCRIPT = "/etc/grub.d/41_odd"


@pytest.fixture(scope="module", params=RELEASES, ids=str)
def guest(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ChrootGuest]:
    with live_guest(
        request.param, tmp_path_factory.mktemp("update-grub"), platform=Platform.PVH
    ) as guest:
        verb(guest, "sync")
        yield guest


@pytest.fixture
def healthy(guest: ChrootGuest) -> Iterator[ChrootGuest]:
    """The guest, as a sync leaves it afterwards, too."""
    yield guest
    for path in (SNIPPET, SCRIPT):
        guest.path(path).unlink(missing_ok=True)
    guest.path(CFG).unlink(missing_ok=True)
    verb(guest, "sync")


one_release = pytest.mark.parametrize("guest", RELEASES[:1], ids=str, indirect=True)
"""For what the program does by itself, whichever GRUB made the menu."""


def menu_and_mode(guest: ChrootGuest) -> tuple[str, str]:
    path = guest.path(CFG)
    return path.read_text(), f"{stat.S_IMODE(path.stat().st_mode):o}"


@pytest.mark.parametrize(
    ("files", "before"),
    [
        pytest.param({}, "true", id="as-it-is"),
        pytest.param({}, f"rm {CFG}", id="missing"),
        pytest.param({}, f"chmod 640 {CFG}; chgrp adm {CFG}", id="an-admins-own-mode"),
        pytest.param({SNIPPET: "echo loud\n"}, "true", id="a-snippet-that-prints"),
        pytest.param({SNIPPET: 'echo "that\'s it"\n'}, "true", id="a-snippet-that-prints-a-quote"),
        pytest.param(
            {SNIPPET: "GRUB_DEFAULT=saved\nGRUB_TIMEOUT=7\nexport GRUB_COLOR_NORMAL=red/blue\n"},
            "true",
            id="settings",
        ),
        pytest.param(
            {SCRIPT: "#!/bin/sh\necho password_pbkdf2 root grub.pbkdf2.sha512.1.A.B\n"},
            f"rm {CFG}",
            id="password",
        ),
        pytest.param(
            {SCRIPT: "#!/bin/sh\necho \"menuentry 'ümläut' {\"\nprintf '\\ttrue\\n}\\nset a=1'\n"},
            "true",
            id="no-last-newline",
        ),
    ],
)
def test_the_menu_is_what_update_grub_writes(
    healthy: ChrootGuest, files: dict[str, str], before: str
) -> None:
    guest = healthy
    for path, text in files.items():
        guest.write(path, text, mode=0o755)
    guest.shell(before)
    group = guest.path(CFG).stat().st_gid if guest.path(CFG).exists() else 0
    guest.shell("update-grub")
    wanted = menu_and_mode(guest)
    guest.shell(f"{before}; test ! -e {CFG} || cat /dev/null >{CFG}")
    verb(guest, "sync", "--force")
    assert menu_and_mode(guest) == wanted
    assert guest.path(CFG).stat().st_gid == group
    assert not list(guest.path("/boot/grub").glob("grub.cfg?*"))
    guest.shell(f"chmod 600 {CFG}; chgrp root {CFG}")


@one_release
def test_a_menu_keeps_its_access_list(healthy: ChrootGuest) -> None:
    """As by update-grub, which writes into the file that is there."""
    guest, path = healthy, healthy.path(CFG)
    entries = ((1, 6, -1), (2, 4, 65534), (4, 4, -1), (16, 4, -1), (32, 0, -1))
    given = {
        "system.posix_acl_access": struct.pack("<I", 2)
        + b"".join(struct.pack("<HHi", *entry) for entry in entries),
        "user.note": b"the monitor reads this",
    }
    for name, value in given.items():
        os.setxattr(path, name, value)
    mode = path.stat().st_mode
    path.write_text("if\n")
    verb(guest, "sync")
    assert {name: os.getxattr(path, name) for name in os.listxattr(path)} == given
    assert path.stat().st_mode == mode


@one_release
@pytest.mark.parametrize(
    "target",
    [
        pytest.param("../../etc/menu.cfg", id="relative"),
        pytest.param("/etc/menu.cfg", id="absolute"),
        pytest.param("other.cfg", id="beside-it"),
    ],
)
@pytest.mark.parametrize("is_there", [True, False], ids=["leads-to-a-menu", "leads-nowhere"])
def test_a_menu_that_is_a_link_stays_one(healthy: ChrootGuest, target: str, is_there: bool) -> None:
    guest, link = healthy, healthy.path(CFG)
    place = Path(guest.directory, *(["etc/menu.cfg"] if "etc" in target else ["boot/grub", target]))
    text = link.read_text()
    link.unlink()
    link.symlink_to(target)
    if is_there:
        place.write_text(text.replace("menuentry '", "menuentry 'old "))
        place.write_text("### BEGIN /etc/grub.d/10_linux ###\n")
    verb(guest, "sync")
    assert str(link.readlink()) == target
    assert place.read_text() == text
    assert not list(link.parent.glob(".xen*"))
    given = guest.disk.given
    assert given.cat("/" + str(place.relative_to(guest.directory))) == text.encode()
    if "etc" not in target:
        assert given.cat(CFG) == text.encode()
    verb(guest, "sync")
    assert verb(guest, "sync").stdout == CHEAP
    place.write_text("if\n")
    verb(guest, "sync")
    assert place.read_text() == text
    place.unlink()


@one_release
@pytest.mark.parametrize(
    ("script", "words", "unsaid"),
    [
        pytest.param(
            "echo 'my own cause' >&2; exit 3",
            f"{SCRIPT} failed, .*: my own cause$",
            "Found",
            id="says-why",
        ),
        pytest.param("exit 3", f"{SCRIPT} failed, .*: exit code 3$", "Found", id="says-nothing"),
        pytest.param(
            "echo one >&2; echo two >&2; false",
            f"{SCRIPT} failed, .*: one; two$",
            "Found",
            id="says-more",
        ),
        pytest.param(
            'echo "menuentry \'x"',
            f"{SCRIPT} prints what GRUB can't parse, .*: .*line [0-9]+",
            "attached",
            id="a-quote",
        ),
        pytest.param(
            "no-such-program",
            f"{SCRIPT} failed, .*: .*no-such-program: not found$",
            "Found",
            id="a-missing-program",
        ),
    ],
)
def test_a_failing_script_is_named_with_its_own_words(
    healthy: ChrootGuest, script: str, words: str, unsaid: str
) -> None:
    guest = healthy
    guest.write(SCRIPT, f"#!/bin/sh\nset -e\n{script}\n", mode=0o755)
    # A script behind it, and one before it, have words of their own.
    before = guest.read(CFG)
    guest.path(CFG).write_bytes(before.replace(b"10_linux ###", b"10_linux ###\n", 1) + b"if\n")
    damaged = guest.read(CFG)
    done = verb(guest, "sync", code=4)
    assert guest.read(CFG) == damaged
    first = done.stderr.splitlines()[0]
    assert re.search(words, first), done.stderr
    assert unsaid not in first


INITRDS = (
    *(
        "initrd.img-{}",
        "initrd-{}.img",
        "initrd-{}.gz",
        "initrd-{}",
        "initramfs-{}.img",
        "initramfs-genkernel-{}",
    ),
    *("initramfs-genkernel-x86_64-{}", "initrd.gz-{}", "{}.img"),
)


def test_the_initrds_are_those_that_10_linux_takes(healthy: ChrootGuest) -> None:
    guest, boot = healthy, healthy.path("/boot")
    made = []
    for number, name in enumerate(INITRDS):
        kernel = boot / f"vmlinuz-5.{number}"
        made += [kernel, boot / name.format(f"5.{number}")]
    made += [
        boot / "vmlinuz-5.90.old",
        boot / "initrd.img-5.90",
        boot / "kernel-5.91",
        boot / "initrd-5.91",
    ]
    made += [guest.path("/vmlinuz-5.92"), guest.path("/initrd.img-5.92"), boot / "vmlinuz-5.0.1"]
    made += [boot / "initrd-5.0.1", boot / "initrd.img-5.0.1"]
    for path in made:
        path.write_bytes(b"x")
    try:
        text = guest.shell("grub-mkconfig 2>/dev/null").stdout
    finally:
        root = Root(str(guest.directory))
        ours = {path: kernel_images.initrds(root, path)[:1] for path in kernel_images.paths(root)}
        for path in made:
            path.unlink()
    theirs = {
        boot.kernel: boot.initrds
        for _, section in grub_cfg.sections(text)
        for boot in (entry.boot for entry in grub_cfg.read(section).all())
        if boot is not None and "5." in boot.kernel
    }
    found = {
        path: initrds
        for path, initrds in ours.items()
        if "vmlinuz-5." in path or "kernel-5." in path
    }
    assert found == theirs
    assert len(theirs) == len(INITRDS) + 4


@pytest.fixture
def unfinished(healthy: ChrootGuest) -> Iterator[ChrootGuest]:
    """A newer kernel has no initrd, and the menu names an older one that is gone: it is stale,
    and a new one would not boot.
    """
    guest, boot = healthy, healthy.path("/boot")
    own = kernel_package.own_release(guest)
    old = boot / "vmlinuz-5.0"
    shutil.copy2(boot / f"vmlinuz-{own}", old)
    shutil.copy2(boot / f"initrd.img-{own}", boot / "initrd.img-5.0")
    verb(guest, "sync")
    assert "vmlinuz-5.0" in guest.read(CFG).decode()
    old.unlink()
    (boot / "initrd.img-5.0").unlink()
    newer = boot / "vmlinuz-9.0"
    shutil.copy2(boot / f"vmlinuz-{own}", newer)
    yield guest
    newer.unlink()


def test_a_menu_that_boots_is_kept_from_one_that_does_not(unfinished: ChrootGuest) -> None:
    guest, kept = unfinished, unfinished.read(CFG)
    assert verb(guest, "preflight", "--json", code=None).json["will_boot"]

    told = verb(guest, "sync", "--dry-run", code=3)
    assert guest.read(CFG) == kept
    done = verb(guest, "sync", code=4)
    assert guest.read(CFG) == kept
    assert told.stderr == done.stderr, "a dry run says beforehand what is kept, and why"
    assert f"{CFG} was kept: " in done.stderr
    assert "vmlinuz-9.0 is started without an initrd" in done.stderr
    assert "sync --force" in done.stderr
    found = verb(guest, "status", "--json", code=3).json["grub_cfg"]
    assert (found["state"], [problem["code"] for problem in found["problems"]]) == (
        "stale",
        ["kernel-incomplete", "kernel-gone", "menu-kept"],
    )

    again = verb(guest, "sync", "--quiet", "--automatic", code=4)
    assert (guest.read(CFG), again.stdout, again.stderr) == (
        kept,
        "",
        "",
    ), "an automatic run says it once"
    assert verb(guest, "sync", code=4).stderr == done.stderr, "a person is told each time"

    verb(guest, "sync", "--force", code=0)
    assert "vmlinuz-9.0" in guest.read(CFG).decode()
    assert not verb(guest, "preflight", "--json", code=3).json["will_boot"]


def test_where_neither_boots_the_new_menu_is_taken(unfinished: ChrootGuest) -> None:
    guest = unfinished
    text = guest.read(CFG).decode()
    guest.path(CFG).write_text(text.replace("\tlinux\t", "\tlinux\t/no-such-place"))
    assert not verb(guest, "preflight", "--json", code=3).json["will_boot"]
    verb(guest, "sync")
    assert "vmlinuz-9.0" in guest.read(CFG).decode()


def test_what_is_not_known_keeps_nothing(unfinished: ChrootGuest) -> None:
    """The default is settled while GRUB runs, and an older entry boots: the menu is not known
    to fail.
    """
    guest = unfinished
    guest.write(SNIPPET, "GRUB_DEFAULT=saved\n")
    guest.shell("grub-editenv - unset saved_entry")
    guest.write(SCRIPT, "#!/bin/sh\necho 'if hwmatch x; then set default=1; fi'\n", mode=0o755)
    verb(guest, "sync")
    assert "hwmatch x" in guest.read(CFG).decode()


def test_a_menu_without_the_initrd_there_is_gets_it(healthy: ChrootGuest) -> None:
    guest = healthy
    good = guest.read(CFG)
    guest.path(CFG).write_bytes(re.sub(rb"^\tinitrd.*\n", b"", good, flags=re.MULTILINE))
    found = verb(guest, "status", "--json", code=3).json["grub_cfg"]
    assert [problem["code"] for problem in found["problems"]] == ["initrd-not-in-menu"]
    done = verb(guest, "sync", "--json", "--automatic").json
    assert [change["why"] for change in done["changed"]] == [["initrd-not-in-menu"]]
    assert guest.read(CFG) == good


def test_a_menu_that_a_person_wrote_is_theirs(healthy: ChrootGuest) -> None:
    """It may be half written, and GRUB goes on behind what it refuses."""
    guest = healthy
    good, theirs = guest.read(CFG), b"set timeout=1\nmenuentry mine {\n"
    guest.path(CFG).write_bytes(theirs)
    for options in ([], ["--automatic"]):
        done = verb(guest, "sync", *options, code=4)
        assert "sync --adopt" in done.stderr
        assert guest.read(CFG) == theirs
    verb(guest, "sync", "--adopt")
    assert guest.read(CFG) == good


def test_no_kernel_is_missed_that_debian_leaves_out(healthy: ChrootGuest) -> None:
    """A directory, a copy that dpkg or rpm left: an audit has nothing to do, and no exit code 4."""
    guest, boot = healthy, healthy.path("/boot")
    verb(guest, "sync")
    own = kernel_package.own_release(guest)
    (boot / "vmlinuz-backup").mkdir()
    others = [boot / f"vmlinuz-6.0{suffix}" for suffix in (".rpmsave", ".dpkg-bak", ".sig")]
    for path in others:
        shutil.copy2(boot / f"vmlinuz-{own}", path)
    try:
        assert verb(guest, "sync", "--json", "--automatic").json["changed"] == []
    finally:
        (boot / "vmlinuz-backup").rmdir()
        for path in others:
            path.unlink()
