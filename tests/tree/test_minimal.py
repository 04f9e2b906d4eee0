# SPDX-License-Identifier: GPL-3.0-or-later
"""`modules = "minimal"`, what is kept for rollback, and what receipts may hold."""

import json
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from guest_hooks.formats import second_stage
from guest_hooks.survey.evidence import sha256
from guest_hooks.targets import TARGETS
from tests.support import images, report_schema
from tests.support.debian_tree import Kind, Suite, tarball
from tests.support.outside_guest import (
    CORE_FILES,
    OutsideGuest,
    command,
    environment,
    outside_guest,
)

PV, PV32, PVH = TARGETS
PV_FILE = CORE_FILES[PV]
STATE = "/var/lib/xen-guest-bootloader"
ONE = f"--target={PV}"


@pytest.fixture
def tree(tmp_path: Path) -> Iterator[OutsideGuest]:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM) as tree:
        tree.path("/etc/xen-guest-bootloader").mkdir()
        yield tree


def configure(tree: OutsideGuest, text: str) -> None:
    tree.path("/etc/xen-guest-bootloader/config.toml").write_text(text)


def upgrade_grub(tree: OutsideGuest) -> None:
    """grub-xen-bin goes from 2.06 to 2.12, and nothing else happens."""
    for name in TARGETS:
        shutil.rmtree(tree.path(f"/usr/lib/grub/{name}"))
    with tarfile.open(tarball(Suite.TRIXIE, Kind.MINIMAL)) as archive:
        wanted = tuple(f"./usr/lib/grub/{name}/" for name in TARGETS)
        ours = [member for member in archive if member.name.startswith(wanted)]
        archive.extractall(tree.top, ours)  # noqa: S202 - our own


def modules(image: bytes) -> set[str]:
    core = second_stage.read(image).core
    assert core is not None
    return {module.name for module in core.modules}


def first_line(tree: OutsideGuest, *words: str, code: int) -> str:
    return tree.run(*words, code=code).stderr.splitlines()[0]


def test_minimal_is_grub_install_s_own_choice(tree: OutsideGuest) -> None:
    configure(tree, 'modules = "minimal"\n')
    assert set(tree.sync().states().values()) == {"current"}
    for name, file in CORE_FILES.items():
        assert len(modules(tree.boot_xen(file).read_bytes())) < 30, name
    assert tree.sync().json["changed"] == []


def test_a_change_of_the_choice_makes_all_stale(tree: OutsideGuest) -> None:
    tree.sync()
    embedded = tree.boot_xen(PV_FILE).read_bytes()
    configure(tree, 'modules = "minimal"\n')
    assert tree.status(code=3).codes()[PV] == ["configuration-changed"]
    assert tree.sync(ONE).states()[PV] == "current"
    assert len(modules(tree.boot_xen(PV_FILE).read_bytes())) < len(modules(embedded))
    configure(tree, "")
    assert "modules-missing" in tree.status(PV, code=3).codes()[PV]
    tree.sync(ONE)
    assert tree.boot_xen(PV_FILE).read_bytes() == embedded


def test_a_minimal_upgrade_goes_by_a_stand_in(tree: OutsideGuest, tmp_path: Path) -> None:
    """At no moment does a minimal second stage stand beside the other GRUB's modules: a
    self-contained one does.
    """
    configure(tree, 'modules = "minimal"\n')
    tree.sync(ONE)
    old = tree.boot_xen(PV_FILE).read_bytes()
    upgrade_grub(tree)
    log = tmp_path / "renames"
    done = tree.run(
        *("sync", "--no-update-grub", "--json", ONE),
        prefix=["strace", "-f", "-qq", "-y", "-o", str(log), "--trace=rename,renameat,renameat2"],
    )
    assert done.states()[PV] == "current"
    assert done.json["targets"][0]["grub_version"].startswith("2.12")
    steps = []
    for line in log.read_text().splitlines():
        if PV_FILE in line and "/boot/xen>" in line:
            steps.append("second stage")
        elif "RENAME_EXCHANGE" in line and "x86_64-xen" in line:
            steps.append("modules")
    assert steps == ["second stage", "modules", "second stage"]
    new = tree.boot_xen(PV_FILE).read_bytes()
    assert modules(new) < modules(old) | {"all"} or len(modules(new)) < 30
    assert (
        tree.path(f"/boot/grub/{PV}/normal.mod").read_bytes()
        == tree.path(f"/usr/lib/grub/{PV}/normal.mod").read_bytes()
    )
    assert tree.disk.grub_cat(f"/boot/xen/{PV_FILE}") == new
    assert (
        tree.disk.grub_cat(f"/boot/grub/{PV}/normal.mod")
        == tree.path(f"/boot/grub/{PV}/normal.mod").read_bytes()
    )


