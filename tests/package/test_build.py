# SPDX-License-Identifier: GPL-3.0-or-later
"""The package builds from one source on each suite, with its Build-Depends and nothing else, and
lintian has no complaint.
"""

import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.support import debian_package, needs, sources
from tests.support.checkout import CHECKOUT
from tests.support.chroot_guest import ENTER, ChrootGuest
from tests.support.debian_tree import RELEASES, Kind, Suite, tarball, unpacked

OF_ITS_DAY = {
    Suite.BOOKWORM: (
        "newer-standards-version,package-supports-alternative-init-but-no-init.d-script"
    ),
    Suite.SID: "package-uses-old-debhelper-compat-version,redundant-priority-optional-field"
    ",redundant-rules-requires-root-no-field",
}
"""A release's lintian knows the policy of its day; bookworm's wants an init script beside a unit,
and trixie's does not even know the name of that complaint. Sid's takes what bookworm needs for old:
its debhelper has no later level than 13, its dpkg wants both fields.
"""
ON_ITSELF = 'mount --bind "$0" "$0" && exec "$1" "$0" - /bin/sh -c "$2"'
NO_SOURCE = (".cache/trees/sid.tar", ".venv/bin/ruff", "dist/old_1_all.deb", ".git/HEAD")
"""What stands in a checkout beside the source."""
WITHOUT_TESTS = {"DEB_BUILD_PROFILES": "nocheck", "DEB_BUILD_OPTIONS": "nocheck"}
TOOLS = ("dpkg-dev", "lintian")


def test_it_builds_and_lintian_is_content(suite: Suite, tmp_path: Path) -> None:
    # A release's own unit tests run beside this one; elsewhere they run as they do at Debian's.
    with_tests = suite not in RELEASES
    packages = (*needs.control("Build-Depends", with_tests=with_tests), *TOOLS)
    with unpacked(tarball(suite, Kind.MINIMAL, extra=packages), tmp_path / "tree") as tree:
        source = tree / "build/source"
        sources.copy(source)
        lay_beside(source, NO_SOURCE)
        before = files(source)
        # -I: what is never listed, a compiler, is not needed either.
        build = (
            "cd /build/source && dpkg-checkbuilddeps -I && chown -R nobody .. &&"
            " setpriv --reuid=nobody --regid=nogroup --clear-groups env HOME=/build"
            " dpkg-buildpackage --no-sign --no-check-builddeps --post-clean"
        )
        lintian = "lintian --display-info --display-experimental --pedantic --suppress-tags "
        lintian += OF_ITS_DAY.get(suite, "newer-standards-version")
        # It prints nothing; its exit code is also for what is overridden.
        judge = f"{{ {lintian} --allow-root *.changes >tags || [ $? = 2 ]; }} && ! grep . tags"
        script = f"{build} && cd .. && {judge}"
        # Its root is a mount point, as that of Debian's builders.
        enter = ["unshare", "--mount", "sh", "-c", ON_ITSELF, str(tree), str(ENTER), script]
        done = subprocess.run(
            enter,
            check=False,
            capture_output=True,
            text=True,
            timeout=1800,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "GUEST_CHROOT": "yes"}
            | ({} if with_tests else WITHOUT_TESTS),
        )
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        assert files(source) == before
        assert not packed(tree / "build") & {Path(name).name for name in NO_SOURCE}
        (built,) = (tree / "build").glob("xen-guest-bootloader_*_all.deb")
        debian_package.host("dpkg-deb", "--extract", str(built), str(tmp_path / "extracted"))
        program = tmp_path / "extracted/usr/bin/xen-guest-bootloader"
        assert program.read_text().startswith("#!/usr/bin/python3 -IS\n")


def files(source: Path) -> list[str]:
    return sorted(str(path.relative_to(source)) for path in source.rglob("*"))


def lay_beside(source: Path, names: Iterable[str]) -> None:
    for name in names:
        (source / name).parent.mkdir(parents=True)
        (source / name).touch()


def test_a_build_without_git_gives_the_same_bytes(deb: Path, tmp_path: Path) -> None:
    """As from a tarball; in another directory, at another time."""
    source = tmp_path / "unpacked"
    sources.copy(source)
    lay_beside(source, (name for name in NO_SOURCE if not name.startswith(".git/")))
    built = debian_package.host(str(source / "debian/build"), str(tmp_path / "built"))
    assert Path(built.strip()).name == deb.name
    assert Path(built.strip()).read_bytes() == deb.read_bytes()


def packed(directory: Path) -> set[str]:
    """The names of the files in the source package."""
    (archive,) = directory.glob("*.tar.*")
    with tarfile.open(archive) as source:
        return {Path(name).name for name in source.getnames()}


def test_what_an_admin_may_edit_is_a_conffile(shared_guest: ChrootGuest) -> None:
    found = shared_guest.read("/var/lib/dpkg/info/xen-guest-bootloader.conffiles").decode().split()
    assert found == [
        "/etc/default/grub.d/xen-guest-bootloader.cfg",
        "/etc/grub.d/00_chainload_xen_pvh",
        "/etc/grub.d/99_xen_pv_kernels",
        "/etc/kernel/postinst.d/xen-guest-bootloader",
        "/etc/kernel/postinst.d/zz-xen-guest-bootloader",
        "/etc/kernel/postrm.d/zz-xen-guest-bootloader",
        "/etc/xen-guest-bootloader/config.toml",
    ]


def test_what_the_manual_names_is_installed(shared_guest: ChrootGuest) -> None:
    pages = (
        "man/xen-guest-bootloader.8",
        "man/xen-guest-bootloader.toml.5",
        "debian/README.Debian",
    )
    text = "".join((CHECKOUT / page).read_text() for page in pages)
    plain = text.replace("\\-", "-").replace("\\:", "")
    named = set(re.findall(r"/usr/[\w./-]*(?:xen-guest-bootloader|guest_hooks)/[\w./-]*\w", plain))
    assert len(named) > 3
    listed = shared_guest.run("dpkg", "--listfiles", "xen-guest-bootloader").stdout.splitlines()
    assert named - {*listed} == set()


def test_a_bug_report_tells_what_is_needed(shared_guest: ChrootGuest) -> None:
    said = shared_guest.shell("/usr/share/bug/xen-guest-bootloader 3>&1").stdout
    assert '"mode": "pv"' in said
    assert '"state": "current"' in said
    assert "diversion of /usr/sbin/grub-install to /usr/sbin/grub-install.distrib" in said
    assert "grub-xen-bin" in said


def test_the_shell_completes_verbs_and_targets(shared_guest: ChrootGuest) -> None:
    script = """
        _init_completion() {
            split=false; words=("${COMP_WORDS[@]}"); cword=$COMP_CWORD
            cur=${words[cword]}; prev=${words[cword-1]}
        }
        . /usr/share/bash-completion/completions/xen-guest-bootloader
        complete_words() {
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _xen_guest_bootloader; echo "${COMPREPLY[@]}"
        }
        complete_words xen-guest-bootloader st
        complete_words xen-guest-bootloader sync --target i
        complete_words xen-guest-bootloader sync --ad
    """
    done = shared_guest.run("bash", "-c", script)
    assert done.stdout.splitlines() == ["status stage1", "i386-xen i386-xen_pvh", "--adopt"]
