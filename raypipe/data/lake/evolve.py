"""Schema evolution: which columns of a table may change without its files being written anew, and what is then different."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.data.fragment.bounds import LONGEST_BOUND, Stats
from raypipe.data.fragment.conform import (
    DEFAULT,
    FIELD_ID,
    LAST_ID,
    bare,
    bare_schema,
    children,
    constant,
    default_of,
    default_text,
    field_id,
    with_id,
)
from raypipe.data.lake.partition import Layout
from raypipe.data.types import parse_type, type_name

_CATALOG_DIGITS = 38


@dataclass(frozen=True)
class NewColumns:
    """What an append may do to the columns of its table where its rows have others; what is not allowed here is refused by name."""

    add: bool = False
    """A column that the table lacks is added to it, at the end; the rows before have null in it."""
    widen: bool = False
    """A column whose values no longer fit is widened (int32 to int64, say); narrower values are taken as the table's type."""
    fill: bool = False
    """A column that the rows lack is filled with its default, or null."""


@dataclass(frozen=True)
class Alter:
    """What is to change about a table's columns, said outright. Nothing is guessed from names."""

    add: Mapping[str, str] = field(default_factory=dict)
    """New columns with their types: `{score: float32}`."""
    default: Mapping[str, Json] = field(default_factory=dict)
    """What earlier rows have in a new column; null where it is not named."""
    widen: Mapping[str, str] = field(default_factory=dict)
    """Columns with their wider types: `{count: int64}`."""
    rename: Mapping[str, str] = field(default_factory=dict)
    """Old names with new ones."""
    drop: Sequence[str] = ()
    """Columns that go; earlier snapshots keep them."""
    order: Sequence[str] = ()
    """The columns that come first, by their new names; the others follow as they are."""


@dataclass(frozen=True)
class Evolution:
    """A table's columns before and after, both with field ids; nothing but the catalog changes."""

    before: pa.Schema
    after: pa.Schema
    did: tuple[str, ...] = ()
    """In words, one for each change; empty where nothing changes."""
    renamed: Mapping[str, str] = field(default_factory=dict)


def altered(now: pa.Schema, change: Alter) -> Evolution:
    """DataError with everything that cannot be done."""
    told = [f"add {name}: the table has that column" for name in change.add if name in now.names and name not in change.drop]
    told += [f"widen {name}: the table has no such column.{nearest(name, now.names)}" for name in change.widen if name not in now.names]
    types, more = _types({**change.add, **change.widen})
    _refuse([*told, *more])
    fields = [
        pa.field(change.rename.get(f.name, f.name), types.get(f.name, f.type) if f.name in change.widen else f.type, f.nullable)
        for f in bare_schema(now)
        if f.name not in change.drop
    ]
    fields += [pa.field(name, types[name]) for name in change.add]
    first = [f for name in change.order for f in fields if f.name == name]
    unknown = [name for name in change.order if name not in {f.name for f in fields}]
    _refuse([f"order: the table has no column {name!r}.{nearest(name, [f.name for f in fields])}" for name in unknown])
    wanted = pa.schema([*first, *(f for f in fields if f.name not in change.order)])
    return between(now, wanted, rename=change.rename, drop=change.drop, default=change.default)


def between(
    now: pa.Schema,
    wanted: pa.Schema,
    *,
    rename: Mapping[str, str] | None = None,
    drop: Sequence[str] = (),
    default: Mapping[str, Json] | None = None,
) -> Evolution:
    """What leads from a table's columns (numbered) to others. DataError with every column that cannot become what is wanted.

    A column is added with null or a constant in the rows before; widened: intN and uintN to more bits, uintN to a larger intM, floats to
    more bits, decimals to more digits before the point, null to any type, not null to nullable; renamed or dropped if that is said; and
    put in any order. These are what DuckLake 1.0 promotes and what can be read exactly. The inside of nested columns stays as it is.
    """
    rename, default = rename or {}, default or {}
    told = [*_naming_problems(now, wanted, rename, drop), *_default_problems(now, wanted, rename, drop, default)]
    kept = {rename.get(f.name, f.name): f for f in now if f.name not in drop}
    told += [text for f in wanted if f.name in kept and (text := _type_problem(kept[f.name], f))]
    _refuse(told)
    ids = itertools.count(_last_id(now) + 1)
    fields = [_carried(kept[f.name], f) if f.name in kept else _added(f, default.get(f.name), ids) for f in bare_schema(wanted)]
    after = pa.schema(fields, {LAST_ID: str(next(ids) - 1).encode()})
    return Evolution(now, after, tuple(_words(now, after, drop)), {old: new for old, new in rename.items() if old != new})


