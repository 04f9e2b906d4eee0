# SPDX-License-Identifier: GPL-3.0-or-later
"""Our records beside those of `dataclasses`, which mypy takes them for."""

import dataclasses
import pickle
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import pytest

from guest_hooks import records
from guest_hooks.model import Guest, Mode, Status


def kinds(module: Any) -> dict[str, Any]:
    """The same classes, as `module` makes them."""

    @module.dataclass(frozen=True, slots=True)
    class Spot:
        """A place."""

        x: int
        y: int = 2

        def sum(self) -> int:
            """Of both."""
            return self.x + self.y

    @module.dataclass(frozen=True, slots=True, kw_only=True)
    class Far(Spot):
        """With a base, whose fields may be given by their place."""

        name: str = "far"

    @module.dataclass(frozen=True, slots=True, kw_only=True)
    class Row:
        """Fields by name alone; one of them is not shown."""

        spots: tuple[Spot, ...] = ()
        table: dict[str, Spot] = module.field(default_factory=dict)
        hidden: str = module.field(default="", repr=False)

    @module.dataclass(frozen=True, slots=True)
    class Nothing:
        """No field."""

    @module.dataclass(kw_only=True)
    class Loose:
        """Can be changed, and keeps more than its fields."""

        size: int
        words: list[str] = module.field(default_factory=list)

        @cached_property
        def double(self) -> int:
            """Kept."""
            return 2 * self.size

    return {cls.__name__: cls for cls in (Spot, Far, Row, Nothing, Loose)}


OURS, THEIRS = kinds(records), kinds(dataclasses)


def outcome(ask: Callable[[dict[str, Any], Any], object], made: dict[str, Any], how: Any) -> str:
    """What `ask` says of these classes, in words; of an error its kind alone."""
    try:
        return repr(ask(made, how))
    except (TypeError, AttributeError) as error:
        kind = AttributeError if isinstance(error, AttributeError) else TypeError
        return kind.__name__


def changed(record: Any, name: str, value: object) -> Any:
    """`record` with a field set in place."""
    setattr(record, name, value)
    return record


def matched(record: Any, spot: Any) -> object:
    """What a pattern takes out of `record`."""
    match record:
        case spot(x, y):
            return x, y
    return None


def deleted(record: Any) -> Any:
    """`record` without a field."""
    del record.x
    return record


def twice(make: Callable[[], Any]) -> Iterator[Any]:
    """Two of a kind, each with what its factory made."""
    first, second = make(), make()
    first.words.append("one")
    yield from (first, second, first == second)


CASES = {
    "by-place": lambda k, _: k["Spot"](1, 3),
    "by-name": lambda k, _: k["Spot"](y=3, x=1),
    "by-both": lambda k, _: k["Spot"](1, y=3),
    "default": lambda k, _: k["Spot"](1),
    "missing": lambda k, _: k["Spot"](),
    "missing-and-unknown": lambda k, _: k["Spot"](z=1),
    "as-many-but-unknown": lambda k, _: k["Spot"](y=1, z=1),
    "unknown": lambda k, _: k["Spot"](1, z=1),
    "twice": lambda k, _: k["Spot"](1, x=1),
    "too-many": lambda k, _: k["Spot"](1, 2, 3),
    "place-where-names-are-due": lambda k, _: k["Row"](()),
    "base": lambda k, _: k["Far"](x=1, name="there"),
    "base-default": lambda k, _: k["Far"](x=1),
    "base-method": lambda k, _: k["Far"](x=1).sum(),
    "nothing": lambda k, _: k["Nothing"](),
    "nothing-equal": lambda k, _: (
        k["Nothing"]() == k["Nothing"](),
        len({k["Nothing"](), k["Nothing"]()}),
    ),
    "equal": lambda k, _: (k["Spot"](1) == k["Spot"](1, 2), k["Spot"](1) == k["Spot"](2)),
    "of-another-class": lambda k, _: (k["Spot"](1) == k["Far"](x=1), k["Spot"](1) == (1, 2)),
    "hash": lambda k, _: len({k["Spot"](1), k["Spot"](1), k["Spot"](2)}),
    "no-hash": lambda k, _: hash(k["Loose"](size=1, words=())),
    "frozen": lambda k, _: changed(k["Spot"](1), "x", 2),
    "frozen-delete": lambda k, _: deleted(k["Spot"](1)),
    "changed": lambda k, _: changed(k["Loose"](size=1), "size", 2),
    "kept": lambda k, _: k["Loose"](size=3).double,
    "factory": lambda k, _: list(twice(lambda: k["Loose"](size=1))),
    "shown": lambda k, _: k["Row"](spots=(k["Spot"](1),), hidden="secret"),
    "pattern": lambda k, _: matched(k["Spot"](1), k["Spot"]),
    "no-pattern": lambda k, _: k["Row"].__match_args__,
    "replace": lambda k, m: m.replace(k["Far"](x=1), y=5),
    "replace-unknown": lambda k, m: m.replace(k["Far"](x=1), z=5),
    "asdict": lambda k, m: m.asdict(
        k["Row"](spots=(k["Spot"](1), k["Spot"](2)), table={"a": k["Spot"](3)})
    ),
    "fields": lambda k, m: [each.name for each in m.fields(k["Far"])],
    "field-default": lambda k, m: [each.default for each in m.fields(k["Far"])][1:],
    "doc": lambda k, _: (k["Spot"].__doc__, k["Spot"].__qualname__, k["Spot"].__module__),
    "no-dict": lambda k, _: vars(k["Spot"](1)),
}


@pytest.mark.parametrize("ask", CASES.values(), ids=CASES)
def test_it_does_as_dataclasses(ask: Callable[[dict[str, Any], Any], object]) -> None:
    assert outcome(ask, OURS, records) == outcome(ask, THEIRS, dataclasses)


@pytest.mark.parametrize(
    "record",
    [
        Guest(mode=Mode.PV, bits=64),
        Status(guest=Guest(mode=Mode.PV, bits=64), boot=None, targets=(), grub_cfg=None),
    ],
)
def test_a_record_can_be_packed(record: object) -> None:
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - what we packed


@pytest.mark.parametrize("name", ["replace", "replace-unknown", "asdict", "fields"])
def test_dataclasses_itself_understands_ours(name: str) -> None:
    assert outcome(CASES[name], OURS, dataclasses) == outcome(CASES[name], THEIRS, dataclasses)


def test_an_error_says_what_the_fields_are() -> None:
    with pytest.raises(TypeError, match=r"Spot has \('x', 'y'\), and was given \('y',\)"):
        OURS["Spot"](y=1)
