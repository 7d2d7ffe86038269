"""Which columns there are along a chain, of which type and known when: what the settings tell before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import Columns
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import OneHot
from raypipe.data.transform.entry import Drop, Entry, Select
from raypipe.data.transform.function import Function
from raypipe.data.types import is_type, parse_type, type_name


def columns_after(entries: Mapping[str, Entry], columns: Columns) -> Columns:
    """The features that a chain makes of a table, the label left out of its input. `names` and `features` are None behind an entry
    whose columns only the data tells (OneHot, a function of the user's); types and marks stay with the names that are known."""
    flow = _start(columns)
    for entry in entries.values():
        flow = _after(entry, flow)
    names = None if flow.made else flow.names
    return Columns(names, dict(flow.types), flow.known_afterwards, columns.label, names)


def cannot_be(entries: Mapping[str, Entry], columns: Columns, names: Sequence[str]) -> list[str]:
    """Which of these columns no table can have that such a chain makes of such a one."""
    flow = _start(columns)
    for entry in entries.values():
        flow = _after(entry, flow)
    around = columns.names
    return [] if around is None else [name for name in names if name not in around and not flow.may_have(name)]


def marked(entries: Mapping[str, Entry], columns: Columns, names: Sequence[str]) -> list[str]:
    """Which of these columns behind a chain are known only afterwards: what was, and what is made of it."""
    flow = _start(columns)
    for entry in entries.values():
        flow = _after(entry, flow)
    return [name for name in names if flow.is_marked(name)]


def check(entries: Mapping[str, Entry], columns: Columns, where: str = "transform") -> list[Problem]:
    """What is wrong with a chain on such a table: bad settings, columns that cannot be there, types that an entry does not take, and,
    where there is a label, columns known only afterwards that would become inputs of the model (each told once, where it is first used)."""
    is_for_model = columns.label is not None
    flow, found = _start(columns), []
    for name, entry in entries.items():
        place = f"{where}.{name}" if where else name
        if problems := entry.problems():
            found += [Problem(place, text) for text in problems]
            flow = _after(entry, flow)
            continue
        found += [Problem(place, text) for text in (*_missing(entry, flow), *_wrong_types(entry, flow))]
        found += [Problem(place, text) for text in _afterwards(entry, flow) if is_for_model]
        told = frozenset(_used(entry, flow) if is_for_model else ())
        flow = _after(entry, replace(flow, known_afterwards=flow.known_afterwards - told))
    left = sorted(flow.known_afterwards) if is_for_model else []
    return found + ([Problem(where, _unfit(left, "Leave it out with Select or Drop."))] if left else [])


@dataclass(frozen=True)
class _Flow:
    """The columns between two entries."""

    names: tuple[str, ...]
    types: Mapping[str, str]
    known_afterwards: frozenset[str]
    made: tuple[str, ...] = field(default=())
    """How further columns may begin, whose names only the data tells: `carrier=`; the empty text: any."""
    marked_made: frozenset[str] = frozenset()
    """Of those, what is made of columns that are known only afterwards."""

    def may_have(self, name: str) -> bool:
        return name in self.names or any(name.startswith(begin) for begin in self.made)

    def is_marked(self, name: str) -> bool:
        if name in self.names:
            return name in self.known_afterwards
        return name in self.known_afterwards or any(name.startswith(begin) for begin in self.marked_made)


def _start(columns: Columns) -> _Flow:
    def without_label(names: Any) -> tuple[str, ...]:
        return tuple(name for name in names if name != columns.label)

    types = {name: columns.types[name] for name in without_label(columns.types)}
    marks = frozenset(without_label(columns.known_afterwards))
    if columns.names is None:
        return _Flow((), types, marks, ("",))
    return _Flow(without_label(columns.names), types, marks)


def _after(entry: Entry, flow: _Flow) -> _Flow:
    if entry.problems():  # which `check` tells at their place
        return _Flow((), {}, frozenset(), ("",))
    if isinstance(entry, Function):
        return _after_function(entry, flow)
    if isinstance(entry, Select):
        return _narrowed(flow, tuple(name for name in entry.columns if flow.may_have(name)), ())
    if isinstance(entry, Drop):
        return _narrowed(flow, tuple(name for name in flow.names if name not in entry.columns), flow.made)
    if isinstance(entry, Derive):
        return _after_derive(entry, flow)
    if isinstance(entry, OneHot):
        rest = _narrowed(flow, tuple(name for name in flow.names if name not in entry.columns), flow.made)
        marks = flow.marked_made | {f"{name}=" for name in entry.columns if flow.is_marked(name)}
        return replace(rest, made=(*rest.made, *(f"{name}=" for name in entry.columns)), marked_made=marks)
    types = {**flow.types, **_types_after(entry, flow)}
    if not hasattr(entry, "made"):
        return replace(flow, types=types)
    made: Mapping[str, Sequence[str]] = entry.made()  # type: ignore[attr-defined]
    around = frozenset(flow.names) - frozenset(made)
    names = tuple(put for name in flow.names for put in made.get(name, [name]))
    gone = flow.known_afterwards & frozenset(made) - around
    marks = (flow.known_afterwards - gone) | {put for name in gone for put in made[name]}
    types = {name: type for name, type in types.items() if name not in made}
    return replace(flow, names=names, types=types, known_afterwards=marks)


def _after_derive(entry: Derive, flow: _Flow) -> _Flow:
    expressions = entry.expressions()
    names = (*flow.names, *(name for name in expressions if name not in flow.names))
    types = {name: type for name, type in flow.types.items() if name not in expressions} | _types_after(entry, flow)
    marks = frozenset(name for name, expression in expressions.items() if any(map(flow.is_marked, expression.columns)))
    return replace(flow, names=names, types=types, known_afterwards=(flow.known_afterwards - frozenset(expressions)) | marks)


def _after_function(entry: Function, flow: _Flow) -> _Flow:
    given = tuple(entry.gives or ())
    taken = [name for name in (flow.names if entry.takes is None else entry.takes) if flow.is_marked(name)]
    hidden = entry.takes is None and bool(flow.known_afterwards | flow.marked_made)
    marks = frozenset(given if taken or hidden else ())
    made_marks = frozenset({""} if (taken or hidden) and not given else ())
    if entry.takes is None:
        kept_marks = flow.known_afterwards if not given else frozenset()
        return _Flow(given, {}, kept_marks | marks, () if given else ("",), made_marks)
    # Without `gives` it may have put another value under any name.
    types = {name: type for name, type in flow.types.items() if entry.gives is not None and name not in given}
    names = (*flow.names, *(name for name in given if name not in flow.names))
    made = flow.made if entry.gives is not None else ("",)
    rest = flow.known_afterwards - frozenset(given)
    return replace(flow, names=names, types=types, known_afterwards=rest | marks, made=made, marked_made=flow.marked_made | made_marks)


def _narrowed(flow: _Flow, names: tuple[str, ...], made: tuple[str, ...]) -> _Flow:
    types = {name: type for name, type in flow.types.items() if name in names}
    gone = set(flow.names) - set(names) if made else flow.known_afterwards - set(names)
    return replace(flow, names=names, types=types, known_afterwards=flow.known_afterwards - gone, made=made)


def _types_after(entry: Any, flow: _Flow) -> dict[str, str]:
    """The types that an entry leaves in the columns it reads; none where it does not take what is there."""
    try:
        return {f.name: type_name(f.type) for f in _typed(entry, flow)}
    except DataError:
        return {}


def _typed(entry: Any, flow: _Flow) -> pa.Schema:
    """What an entry makes of those of its columns whose types are known."""
    known = {name: _type(flow.types[name]) for name in entry.reads() if name in flow.types}
    if isinstance(entry, Derive):
        return _derived(entry, pa.schema(list(known.items())))
    columns = [name for name in entry.columns if name in known]
    return replace(entry, columns=columns).schema_after(pa.schema(list(known.items())), {name: [] for name in known})


def _derived(entry: Derive, known: pa.Schema) -> pa.Schema:
    """Those of its columns whose types can be told. DataError with every one that cannot be computed."""
    told, made = [], []
    for name, expression in entry.expressions().items():
        if all(column in known.names for column in expression.columns):
            try:
                made.append(pa.field(name, entry.type_of(name, known)))
            except DataError as error:
                told.append(str(error))
    if told:
        raise DataError("\n".join(told))
    return pa.schema(made)


def _type(name: str) -> pa.DataType:
    """Structs and maps, which have no name here, as a type that no entry takes."""
    return parse_type(name) if is_type(name) else pa.struct([])


def _names(entry: Any) -> Sequence[str]:
    if isinstance(entry, Function):
        return entry.takes or ()
    return entry.columns if isinstance(entry, Select | Drop) else entry.reads()


def _missing(entry: Entry, flow: _Flow) -> list[str]:
    return [f"no column '{name}'.{nearest(name, flow.names)}" for name in _names(entry) if not flow.may_have(name)]


def _wrong_types(entry: Entry, flow: _Flow) -> list[str]:
    if isinstance(entry, Function | Select | Drop):
        return []
    try:
        _typed(entry, flow)
    except DataError as error:
        return str(error).splitlines()
    return []


def _used(entry: Entry, flow: _Flow) -> list[str]:
    """The columns known only afterwards that an entry would use."""
    if isinstance(entry, Drop):
        return []
    if isinstance(entry, Function) and entry.takes is None:
        return sorted(flow.known_afterwards)
    return [name for name in _names(entry) if name in flow.known_afterwards]


def _afterwards(entry: Entry, flow: _Flow) -> list[str]:
    used = _used(entry, flow)
    if isinstance(entry, Function) and entry.takes is None and used:
        return [_unfit(used, "A function gets every column that reaches it: leave it out before, with Select or Drop.")]
    return [_unfit([name], "") for name in used]


def _unfit(names: Sequence[str], advice: str) -> str:
    quoted = ", ".join(f"'{name}'" for name in names)
    verb, what = ("is", "an input") if len(names) == 1 else ("are", "inputs")
    text = f"{quoted} {verb} known only afterwards (by the contract): it cannot be {what} of the model."
    return (text if len(names) == 1 else text.replace(": it ", ": they ")) + (f" {advice}" if advice else "")