def for_append(now: pa.Schema, rows: pa.Schema, allow: NewColumns) -> Evolution:
    """What an append of such rows does to a table's columns, which keep their order. DataError with every column that may not change so."""
    told = []
    fields = []
    for f in bare_schema(now):
        if f.name not in rows.names:
            told += _fill_problem(now.field(f.name), allow)
            fields.append(f)
        else:
            found = rows.field(f.name)
            told += _append_problem(f, found, allow)
            wider = widens(f.type, found.type)
            fields.append(pa.field(f.name, found.type if wider else f.type, f.nullable or found.nullable, f.metadata))
    new = [bare(f) for f in rows if f.name not in now.names]
    if not allow.add:
        known = [f.name for f in now]
        advice = "Allow it (add_columns: true), or leave the column out"
        told += [
            f"column {f.name!r}: found {type_name(f.type)}, and the table has no such column.{nearest(f.name, known)} {advice}" for f in new
        ]
    _refuse(told)
    return between(now, pa.schema([*fields, *(f.with_nullable(True) for f in new)]))


def grown(types: Mapping[str, pa.DataType], found: pa.Schema, allow: NewColumns) -> dict[str, pa.DataType]:
    """Columns by name, with what `allow` lets come to them from rows of other columns; what it does not stays for who refuses it."""
    made = dict(types)
    for f in found:
        if f.name not in made:
            made |= {f.name: f.type} if allow.add else {}
        elif allow.widen and widens(made[f.name], f.type):
            made[f.name] = f.type
    return made


def widens(old: pa.DataType, new: pa.DataType) -> bool:
    """Whether every value of `old` is one of `new`, the same.

    >>> widens(pa.int8(), pa.int64()), widens(pa.int64(), pa.float64()), widens(pa.uint8(), pa.int16())
    (True, False, True)
    """
    is_ = pa.types
    if is_.is_null(old):
        return not is_.is_null(new) and not children(new) and not isinstance(new, pa.BaseExtensionType)
    if is_.is_integer(old) and is_.is_integer(new):
        more = new.bit_width > old.bit_width
        return more and (is_.is_signed_integer(new) or is_.is_unsigned_integer(old))
    if is_.is_floating(old) and is_.is_floating(new):
        return new.bit_width > old.bit_width
    if is_.is_decimal(old) and is_.is_decimal(new):
        a, b = cast(Any, old), cast(Any, new)
        # The catalog shows decimals of up to 38 digits; one that grew beyond would be lost to SQL.
        shown = (a.precision <= _CATALOG_DIGITS) == (b.precision <= _CATALOG_DIGITS)
        return a.scale == b.scale and b.precision > a.precision and shown
    return False


def stats_as(stats: Stats, written: pa.Schema, now: pa.Schema, num_rows: int) -> Stats:
    """A fragment's statistics by the names of today: both schemas are numbered."""
    names = {field_id(f): f.name for f in written}
    made = {}
    for f in now:
        name = names.get(field_id(f))
        if name is None:
            made[f.name] = stats_of_default(f, num_rows)
        elif name in stats:
            made[f.name] = stats[name]
    return made


def stats_of_default(column: pa.Field, num_rows: int) -> dict[str, Json]:
    """Of a file that was written before the column was added."""
    default = default_of(column)
    if default is None:
        return {"nulls": num_rows, "nans": 0, "min": None, "max": None}
    value = default.as_py()
    if isinstance(value, float) and math.isnan(value):
        return {"nulls": 0, "nans": num_rows, "min": None, "max": None}
    bound = value if isinstance(value, bool | int | float) else _bound_text(default)
    known = (not isinstance(value, float) or math.isfinite(value)) and (not isinstance(bound, str) or len(bound) <= LONGEST_BOUND)
    return {"nulls": 0, "nans": 0, "min": bound if known else None, "max": bound if known else None}


