# SPDX-License-Identifier: GPL-3.0-or-later
"""What `dataclasses` offers, as far as it is used here, without its price at each start.

`dataclasses` compiles half a dozen methods of each class when that is defined, and imports
`inspect` with the parser and the disassembler: with the 130 classes of a sync that is half of its
start. Here the methods of all classes are the same code. mypy and ruff are shown the real one, and
the tests compare the two. A class without `slots` can keep more beside its fields. Pure.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

_NONE = object()
"""The default of a field that has none."""


class Field:
    """One field of a class, with what its default is or is made by."""

    def __init__(
        self,
        default: object = _NONE,
        default_factory: Callable[[], object] | None = None,
        repr: bool = True,  # noqa: A002 - as `dataclasses` calls it
    ) -> None:
        self.default, self.default_factory, self.repr, self.name = (
            default,
            default_factory,
            repr,
            "",
        )


class _AsDataclasses:
    """The fields for `dataclasses`, whose `replace`, `asdict` and `fields` take ours, too."""

    def __get__(self, _instance: object, owner: type) -> object:
        import dataclasses  # noqa: PLC0415 - what nobody here is to wait for

        same = dataclasses.make_dataclass(owner.__name__, [row.name for row in _fields(owner)])
        return vars(same)["__dataclass_fields__"]


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False
) -> Callable[[type], type]:
    def made(given: type) -> type:
        space = dict(vars(given))
        own = {}
        for name in given.__annotations__:
            default = space.pop(name, _NONE)
            own[name] = default if isinstance(default, Field) else Field(default)
            own[name].name = name
        for name in ("__dict__", "__weakref__"):
            space.pop(name, None)
        space["__slots__"] = tuple(own) if slots else (*own, "__dict__")
        space["__qualname__"] = given.__qualname__
        cls: type = type(given)(given.__name__, given.__bases__, space)
        inherited = {row.name: row for base in cls.__mro__[:0:-1] for row in _fields(base)}
        rows = tuple((inherited | own).values())
        _equip(cls, rows, is_frozen=frozen, is_by_name=kw_only)
        return cls

    return made


def _equip(cls: Any, rows: tuple[Field, ...], *, is_frozen: bool, is_by_name: bool) -> None:
    """Give `cls` the fields `rows`, and the methods that know them."""
    names = tuple(row.name for row in rows)
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def is_equal(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    cls.__record__ = rows
    cls.__dataclass_fields__ = _AsDataclasses()
    cls.__match_args__ = () if is_by_name else names  # type: ignore[misc]
    cls.__init__ = _initializer(cls, rows, most=0 if is_by_name else len(rows))
    cls.__repr__ = _shown
    cls.__reduce__ = _reduced
    cls.__eq__ = is_equal
    cls.__hash__ = (lambda self: hash(values(self))) if is_frozen else None
    if is_frozen:
        cls.__setattr__ = cls.__delattr__ = _refuse


def _initializer(cls: type, rows: tuple[Field, ...], *, most: int) -> Callable[..., None]:
    names = tuple(row.name for row in rows)
    slots = tuple((name, getattr(cls, name).__set__) for name in names)
    defaults = {row.name: row.default for row in rows if row.default is not _NONE}
    factories = {row.name: row.default_factory for row in rows if row.default_factory is not None}

    def initialize(self: object, *by_place: object, **by_name: object) -> None:
        if by_place:
            placed = dict(zip(names[:most], by_place, strict=False))
            if len(placed) < len(by_place) or placed.keys() & by_name.keys():
                raise TypeError(f"{cls.__name__}: {by_place} are too many for {names}")
            by_name |= placed
        if len(by_name) != len(slots):
            made = {name: make() for name, make in factories.items() if name not in by_name}
            by_name = {**defaults, **made, **by_name}
        try:
            if len(by_name) == len(slots):
                for name, put in slots:
                    put(self, by_name[name])
                return
        except KeyError:
            pass
        raise TypeError(f"{cls.__name__} has {names}, and was given {tuple(by_name)}")

    return initialize


def _shown(self: object) -> str:
    shown = (f"{row.name}={getattr(self, row.name)!r}" for row in _fields(self) if row.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_value: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} can't be changed")


def _reduced(self: object) -> tuple[object, ...]:
    return _remade, (type(self), _table(self))


def _remade(cls: type, table: dict[str, object]) -> object:
    return cls(**table)


def _table(record: object) -> dict[str, object]:
    return {row.name: getattr(record, row.name) for row in _fields(record)}


def _fields(record: object) -> tuple[Field, ...]:
    found: tuple[Field, ...] = getattr(record, "__record__", ())
    return found


def _replace(record: object, /, **changes: object) -> object:
    return type(record)(**_table(record) | changes)


def _asdict(value: object) -> object:
    """`value` with a table in place of each record, however deep."""
    if _fields(value):
        return {name: _asdict(each) for name, each in _table(value).items()}
    if isinstance(value, list | tuple):
        return type(value)(map(_asdict, value))
    if isinstance(value, dict):
        return {_asdict(key): _asdict(each) for key, each in value.items()}
    return value


__all__ = ("asdict", "dataclass", "field", "fields", "replace")

if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, fields, replace
else:
    asdict, dataclass, field, fields, replace = _asdict, _dataclass, Field, _fields, _replace