def test_an_embedded_upgrade_needs_no_stand_in(tree: OutsideGuest, tmp_path: Path) -> None:
    tree.sync(ONE)
    upgrade_grub(tree)
    log = tmp_path / "renames"
    tree.run(
        *("sync", "--no-update-grub", ONE),
        prefix=["strace", "-f", "-qq", "-y", "-o", str(log), "--trace=rename,renameat,renameat2"],
    )
    assert (
        sum(PV_FILE in line and "/boot/xen>" in line for line in log.read_text().splitlines()) == 1
    )


def test_rollback_exchanges_and_automatic_runs_leave_it(tree: OutsideGuest) -> None:
    tree.sync()
    old = {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()}
    upgrade_grub(tree)
    tree.sync()
    new = {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()}

    back = tree.run("rollback", "--json", *(f"--target={name}" for name in TARGETS))
    assert {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()} == old
    assert tree.boot_xen("pvhboot-x86_64.elf").read_bytes() == old[PVH]
    assert all(change["why"] == ["rollback"] for change in back.json["changed"])
    assert all("held-by-rollback" in codes for codes in tree.status().codes().values())
    assert tree.disk.grub_cat(f"/boot/xen/{PV_FILE}") == old[PV]

    automatic = tree.sync("--automatic")
    assert automatic.json["changed"] == []
    assert tree.boot_xen(PV_FILE).read_bytes() == old[PV]

    tree.run("rollback", *(f"--target={name}" for name in TARGETS))
    assert {name: tree.boot_xen(file).read_bytes() for name, file in CORE_FILES.items()} == new
    # The newest is back: nothing is held any more.
    assert {code for codes in tree.status().codes().values() for code in codes} == set()
    kept = tree.run("rollback", "--list", "--json", ONE).json
    assert report_schema.complaints(kept, "previous") == []
    assert [row["sha256"] for row in kept["previous"]] == [sha256(old[PV])]
    assert f"/boot/xen/{PV_FILE}: GRUB 2." in tree.run("rollback", "--list").stdout
    tree.run("rollback", ONE)
    assert tree.boot_xen(PV_FILE).read_bytes() == old[PV]
    assert tree.sync().states()[PV] == "current"
    assert tree.boot_xen(PV_FILE).read_bytes() == new[PV]
    assert tree.sync("--automatic").json["changed"] == []


def test_a_held_second_stage_that_is_damaged_is_mended_by_automatic_runs(
    tree: OutsideGuest,
) -> None:
    tree.sync(ONE)
    upgrade_grub(tree)
    tree.sync(ONE)
    tree.run("rollback", ONE)
    tree.boot_xen(PV_FILE).unlink()
    assert tree.sync("--automatic", ONE).states()[PV] == "current"


