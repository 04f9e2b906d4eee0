# SPDX-License-Identifier: GPL-3.0-or-later
"""Which targets a guest wants, and what each must be."""

from dataclasses import replace

import pytest

from guest_hooks.config import Config, Modules
from guest_hooks.errors import NotApplicableError, UsageError
from guest_hooks.formats import moddep
from guest_hooks.model import BootFilesystem, Guest, Mode
from guest_hooks.survey import plan
from guest_hooks.survey.plan import FileKind, Wanted
from guest_hooks.targets import TARGETS

BOOT = BootFilesystem(
    mountpoint="/boot",
    device="/dev/xvda1",
    fs_type="ext4",
    fs_uuid="U",
    grub_dir="/grub",
    modules=("ext2", "part_gpt"),
)
AMD64 = ("vmlinuz-6.1.0-32-amd64",)
PAE = ("vmlinuz-5.10.0-34-686-pae",)


def names(wanted: tuple[Wanted, ...]) -> dict[str, bool]:
    return {want.target.name: want.required for want in wanted}


@pytest.mark.parametrize(
    ("mode", "bits", "kernels", "expected"),
    [
        pytest.param(Mode.PV, 64, AMD64, ["x86_64-xen"], id="pv-64"),
        pytest.param(Mode.PV, 64, (), ["x86_64-xen"], id="pv-64-without-kernels"),
        pytest.param(Mode.PV, 32, PAE, ["i386-xen"], id="pv-32"),
        pytest.param(
            Mode.PV, 32, PAE + AMD64, ["x86_64-xen", "i386-xen"], id="pv-32-with-a-64-bit-kernel"
        ),
        pytest.param(
            Mode.PV,
            32,
            ("vmlinuz-6.1.0-32-cloud-amd64",),
            ["x86_64-xen", "i386-xen"],
            id="pv-32-with-a-cloud-kernel",
        ),
        pytest.param(
            Mode.PV,
            32,
            ("vmlinuz-6.1.0-32-rt-amd64",),
            ["x86_64-xen", "i386-xen"],
            id="pv-32-with-an-rt-kernel",
        ),
        pytest.param(
            Mode.PV,
            32,
            ("vmlinuz-6.1-amd64-is-what-I-named-it",),
            ["i386-xen"],
            id="pv-32-with-an-odd-name",
        ),
        pytest.param(Mode.PVH, 64, AMD64, ["i386-xen_pvh"], id="pvh-on-64-bit"),
        pytest.param(Mode.PVH, 32, PAE, ["i386-xen_pvh"], id="pvh-on-32-bit"),
    ],
)
def test_auto_is_the_detected_platform(
    mode: Mode, bits: int, kernels: tuple[str, ...], expected: list[str]
) -> None:
    wanted = plan.wanted(Guest(mode=mode, bits=bits), Config(), [], kernels)
    assert sorted(names(wanted)) == sorted(expected)
    assert all(want.required for want in wanted)


NOWHERE = [
    pytest.param(Guest(mode=Mode.HVM, bits=64), "HVM", id="hvm"),
    pytest.param(Guest(mode=Mode.DOM0, bits=64), "dom0", id="dom0"),
    pytest.param(Guest(mode=Mode.ARM, bits=64), "ARM", id="arm"),
    pytest.param(Guest(mode=Mode.NONE, bits=64), "Xen", id="no-xen"),
    pytest.param(Guest(mode=Mode.PVH, bits=64, efi=True), "EFI", id="pvh-with-efi"),
    pytest.param(Guest(mode=Mode.HVM, bits=64, efi=True), "HVM", id="hvm-with-efi"),
]


@pytest.mark.parametrize(("guest", "words"), NOWHERE)
def test_where_there_is_none_unless_named(guest: Guest, words: str) -> None:
    with pytest.raises(NotApplicableError, match=words):
        plan.wanted(guest, Config(), [], ())
    assert names(plan.wanted(guest, Config(), ["i386-xen"], ())) == {"i386-xen": True}
    assert names(plan.wanted(guest, Config(targets=("i386-xen",)), [], ())) == {"i386-xen": True}


def test_no_target_configured() -> None:
    with pytest.raises(NotApplicableError, match="no target is configured"):
        plan.wanted(Guest(mode=Mode.PV, bits=64), Config(targets=()), [], ())


def test_what_is_named_beside_auto_is_not_required() -> None:
    wanted = plan.wanted(
        Guest(mode=Mode.PV, bits=64), Config(targets=("auto", "i386-xen_pvh", "x86_64-xen")), [], ()
    )
    assert names(wanted) == {"x86_64-xen": True, "i386-xen_pvh": False}


