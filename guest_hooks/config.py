# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration: TOML files in layers, checked key by key against the fields of `Config`."""

import sys
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any

from guest_hooks.errors import UsageError, did_you_mean
from guest_hooks.records import dataclass, fields, replace
from guest_hooks.targets import TARGETS, suggestion

VENDOR_DIR = "/usr/lib/xen-guest-bootloader/conf.d"
MAIN_FILE = "/etc/xen-guest-bootloader/config.toml"
LOCAL_DIR = "/etc/xen-guest-bootloader/conf.d"


class Modules(StrEnum):
    """`embedded`: every module a boot can need inside the core image. `minimal`: grub-install's
    own choice.
    """

    EMBEDDED = "embedded"
    MINIMAL = "minimal"


class Stage1(StrEnum):
    """Which first stage the host starts, where the admin knows; `auto`: any that fits the
    guest's mode.
    """

    AUTO = "auto"
    DEBIAN_PV = "debian-pv"
    DEBIAN_PVH = "debian-pvh"
    OWN = "own"
    GRUB_LEGACY = "grub-legacy"
    PYGRUB = "pygrub"


class PvKernels(StrEnum):
    """Which guests get copies of kernels for PV; `auto`: those with the target x86_64-xen."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Every key there is, with its default; times are in seconds. Explained in
    xen-guest-bootloader.toml(5).
    """

    targets: tuple[str, ...] = ("auto",)
    modules: Modules = Modules.EMBEDDED
    extra_modules: tuple[str, ...] = ()
    pvh_names: tuple[str, ...] = ("auto",)
    pvh_chainload: bool = True
    update_grub: bool = True
    legacy_menu: bool = False
    keep_previous: bool = True
    settle_seconds: float = 0.3
    audit_interval: float = 86400.0
    stage1: Stage1 = Stage1.AUTO
    accept_foreign: bool = False
    repair: bool = True
    pv_kernels: PvKernels = PvKernels.AUTO


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One configuration file as read: its name for messages and its bytes."""

    name: str
    data: bytes


def parse(sources: Iterable[Source]) -> Config:
    """The configuration that `sources` make, each laid over the ones before it.

    Raises `UsageError` that names file, key and what was expected.
    """
    config = Config()
    for source in sources:
        config = replace(config, **values(source))
    return config


def values(source: Source) -> dict[str, Any]:
    """The keys that `source` sets, with their values; raises `UsageError` as `parse` does."""
    if all(line[:1] in (b"", b"#") and line.isascii() for line in source.data.splitlines()):
        return {}  # comments alone, as the package's own file: the parser's import takes longer
    import tomllib  # noqa: PLC0415 - see above

    try:
        table = tomllib.loads(source.data.decode("utf-8"))
    # Not TOML, not UTF-8, a number of thousands of digits, lists in lists in lists.
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{source.name}: not valid TOML: {error}", hint=f"correct or remove {source.name}"
        ) from error
    known = {field.name: getattr(Config(), field.name) for field in fields(Config)}
    found: dict[str, Any] = {}
    for key, value in table.items():
        if key not in known:
            otherwise = f"keys are: {', '.join(known)}"
            raise UsageError(
                f"{source.name}: unknown key {key!r}",
                hint=did_you_mean(key, known, otherwise=otherwise),
            )
        found[key] = _value(source.name, key, value, known[key])
    return found


def _value(name: str, key: str, value: object, default: object) -> object:
    match default:
        case bool():
            expected, fits = "true or false", isinstance(value, bool)
        case StrEnum():
            choices = [str(choice) for choice in type(default)]
            if value in choices:
                return type(default)(value)
            expected, fits = f"one of {', '.join(choices)}", False
        case float():
            expected = "a number of seconds, 0 or more"
            fits = (
                isinstance(value, int | float)
                and not isinstance(value, bool)
                and 0 <= value <= sys.float_info.max
            )
            value = float(value) if fits and isinstance(value, int | float) else value
        case _:
            expected = f"a list of {_ITEMS[key][0]}"
            fits = isinstance(value, list) and all(
                isinstance(item, str) and _ITEMS[key][1](item) for item in value
            )
            value = tuple(value) if fits and isinstance(value, list) else value
    if not fits:
        raise UsageError(
            f"{name}: {key}: expected {expected}, found {_shown(value)}",
            hint=_meant(key, value) or f"correct {key} in {name}",
        )
    return value


def _meant(key: str, value: object) -> str:
    """What the value of `targets` or of a choice was probably meant to be; empty where unknown."""
    if key == "targets":
        items = value if isinstance(value, list) else [value]
        wrong = [item for item in items if isinstance(item, str) and item not in ("auto", *TARGETS)]
        return suggestion(wrong[0], otherwise="") if wrong else ""
    default = getattr(Config(), key)
    if isinstance(value, str) and isinstance(default, StrEnum):
        return did_you_mean(value, map(str, type(default)), otherwise="")
    return ""


def _shown(value: object) -> str:
    try:
        return repr(value)
    # Python writes no integer of thousands of digits, which TOML can have in hexadecimal.
    except ValueError:
        return "a number of thousands of digits"


def _is_name(item: str) -> bool:
    return item != "" and item.replace("_", "").isalnum() and item.isascii()


_ITEMS: dict[str, tuple[str, Callable[[str], bool]]] = {
    "targets": (
        f"targets: auto, {', '.join(TARGETS)}",
        lambda item: item == "auto" or item in TARGETS,
    ),
    "extra_modules": ("names of GRUB modules", _is_name),
    "pvh_names": (
        "values of ARCH: auto, i386, x86_64",
        lambda item: item in ("auto", "i386", "x86_64"),
    ),
}
