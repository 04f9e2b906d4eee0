# SPDX-License-Identifier: GPL-3.0-or-later
"""Verdicts on images that GRUB's tools make, without a guest."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from guest_hooks.config import Config
from guest_hooks.formats import pvh_bridge, second_stage
from guest_hooks.formats.digests import sha256
from guest_hooks.machine.receipts import TargetReceipt
from guest_hooks.model import BootFilesystem, Guest, Mode, Place, Severity, State, TargetStatus
from guest_hooks.survey import plan, verdict
from guest_hooks.survey.observed import Evidence, Found, ModuleDir, Packaged
from guest_hooks.survey.plan import Plan, Wanted
from guest_hooks.targets import TARGETS
from tests.support import second_stages
from tests.support.second_stages import CONFIG, UUID, core_image

PV, PV32, PVH = TARGETS
BOOT = BootFilesystem(
    mountpoint="/",
    device="/dev/xvda",
    fs_type="ext4",
    fs_uuid=UUID,
    grub_dir="/boot/grub",
    modules=("ext2",),
)


def make_plan(
    target: str,
    *,
    boot: BootFilesystem = BOOT,
    modules: frozenset[str] = frozenset(("ext2", "normal")),
) -> Plan:
    want = Wanted(target=TARGETS[target], required=True)
    made = plan.make(want, Guest(mode=Mode.PVH, bits=64), Config(), boot, {})
    return replace(made, modules=modules, request=())


def packaged(image: bytes) -> Packaged:
    stage = second_stage.read(image)
    assert stage.core is not None
    return Packaged(
        version="2.06-1",
        kernel_sha256=stage.kernel_sha256,
        modules={m.name: m.sha256 for m in stage.core.modules},
    )


def evidence(target: str, image: bytes | None) -> Evidence:
    """All as it should be around `image`."""
    made = make_plan(target)
    good = core_image(target)
    found = {file.path: Found() for file in made.files}
    if image is not None:
        for file in made.files:
            data = plan.content(file, good) if file.path != made.files[0].path else image
            found[file.path] = Found(data=data, sha256=sha256(data))
    return Evidence(
        found=found,
        packaged=packaged(good),
        module_dir=ModuleDir(core_sha256=sha256(image or b"")),
        remembered=TargetReceipt(),
    )


def judged(
    target: str,
    image: bytes | None,
    change: Callable[[Evidence], Evidence] = lambda e: e,
    **boot: object,
) -> TargetStatus:
    made = make_plan(target, boot=replace(BOOT, **boot))  # type: ignore[arg-type]
    return verdict.judge(made, change(evidence(target, image)))


def codes(status: TargetStatus) -> set[str]:
    return {problem.code for problem in status.problems}


@pytest.mark.parametrize("target", TARGETS)
def test_what_is_as_it_should_be(target: str) -> None:
    status = judged(target, core_image(target))
    assert (status.state, status.problems) == (State.CURRENT, ())
    assert (status.prefix, status.fs_uuid) == ("($root)/boot/grub", UUID)
    assert {file.state for file in status.files} == {State.CURRENT}


@pytest.mark.parametrize("target", TARGETS)
def test_what_could_not_be_asked_is_unknown(target: str) -> None:
    """An ordinary user, and no UUID in udev's database."""
    status = judged(target, core_image(target), fs_uuid="", is_known=False)
    assert (status.state, codes(status)) == (State.UNKNOWN, {"boot-not-known"})
    assert judged(target, None, fs_uuid="", is_known=False).state is State.MISSING


def test_boot_grub_s_own_file_system_counts() -> None:
    place = Place(device="/dev/xvdb", fs_type="xfs", fs_uuid="other", path="/boot/grub")
    assert codes(judged(PV, core_image(PV), grub=place)) == {"uuid-mismatch"}
    assert (
        judged(PV, core_image(PV), grub=replace(place, fs_uuid=UUID), fs_uuid="other").state
        is State.CURRENT
    )


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_there(target: str) -> None:
    status = judged(target, None)
    assert (status.state, codes(status)) == (State.MISSING, {"missing"})
    assert all((file.sha256, file.size) == ("", 0) for file in status.files)


def test_a_file_that_can_t_be_read_says_why() -> None:
    status = judged(
        PV,
        None,
        lambda e: replace(e, found={path: Found(unread=f"{path} is a fifo") for path in e.found}),
    )
    assert (status.state, codes(status)) == (State.INVALID, {"unreadable"})
    assert "is a fifo" in status.problems[0].message