def test_the_command_line_is_stronger_than_the_configuration() -> None:
    wanted = plan.wanted(
        Guest(mode=Mode.PV, bits=64),
        Config(targets=("i386-xen_pvh",)),
        ["i386-xen", "i386-xen"],
        (),
    )
    assert names(wanted) == {"i386-xen": True}


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(UsageError) as caught:
        plan.wanted(Guest(mode=Mode.PV, bits=64), Config(), ["sparc"], ())
    assert all(name in caught.value.hint for name in TARGETS)


TABLE = {
    "ext2": ("fshelp",),
    "fshelp": (),
    "part_gpt": (),
    "search_fs_uuid": (),
    "normal": ("boot",),
    "boot": (),
    "hexdump": ("extcmd",),
    "extcmd": (),
}


def made(
    target: str,
    *,
    guest: Guest | None = None,
    config: Config | None = None,
    boot: BootFilesystem = BOOT,
) -> plan.Plan:
    want = Wanted(target=TARGETS[target], required=True)
    return plan.make(want, guest or Guest(mode=Mode.PVH, bits=64), config or Config(), boot, TABLE)


@pytest.mark.parametrize(
    ("names_", "bits", "expected"),
    [
        pytest.param(
            ("auto",),
            64,
            ["pvhboot-i386.elf", "pvhboot-x86_64.elf", "pvhboot-i386.linux"],
            id="64-bit",
        ),
        pytest.param(("auto",), 32, ["pvhboot-i386.elf", "pvhboot-i386.linux"], id="32-bit"),
        pytest.param(("x86_64",), 64, ["pvhboot-x86_64.elf", "pvhboot-i386.linux"], id="named"),
        pytest.param(
            ("x86_64", "auto"),
            32,
            ["pvhboot-x86_64.elf", "pvhboot-i386.elf", "pvhboot-i386.linux"],
            id="named-and-auto",
        ),
    ],
)
def test_the_files_of_pvh(names_: tuple[str, ...], bits: int, expected: list[str]) -> None:
    found = made(
        "i386-xen_pvh", guest=Guest(mode=Mode.PVH, bits=bits), config=Config(pvh_names=names_)
    )
    assert [file.path for file in found.files] == [f"/boot/xen/{name}" for name in expected]
    assert [file.kind for file in found.files] == [FileKind.CORE] * (len(expected) - 1) + [
        FileKind.BRIDGE
    ]


@pytest.mark.parametrize(
    ("target", "name"), [("x86_64-xen", "pvboot-x86_64.elf"), ("i386-xen", "pvboot-i386.elf")]
)
def test_the_file_of_pv(target: str, name: str) -> None:
    (file,) = made(target).files
    assert (file.path, file.kind) == (f"/boot/xen/{name}", FileKind.CORE)


def test_an_embedded_second_stage_asks_for_the_closure_of_what_there_is() -> None:
    found = made("x86_64-xen")
    assert found.request == tuple(sorted(moddep.closure(TABLE, moddep.EMBEDDED) | {"part_gpt"}))
    assert {"fshelp", "boot"} <= found.modules
    assert set(found.request) <= found.modules


def test_a_minimal_one_asks_for_nothing_and_expects_what_boot_needs() -> None:
    found = made("x86_64-xen", config=Config(modules=Modules.MINIMAL))
    assert found.request == ()
    assert found.modules == {"ext2", "fshelp", "part_gpt", "search_fs_uuid"}


@pytest.mark.parametrize("modules", list(Modules))
def test_extra_modules_are_asked_for_with_what_they_need(modules: Modules) -> None:
    found = made("x86_64-xen", config=Config(modules=modules, extra_modules=("hexdump",)))
    assert "hexdump" in found.request
    assert {"hexdump", "extcmd"} <= found.modules


def test_an_extra_module_that_does_not_exist_is_asked_for_so_that_grub_install_says_so() -> None:
    assert "nonsense" in made("x86_64-xen", config=Config(extra_modules=("nonsense",))).request


def test_the_modules_of_boot_s_own_stack_are_embedded() -> None:
    table = {**TABLE, "lvm": ("diskfilter",), "diskfilter": ()}
    want = Wanted(target=TARGETS["x86_64-xen"], required=True)
    found = plan.make(
        want,
        Guest(mode=Mode.PV, bits=64),
        Config(),
        replace(BOOT, modules=("ext2", "lvm"), drive="(lvmid/a/b)"),
        table,
    )
    assert {"lvm", "diskfilter"} <= set(found.request)
