# SPDX-License-Identifier: GPL-3.0-or-later
"""What `dataclasses` offers, as far as it is used here, without its price at each start.

`dataclasses` compiles half a dozen methods of each class when that is defined, and imports
`inspect` with the parser and the disassembler: with the 130 classes of a sync that is half of its
start. Here the methods of all classes are the same code. mypy and ruff are shown the real one.

The fields have slots, and those of a base come first; a class without `slots` can keep more beside
them. Where it is `frozen` it can be hashed, too. Pure.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter

TYPE_CHECKING = False  # what mypy takes for true, without the import of `typing`

_MISSING = object()


class Field:
    """One field of a class; `default` is an object of no other use where it has none."""

    __slots__ = ("default", "default_factory", "name", "repr")

    def __init__(
        self,
        default: object = _MISSING,
        default_factory: Callable[[], object] | None = None,
        repr: bool = True,  # noqa: A002 - as `dataclasses` calls it
    ) -> None:
        self.default = default
        self.default_factory = default_factory
        self.repr = repr
        self.name = ""


class _AsDataclasses:
    """The fields as `dataclasses` itself keeps them, made for whoever asks, as its `replace` and
    `asdict` do.
    """

    def __get__(self, instance: object, owner: type) -> Mapping[str, object]:
        import dataclasses  # noqa: PLC0415 - what nobody here is to wait for

        rows = []
        for each in _fields(owner):
            made = dataclasses.field()
            if each.default_factory is not None:
                made = dataclasses.field(default_factory=each.default_factory)
            elif each.default is not _MISSING:
                made = dataclasses.field(default_factory=_constant(each.default))
            rows.append((each.name, object, made))
        same = dataclasses.make_dataclass(owner.__name__, rows, kw_only=True)
        found: Mapping[str, object] = vars(same)["__dataclass_fields__"]
        return found


def _constant(value: object) -> Callable[[], object]:
    return lambda: value


def _field(
    *, default: object = _MISSING, default_factory: Callable[[], object] | None = None, **how: bool
) -> Field:
    return Field(default, default_factory, **how)


def _dataclass(
    *, frozen: bool = False, slots: bool = False, kw_only: bool = False
) -> Callable[[type], type]:
    def made(given: type) -> type:
        return _made(given, is_frozen=frozen, has_more=not slots, is_by_name=kw_only)

    return made


def _made(given: type, *, is_frozen: bool, has_more: bool, is_by_name: bool) -> type:
    """The class `given` with slots, so another one, and with the methods."""
    space = dict(vars(given))
    own = {name: _row(name, space) for name in given.__annotations__}
    for name in ("__dict__", "__weakref__"):
        space.pop(name, None)
    space["__slots__"] = (*own, "__dict__") if has_more else tuple(own)
    cls: type = type(given)(given.__name__, given.__bases__, space)
    cls.__qualname__ = given.__qualname__
    inherited = {row.name: row for base in cls.__mro__[:0:-1] for row in _fields(base)}
    rows = tuple((inherited | own).values())
    names = tuple(row.name for row in rows)
    values: Callable[[object], object] = attrgetter(*names) if names else lambda _: ()

    def is_equal(self: object, other: object) -> bool:
        return values(self) == values(other) if type(other) is type(self) else NotImplemented

    def hashed(self: object) -> int:
        return hash(values(self))

    methods = {
        "__init__": _initializer(cls, rows, is_by_name=is_by_name),
        "__eq__": is_equal,
        "__hash__": hashed if is_frozen else None,
        "__repr__": _shown,
        "__match_args__": () if is_by_name else names,
        "__record__": rows,
        "__dataclass_fields__": _AsDataclasses(),
    }
    if is_frozen:
        methods |= {"__setattr__": _refuse, "__delattr__": _refuse}
    for name, method in methods.items():
        if name not in space:
            setattr(cls, name, method)
    return cls


def _row(name: str, space: dict[str, object]) -> Field:
    """The field `name` of a class; its default leaves `space`, where the slot is to be."""
    default = space.pop(name, _MISSING)
    row = default if isinstance(default, Field) else Field(default)
    row.name = name
    return row


def _initializer(cls: type, rows: tuple[Field, ...], *, is_by_name: bool) -> Callable[..., None]:
    names = tuple(row.name for row in rows)
    slots = tuple((name, getattr(cls, name).__set__) for name in names)
    defaults = {row.name: row.default for row in rows if row.default is not _MISSING}
    factories = {row.name: row.default_factory for row in rows if row.default_factory is not None}
    most = 0 if is_by_name else len(names)

    def initialize(self: object, *given: object, **values: object) -> None:
        if given:
            if len(given) > most or not values.keys().isdisjoint(names[: len(given)]):
                raise _misfit(cls, names, given, values)
            values.update(zip(names, given, strict=False))
        if len(values) != len(slots):
            values = {**defaults, **values}
            for name, make in factories.items():
                if name not in values:
                    values[name] = make()
            if len(values) != len(slots):
                raise _misfit(cls, names, (), values)
        try:
            for name, put in slots:
                put(self, values[name])
        except KeyError:
            raise _misfit(cls, names, (), values) from None

    return initialize


def _misfit(
    cls: type, names: tuple[str, ...], given: Iterable[object], values: Iterable[str]
) -> TypeError:
    return TypeError(
        f"{cls.__name__} has the fields {', '.join(names)}; given:"
        f" {', '.join([*map(repr, given), *values])}"
    )


def _shown(self: object) -> str:
    cls = type(self)
    shown = (f"{row.name}={getattr(self, row.name)!r}" for row in _fields(cls) if row.repr)
    return f"{cls.__qualname__}({', '.join(shown)})"


def _refuse(self: object, name: str, *_value: object) -> None:
    raise AttributeError(f"{type(self).__name__}.{name} can't be changed")


def _fields(cls: object) -> tuple[Field, ...]:
    found: tuple[Field, ...] = getattr(cls, "__record__", ())
    return found


def _replace(record: object, /, **changes: object) -> object:
    return type(record)(
        **{row.name: getattr(record, row.name) for row in _fields(type(record))} | changes
    )


def _asdict(value: object) -> object:
    """`value` with a table in place of each record, however deep."""
    if rows := _fields(type(value)):
        return {row.name: _asdict(getattr(value, row.name)) for row in rows}
    if isinstance(value, list | tuple):
        return type(value)(map(_asdict, value))
    if isinstance(value, dict):
        return {_asdict(key): _asdict(each) for key, each in value.items()}
    return value


__all__ = ("asdict", "dataclass", "field", "fields", "replace")

if TYPE_CHECKING:
    from dataclasses import asdict, dataclass, field, fields, replace
else:
    asdict = _asdict
    dataclass = _dataclass
    field = _field
    fields = _fields
    replace = _replace