STALE = [
    pytest.param({"fs_uuid": "another"}, lambda e: e, {"uuid-mismatch"}, id="uuid"),
    pytest.param({"grub_dir": "/grub"}, lambda e: e, {"prefix-mismatch"}, id="boot-split-off"),
    pytest.param({"drive": "(lvmid/a/b)"}, lambda e: e, {"prefix-mismatch"}, id="moved-to-lvm"),
    pytest.param(
        {},
        lambda e: replace(e, packaged=Packaged(kernel_sha256="x", version="2.12")),
        {"grub-differs"},
        id="other-grub",
    ),
    pytest.param(
        {},
        lambda e: replace(
            e, packaged=replace(e.packaged, modules={**e.packaged.modules, "normal": "x"})
        ),
        {"modules-differ"},
        id="module",
    ),
    pytest.param(
        {},
        lambda e: replace(e, module_dir=replace(e.module_dir, missing=("a.mod",))),
        {"module-dir-differs"},
        id="beside-missing",
    ),
    pytest.param(
        {},
        lambda e: replace(e, module_dir=replace(e.module_dir, differing=("a.mod",))),
        {"module-dir-differs"},
        id="beside-differs",
    ),
    pytest.param(
        {},
        lambda e: replace(e, module_dir=replace(e.module_dir, core_sha256="")),
        {"core-image-differs"},
        id="no-core-elf",
    ),
]


@pytest.mark.parametrize("target", [PV, PVH])
@pytest.mark.parametrize(("boot", "change", "expected"), STALE)
def test_what_makes_it_stale(
    target: str, boot: dict[str, object], change: Callable[[Evidence], Evidence], expected: set[str]
) -> None:
    status = judged(target, core_image(target), change, **boot)
    assert (status.state, codes(status)) == (State.STALE, expected)
    assert all(problem.hint for problem in status.problems)


def test_all_reasons_are_told_at_once() -> None:
    status = judged(
        PV,
        core_image(PV),
        lambda e: replace(e, module_dir=ModuleDir(missing=("a.mod",))),
        fs_uuid="x",
        grub_dir="/grub",
    )
    assert codes(status) == {
        "uuid-mismatch",
        "prefix-mismatch",
        "module-dir-differs",
        "core-image-differs",
    }


def test_modules_that_are_not_inside() -> None:
    made = make_plan(PV, modules=frozenset(("ext2", "lvm", "zstd")))
    status = verdict.judge(made, evidence(PV, core_image(PV)))
    assert (status.state, codes(status)) == (State.STALE, {"modules-missing"})
    assert "lvm, zstd" in status.problems[0].message


def test_a_drive_named_outright_needs_no_uuid() -> None:
    image = core_image(PV, config="", prefix="(lvmid/a/b)/boot/grub")
    assert judged(PV, image, drive="(lvmid/a/b)").state is State.CURRENT
    assert "uuid-mismatch" in codes(judged(PV, image))


def test_without_grubs_package_nothing_is_said_of_what_would_be_asked_for() -> None:
    image = core_image(PV)
    remembered = TargetReceipt(core_sha256=sha256(image), request=("hexdump",))
    status = judged(
        PV, image, lambda e: replace(e, remembered=remembered, packaged=Packaged(version=""))
    )
    assert (status.state, codes(status)) == (State.CURRENT, set())


def test_a_receipt_tells_that_the_configuration_has_changed() -> None:
    image = core_image(PV)
    remembered = TargetReceipt(core_sha256=sha256(image), request=("hexdump",))
    status = judged(PV, image, lambda e: replace(e, remembered=remembered))
    assert (status.state, codes(status)) == (State.STALE, {"configuration-changed"})
    assert (
        judged(
            PV, image, lambda e: replace(e, remembered=replace(remembered, core_sha256="other"))
        ).state
        is State.CURRENT
    )


def test_what_rollback_put_back_is_said_and_changes_no_verdict() -> None:
    image = core_image(PV)
    status = judged(
        PV, image, lambda e: replace(e, remembered=TargetReceipt(held_sha256=sha256(image)))
    )
    assert (status.state, codes(status)) == (State.CURRENT, {"held-by-rollback"})
    assert status.problems[0].severity is Severity.WARNING


def test_an_image_of_the_admin_s_own_that_rollback_put_back_is_held() -> None:
    own = second_stages.standalone_image(PV, "set timeout=1\n")
    status = judged(
        PV, own, lambda e: replace(e, remembered=TargetReceipt(held_sha256=sha256(own)))
    )
    assert (status.state, codes(status)) == (State.FOREIGN, {"held-by-rollback"})
    assert status.is_settled
    assert status.problems[0].hint.endswith("sync --adopt")