def layout_problems(layout: Layout, evolution: Evolution) -> Iterator[str]:
    """Columns by which a table is partitioned or sorted, and that an evolution changes or drops."""
    after = {field_id(f): f for f in evolution.after}
    for what, keys in (("partitioned", layout.partition_by), ("sorted", layout.sort_by)):
        for key in keys:
            old = evolution.before.field(key.column)
            new = after.get(field_id(old))
            if new is None:
                yield f"column {key.column!r}: the table is {what} by {key}, so that it cannot be dropped; lay the table out anew first"
            elif new.type != old.type and what == "partitioned":
                yield (
                    f"column {key.column!r}: the table is partitioned by {key}, so that its type cannot change from {type_name(old.type)} "
                    f"to {type_name(new.type)}: the partitions of its files are by the old one. Lay the table out anew first"
                )


def last_id(schema: pa.Schema) -> int:
    """The highest field id ever used in it."""
    return _last_id(schema)


def _refuse(told: Sequence[str]) -> None:
    if told:
        raise DataError("\n".join(told))


def _last_id(schema: pa.Schema) -> int:
    return int((schema.metadata or {})[LAST_ID])


def _types(names: Mapping[str, str]) -> tuple[dict[str, pa.DataType], list[str]]:
    types, told = {}, []
    for name, text in names.items():
        try:
            types[name] = parse_type(text) if isinstance(text, str) else text
        except DataError as error:
            told.append(f"column {name!r}: {error}")
    return types, told


def _naming_problems(now: pa.Schema, wanted: pa.Schema, rename: Mapping[str, str], drop: Sequence[str]) -> Iterator[str]:
    for verb, names in (("rename", rename), ("drop", drop)):
        yield from (f"{verb} {name}: the table has no such column.{nearest(name, now.names)}" for name in names if name not in now.names)
    yield from (f"column {name!r}: is to be renamed and dropped at once; say one of both" for name in drop if name in rename)
    after = [rename.get(name, name) for name in now.names if name not in drop]
    yield from (f"column {name!r}: two columns would have that name" for name in sorted({n for n in after if after.count(n) > 1}))
    yield from (f"column {name!r}: is there twice" for name in sorted({n for n in wanted.names if wanted.names.count(n) > 1}))
    new = [name for name in wanted.names if name not in now.names]
    for name in after:
        if name not in wanted.names:
            close = nearest(name, new).strip() if new else ""
            yield (
                f"column {name!r}: the table has it, and the new columns do not.{' ' + close if close else ''} Say that it is dropped "
                f"(drop: [{name}]) or what it is called now (rename: {{{name}: ...}})"
            )
    if not wanted.names:
        yield "a table has at least one column: the last one cannot be dropped"


def _default_problems(
    now: pa.Schema, wanted: pa.Schema, rename: Mapping[str, str], drop: Sequence[str], default: Mapping[str, Json]
) -> Iterator[str]:
    there = {rename.get(name, name) for name in now.names if name not in drop}
    for name in default:
        if name not in wanted.names:
            yield f"default {name}: the new columns have none of that name.{nearest(name, wanted.names)}"
        elif name in there:
            yield f"default {name}: the table has that column, with values of its own; a default is for a column that is added"
    for f in wanted:
        if f.name in there:
            continue
        if default.get(f.name) is not None:
            try:
                constant(default[f.name], f.type)
            except DataError as error:
                yield f"column {f.name!r}: {error}"
        elif not f.nullable:
            yield f"column {f.name!r}: it takes no nulls, so that the rows before need a default: default: {{{f.name}: ...}}"