def test_a_clone_of_a_guest_after_rollback_boots_from_its_own_disk(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    configure(tree, 'extra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    tree.run("rollback", ONE)
    assert tree.sync("--automatic", ONE).json["changed"] == []
    uuid = tree.renew_uuid()
    assert tree.status(PV, code=3).codes()[PV][0] == "uuid-mismatch"
    done = tree.sync("--automatic", ONE)
    assert done.states()[PV] == "current"
    assert "uuid-mismatch" in done.json["changed"][0]["why"]
    assert uuid.encode() in tree.boot_xen(PV_FILE).read_bytes()
    assert tree.sync("--automatic", ONE).json["changed"] == []


def test_a_refused_sync_leaves_what_rollback_puts_back(tmp_path: Path) -> None:
    with outside_guest(tmp_path / "disk", Suite.BOOKWORM, boot="ext4") as tree:
        tree.path("/etc/xen-guest-bootloader").mkdir()
        tree.sync(ONE)
        first = tree.boot_xen(PV_FILE).read_bytes()
        configure(tree, 'extra_modules = ["hexdump"]\n')
        tree.sync(ONE)
        configure(tree, 'extra_modules = ["hexdump", "hello"]\n')
        with images.filled(tree.path("/boot")):
            tree.sync(ONE, code=7)
        assert tree.run("rollback", ONE).stdout.startswith(f"Put back /boot/xen/{PV_FILE}: ")
        assert tree.boot_xen(PV_FILE).read_bytes() == first


def test_a_rollback_that_changes_nothing_holds_nothing(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    configure(tree, 'extra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    tree.path(f"{STATE}/previous/{PV}.elf").write_bytes(tree.boot_xen(PV_FILE).read_bytes())
    assert tree.run("rollback", ONE).stdout == "Nothing to do: the two are the same.\n"
    assert tree.status(PV, code=3).codes() == {PV: []}
    configure(tree, "")
    assert tree.sync("--automatic", ONE).json["changed"] != []


def test_rollback_without_one_before(tree: OutsideGuest) -> None:
    assert "no second stage" in first_line(tree, "rollback", ONE, code=4)
    tree.sync(ONE)
    before = tree.boot_xen(PV_FILE).read_bytes()
    assert "no second stage" in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == before


@pytest.mark.parametrize(
    "kept",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\x7fELF" + bytes(5000), id="damaged"),
    ],
)
def test_rollback_to_what_could_not_boot_is_refused(tree: OutsideGuest, kept: bytes) -> None:
    tree.sync(ONE)
    before = tree.boot_xen(PV_FILE).read_bytes()
    directory = tree.path(f"{STATE}/previous")
    directory.mkdir(exist_ok=True)
    (directory / f"{PV}.elf").write_bytes(kept)
    assert "could not boot" in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == before


def test_rollback_to_another_uuid_is_refused(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    image = tree.boot_xen(PV_FILE).read_bytes()
    uuid = tree.disk.root.uuid.encode()
    directory = tree.path(f"{STATE}/previous")
    directory.mkdir(exist_ok=True)
    (directory / f"{PV}.elf").write_bytes(image.replace(uuid, uuid[::-1]))
    assert uuid[::-1].decode() in first_line(tree, "rollback", ONE, code=4)
    assert tree.boot_xen(PV_FILE).read_bytes() == image


@pytest.mark.parametrize(("setting", "is_kept"), [("true", True), ("false", False)])
def test_keep_previous(tree: OutsideGuest, setting: str, is_kept: bool) -> None:
    configure(tree, f"keep_previous = {setting}\n")
    tree.sync(ONE)
    old = tree.boot_xen(PV_FILE).read_bytes()
    configure(tree, f'keep_previous = {setting}\nextra_modules = ["hexdump"]\n')
    tree.sync(ONE)
    kept = tree.path(f"{STATE}/previous/{PV}.elf")
    assert kept.exists() is is_kept
    if is_kept:
        assert kept.read_bytes() == old


def test_what_could_not_boot_is_not_kept(tree: OutsideGuest) -> None:
    tree.sync(ONE)
    tree.boot_xen(PV_FILE).write_bytes(b"damaged")
    tree.sync(ONE)
    assert not tree.path(f"{STATE}/previous/{PV}.elf").exists()


@pytest.mark.parametrize(
    "receipt",
    [
        pytest.param("", id="empty"),
        pytest.param("{", id="cut-off"),
        pytest.param("[" * 100_000, id="deeply-nested"),
        pytest.param('{"schema": 99, "targets": {}, "more": 1}', id="newer"),
        pytest.param(
            '{"schema": 1, "targets": {"x86_64-xen": {"core_sha256": 5}}}', id="wrong-types"
        ),
        pytest.param(
            '{"schema": 1, "targets": {"z80-xen": {"core_sha256": "", "request": [], "held_sha256":'
            ' ""}}}',
            id="foreign-target",
        ),
    ],
)
def test_any_receipt_is_borne_and_the_next_is_whole(tree: OutsideGuest, receipt: str) -> None:
    tree.sync(ONE)
    path = tree.path(f"{STATE}/receipt.json")
    path.write_text(receipt)
    assert tree.status(PV).states()[PV] == "current"
    tree.boot_xen(PV_FILE).unlink()
    assert tree.sync(ONE).states()[PV] == "current"
    assert (
        json.loads(path.read_text())["targets"][PV]["core_sha256"]
        == tree.status(PV).json["targets"][0]["sha256"]
    )


def test_a_receipt_that_is_a_directory_does_not_spoil_the_second_stage(tree: OutsideGuest) -> None:
    path = tree.path(f"{STATE}/receipt.json")
    (path / "somebody's").mkdir(parents=True)
    done = tree.run("sync", "--no-update-grub", ONE, code=None)
    assert done.code in (0, 4)
    assert tree.status(PV).states()[PV] == "current"


def test_two_syncs_at_once_make_one(tree: OutsideGuest) -> None:
    runs = [
        subprocess.Popen(command(tree.top, "sync", "--no-update-grub", ONE), env=environment())
        for _ in range(3)
    ]
    assert [run.wait(120) for run in runs] == [0, 0, 0]
    assert tree.status(PV).states()[PV] == "current"
    assert [path.name for path in tree.path("/boot/xen").iterdir()] == [PV_FILE]
