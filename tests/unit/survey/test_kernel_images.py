# SPDX-License-Identifier: GPL-3.0-or-later
"""Which kernels are complete: by dpkg, by their own bytes, by their initrd."""

import subprocess
from pathlib import Path

import pytest

from guest_hooks.errors import LackingError
from guest_hooks.machine import dpkg
from guest_hooks.machine.root import Root
from guest_hooks.machine.run import CommandError, Completed
from guest_hooks.survey import kernel_images
from tests.support import boot_tree

RELEASE = "6.1.0-99-amd64"
PACKAGE = f"linux-image-{RELEASE}"


def lay(top: Path) -> None:
    (top / "boot").mkdir()
    (top / f"boot/vmlinuz-{RELEASE}").write_bytes(boot_tree.kernel(RELEASE))
    (top / f"boot/initrd.img-{RELEASE}").write_bytes(boot_tree.initrd(RELEASE))


def stanza(name: str, state: str) -> str:
    return f"Package: {name}\nStatus: install ok {state}\nPriority: optional\nVersion: 1\n"


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        pytest.param("installed", None, id="installed"),
        pytest.param("triggers-pending", None, id="triggers-pending"),
        pytest.param("triggers-awaited", None, id="triggers-awaited"),
        pytest.param("config-files", None, id="removed-and-laid-there-by-hand"),
        pytest.param("unpacked", "dpkg --configure -a", id="unpacked"),
        pytest.param("half-configured", "dpkg --configure -a", id="half-configured"),
        pytest.param("half-installed", f"apt install --reinstall {PACKAGE}", id="half-installed"),
    ],
)
def test_a_kernel_counts_once_dpkg_is_done_with_it(
    tmp_path: Path, state: str, hint: str | None
) -> None:
    lay(tmp_path)
    database = tmp_path / "var/lib/dpkg"
    database.mkdir(parents=True)
    rows = [
        stanza("bash", "unpacked"),
        stanza(f"{PACKAGE}-dbg", "unpacked"),
        stanza(PACKAGE, state),
        stanza("zsh", "installed"),
    ]
    (database / "status").write_text("\n".join(rows))
    found = kernel_images.incomplete(Root(str(tmp_path)), f"/boot/vmlinuz-{RELEASE}")
    assert (found.hint if found else None) == hint


def test_what_dpkg_has_not_merged_yet_counts_last(tmp_path: Path) -> None:
    updates = tmp_path / "var/lib/dpkg/updates"
    updates.mkdir(parents=True)
    (updates.parent / "status").write_text(stanza(PACKAGE, "installed"))
    (updates / "0001").write_text(stanza(PACKAGE, "half-configured"))
    (updates / "0002").write_text(stanza(PACKAGE, "unpacked"))
    (updates / "tmp.i").write_text(stanza(PACKAGE, "installed"))
    assert dpkg.states(Root(str(tmp_path)), [PACKAGE]) == {PACKAGE: "unpacked"}


def test_a_kernel_of_no_package_counts_when_it_is_whole(tmp_path: Path) -> None:
    lay(tmp_path)
    assert kernel_images.incomplete(Root(str(tmp_path)), f"/boot/vmlinuz-{RELEASE}") is None


def test_the_running_system_is_asked_of_dpkg(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the real dpkg-query, and by one that is not there."""
    known = dpkg.states(Root(), ["dpkg", "no-such-package"])
    assert known == {"dpkg": "installed"}

    def half(*_: object, **__: object) -> Completed:
        return Completed(
            code=1,
            stdout=f"{PACKAGE} half-configured\n".encode(),
            stderr=b"no packages found matching x",
        )

    assert dpkg.states(Root(), [PACKAGE], run=half) == {PACKAGE: "half-configured"}
    monkeypatch.setenv("DPKG_MAINTSCRIPT_PACKAGE", f"{PACKAGE}:amd64")
    assert dpkg.states(Root(), [PACKAGE], run=half) == {PACKAGE: "installed"}, (
        "its own script calls us"
    )

    def fails(*_: object, **__: object) -> Completed:
        raise CommandError("dpkg-query is broken")

    assert dpkg.states(Root(), [PACKAGE], run=fails) == {}


@pytest.mark.parametrize(
    "name",
    [
        "vmlinuz-6.1.0-1-amd64",
        "vmlinuz-foo-6.1",
        "vmlinuz-foo",
        "kernel-genkernel-x86_64-6.1",
        "vmlinuz-",
        "kernel-6",
        "vmlinuz-a-b",
    ],
)
def test_a_version_is_cut_out_as_by_10_linux(name: str) -> None:
    done = subprocess.run(
        ["sed", "-e", "s,^[^0-9]*-,,g"],
        input=f"{name}\n",
        check=True,
        capture_output=True,
        text=True,
    )
    assert kernel_images.version_of(f"/boot/{name}") == done.stdout.rstrip("\n")


def test_more_kernels_than_a_guest_has_are_not_looked_at(tmp_path: Path) -> None:
    root, most = Root(str(tmp_path)), kernel_images.MOST_KERNELS
    (tmp_path / "boot").mkdir()
    for number in range(most):
        (tmp_path / f"boot/vmlinuz-{number}").touch()
    assert len(kernel_images.paths(root)) == most
    (tmp_path / "boot/vmlinuz-more").symlink_to("vmlinuz-0")
    with pytest.raises(LackingError, match=f"{most + 1} kernels in {tmp_path}/boot"):
        kernel_images.paths(root)


def test_of_dpkg_s_updates_so_many_are_read_as_dpkg_writes(tmp_path: Path) -> None:
    root = Root(str(tmp_path))
    updates = tmp_path / "var/lib/dpkg/updates"
    updates.mkdir(parents=True)
    for number in range(dpkg.MOST_UPDATES + 1):
        state = "unpacked" if number == dpkg.MOST_UPDATES else "installed"
        (updates / f"{number:04}").write_text(stanza(PACKAGE, state))
    assert dpkg.states(root, [PACKAGE]) == {PACKAGE: "installed"}