@pytest.mark.parametrize(
    ("boot", "code"),
    [
        pytest.param({"fs_uuid": "a-clone-s"}, "uuid-mismatch", id="uuid"),
        pytest.param({"grub_dir": "/grub"}, "prefix-mismatch", id="prefix"),
        pytest.param({"drive": "(lvmid/a/b)"}, "prefix-mismatch", id="moved-to-lvm"),
    ],
)
def test_what_rollback_put_back_is_not_held_where_it_could_not_boot(
    boot: dict[str, object], code: str
) -> None:
    image = core_image(PV)
    status = judged(
        PV, image, lambda e: replace(e, remembered=TargetReceipt(held_sha256=sha256(image))), **boot
    )
    assert (status.state, codes(status)) == (State.STALE, {code})


@pytest.mark.parametrize("target", TARGETS)
def test_what_grub_install_did_not_make_is_foreign(target: str) -> None:
    status = judged(target, second_stages.standalone_image(target, "set timeout=1\n"))
    assert (status.state, status.problems[0].code) == (State.FOREIGN, "foreign")
    assert "--adopt" in status.problems[0].hint


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_of_the_admin_s_own_is_no_problem_where_it_is_accepted(target: str) -> None:
    made = replace(make_plan(target, boot=BOOT), accepts_foreign=True)
    own = second_stages.standalone_image(target, "set timeout=1\n")
    status = verdict.judge(made, evidence(target, own))
    assert (status.state, status.problems, status.is_settled) == (State.FOREIGN, (), True)
    damaged = verdict.judge(made, evidence(target, own[:5000]))
    assert (damaged.is_accepted, damaged.is_settled) == (False, False)


@pytest.mark.parametrize(
    ("target", "other", "code"),
    [
        (PV, PV32, "class-mismatch"),
        (PV32, PV, "class-mismatch"),
        (PV32, PVH, "pvh-image"),
        (PVH, PV32, "note-missing"),
    ],
)
def test_another_target_s_image_is_invalid(target: str, other: str, code: str) -> None:
    status = judged(target, core_image(other))
    assert status.state is State.INVALID
    assert code in codes(status)


def spoiled(bridge: bytes) -> bytes:
    """With one bit turned in its code."""
    at = pvh_bridge.SETUP_SIZE + 16
    return bridge[:at] + bytes((bridge[at] ^ 1,)) + bridge[at + 1 :]


def test_the_files_that_follow_from_the_core_are_judged_by_it() -> None:
    core = core_image(PVH)
    first, copy, bridge = (file.path for file in make_plan(PVH).files)
    stale = core_image(PVH, config=CONFIG.replace(UUID[:8], "ffffffff"))

    def with_file(path: str, data: bytes | None) -> Callable[[Evidence], Evidence]:
        return lambda e: replace(
            e, found={**e.found, path: Found(data=data, sha256=sha256(data or b""))}
        )

    for path, data, state, code in (
        (copy, None, State.MISSING, "missing"),
        (copy, core[:5000], State.INVALID, "truncated"),
        (copy, stale, State.STALE, "copy-differs"),
        (copy, second_stages.standalone_image(PVH, "set a=1\n"), State.FOREIGN, "foreign"),
        (bridge, None, State.MISSING, "missing"),
        (bridge, core, State.INVALID, "not-a-bridge"),
        (bridge, pvh_bridge.wrap(core)[:-5000], State.INVALID, "bridge-damaged"),
        (bridge, spoiled(pvh_bridge.wrap(core)), State.INVALID, "bridge-damaged"),
        (bridge, plan.content(make_plan(PVH).files[2], stale), State.STALE, "copy-differs"),
    ):
        status = judged(PVH, core, with_file(path, data))
        by_path = {file.path: file.state for file in status.files}
        assert (by_path[path], by_path[first]) == (state, State.CURRENT)
        assert code in codes(status)
        assert status.state is (State.FOREIGN if state is State.FOREIGN else State.STALE)


def test_without_the_package_no_difference_is_invented() -> None:
    status = judged(PV, core_image(PV), lambda e: replace(e, packaged=Packaged()))
    assert (status.state, status.problems) == (State.CURRENT, ())


def test_a_bridge_that_is_not_wanted_is_a_problem() -> None:
    want = Wanted(target=TARGETS[PVH], required=True)
    made = plan.make(want, Guest(mode=Mode.PVH, bits=64), Config(pvh_chainload=False), BOOT, {})
    core = core_image(PVH)
    path = "/boot/xen/pvhboot-i386.linux"
    there = {file.path: Found(data=core, sha256=sha256(core)) for file in made.files}
    bridge = pvh_bridge.wrap(core)
    for found, expected in ((Found(), False), (Found(data=bridge, sha256=sha256(bridge)), True)):
        seen = Evidence(
            found={**there, path: found},
            packaged=Packaged(),
            module_dir=ModuleDir(),
            remembered=TargetReceipt(),
        )
        status = verdict.judge(made, seen)
        assert (path in [file.path for file in status.files]) is expected
        assert ("bridge-unwanted" in [problem.code for problem in status.problems]) is expected