def _type_problem(old: pa.Field, new: pa.Field) -> str | None:
    if old.nullable and not new.nullable:
        return f"column {new.name!r}: it may hold nulls and cannot be made not null; check it with a contract instead"
    if old.type == new.type or widens(old.type, new.type):
        return None
    found, expected = type_name(old.type), type_name(new.type)
    if children(old.type) and children(new.type):
        return (
            f"column {new.name!r}: is {found} and cannot become {expected}: what is inside a nested column stays as it is. "
            "Add a column of the new type beside it, and drop the old one once nothing reads it"
        )
    return (
        f"column {new.name!r}: is {found} and cannot become {expected} without loss or without writing every file anew; "
        f"{_wider(old.type)}. Otherwise write the table anew (overwrite), or add a column of the new type"
    )


def _wider(type_: pa.DataType) -> str:
    known = [pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()]
    names = [type_name(to) for to in known if widens(type_, to)]
    if pa.types.is_decimal(type_):
        return f"it can become a decimal of scale {cast(Any, type_).scale} with more digits"
    return f"it can become {', '.join(names)}" if names else "that type has no wider one"


def _fill_problem(column: pa.Field, allow: NewColumns) -> Iterator[str]:
    if not allow.fill:
        yield (
            f"column {column.name!r}: the table has it ({type_name(column.type)}), and the rows do not; "
            "allow it to be filled with its default or null (fill_columns: true), or add it to the rows"
        )
    elif not column.nullable and default_text(column) is None:
        yield f"column {column.name!r}: the rows lack it, and it takes no nulls"


def _append_problem(old: pa.Field, found: pa.Field, allow: NewColumns) -> Iterator[str]:
    if old.type != found.type:
        if not (widens(old.type, found.type) or widens(found.type, old.type)):
            told = f"found {type_name(found.type)}, expected {type_name(old.type)}"
            yield f"column {old.name!r}: {told}; cast it, or make a column of another name"
        elif not allow.widen:
            yield (
                f"column {old.name!r}: found {type_name(found.type)}, expected {type_name(old.type)}; "
                "cast it, or allow the wider of the two (widen_columns: true)"
            )
    elif found.nullable and not old.nullable and not allow.widen:
        yield f"column {old.name!r}: may hold nulls, and the table's takes none; allow it (widen_columns: true), or fill them"


def _carried(old: pa.Field, new: pa.Field) -> pa.Field:
    """The old column with its ids and its default under its new name, type and place."""
    own = {key: value for key, value in (old.metadata or {}).items() if key in (FIELD_ID, DEFAULT)}
    type_ = old.type if old.type == new.type else new.type
    return pa.field(new.name, type_, new.nullable, {**(bare(old).metadata or {}), **(new.metadata or {}), **own})


def _added(column: pa.Field, default: Json, ids: Iterator[int]) -> pa.Field:
    made = with_id(column, ids)
    if default is None:
        return made
    return made.with_metadata({**(made.metadata or {}), DEFAULT: constant(default, column.type).encode()})


def _words(now: pa.Schema, after: pa.Schema, drop: Sequence[str]) -> Iterator[str]:
    before = {field_id(f): f for f in now}
    yield from (f"drop '{name}'" for name in drop)
    for f in after:
        old = before.get(field_id(f))
        if old is None:
            text = default_text(f)
            yield f"add '{f.name}' {type_name(f.type)}" + ("" if text is None else f", {text} in the rows before")
            continue
        if old.name != f.name:
            yield f"rename '{old.name}' to '{f.name}'"
        if old.type != f.type:
            yield f"widen '{f.name}' from {type_name(old.type)} to {type_name(f.type)}"
        if old.nullable != f.nullable:
            yield f"allow nulls in '{f.name}'"
    kept = [field_id(f) for f in after if field_id(f) in before]
    added_last = [field_id(f) in before for f in after] == sorted((field_id(f) in before for f in after), reverse=True)
    if kept != [field_id(f) for f in now if field_id(f) in kept] or not added_last:
        yield f"order {', '.join(after.names)}"


def _bound_text(value: Any) -> str:
    """As a fragment's bounds: moments in UTC, ending with Z."""
    if pa.types.is_timestamp(value.type) and value.type.tz:
        value = value.cast(pa.timestamp(value.type.unit, "UTC"))
    return value.cast(pa.string()).as_py()
