"""Which rows of two tables have equal keys, and the rows that come of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, cast

import pyarrow as pa
import pyarrow.compute

from raypipe.core.errors import DataError, Problem
from raypipe.core.wording import first_line
from raypipe.data.fragment.conform import as_type, taken
from raypipe.data.shuffle.engine import as_keys, connected, select
from raypipe.data.shuffle.places import local
from raypipe.data.types import type_name

if TYPE_CHECKING:
    import numpy as np

How = Literal["inner", "left", "semi", "anti", "full"]
MOST_PAIRS = 50_000_000
"""Matches that one task may make."""


@dataclass(frozen=True)
class Counts:
    """Rows of either table, and what matched."""

    left: int = 0
    right: int = 0
    matched: int = 0
    """Left rows that have a match."""
    pairs: int = 0
    most: int = 0
    """Matches of the left row that has most."""

    def __add__(self, other: Counts) -> Counts:
        sums = [a + b for a, b in zip(astuple(self), astuple(other), strict=True)]
        return Counts(*sums[:-1], most=max(self.most, other.most))

    def as_tuple(self) -> tuple[int, ...]:
        return astuple(self)


@dataclass(frozen=True)
class Matching:
    """What is asked for. It travels to the tasks."""

    how: How
    left: pa.Schema
    right: pa.Schema
    left_on: tuple[str, ...]
    right_on: tuple[str, ...]
    names: dict[str, str] = field(default_factory=dict)
    """Right column that is taken over -> its name in the result."""
    validate: str | None = None
    types: dict[str, str] = field(default_factory=dict)
    """k0, k1, ... -> what keys of both sides are compared as, DuckDB's name."""

    @property
    def keys(self) -> list[str]:
        return [f"k{i}" for i in range(len(self.left_on))]

    @property
    def right_reads(self) -> list[str]:
        return list(dict.fromkeys([*self.right_on, *self.names]))

    @property
    def carried(self) -> list[str]:
        """The columns of the right table that go along with its keys."""
        return self.right_reads if self.how == "full" else list(self.names)

    @property
    def unique_left(self) -> bool:
        return bool(self.validate) and str(self.validate).startswith("1:")

    @property
    def unique_right(self) -> bool:
        return bool(self.validate) and str(self.validate).endswith(":1")

    def has_keys(self, rows: pa.Table) -> Any:
        """Which rows miss no key."""
        compute = cast(Any, pyarrow.compute)
        valid = [rows.column(name).is_valid() for name in self.keys]
        found = valid[0]
        for other in valid[1:]:
            found = compute.and_(found, other)
        return found

    def schema(self) -> pa.Schema:
        """Of the result."""
        optional = self.how in ("left", "full")
        left = [f.with_nullable(True) if self.how == "full" else f for f in self.left]
        right = [self.right.field(old).with_name(name) for old, name in self.names.items()]
        return pa.schema([*left, *(f.with_nullable(True) if optional else f for f in right)])

    def alone(self, right: pa.Table, found: Found) -> pa.Table:
        """The right rows without a match, their keys in the left's columns."""
        import numpy as np

        without = np.ones(right.num_rows, bool)
        without[found.right] = False
        rows = right.filter(pa.array(without))
        keys = {left: rows.column(f"r:{name}") for left, name in zip(self.left_on, self.right_on, strict=True)}
        columns = [keys.get(f.name, pa.nulls(rows.num_rows, f.type)) for f in self.left]
        columns += [rows.column(f"r:{name}") for name in self.names]
        return pa.Table.from_arrays(columns, schema=self.schema())


@dataclass(frozen=True)
class Found:
    """The matches: places in the two tables, in the order of the left one and then of the right one."""

    left: np.ndarray
    right: np.ndarray
    counts: Counts


def comparable(left: pa.Schema, right: pa.Schema, on: Sequence[tuple[str, str]], where: str) -> tuple[dict[str, str], list[Problem]]:
    """What each pair of keys is compared as; a problem where their types have nothing in common."""
    import duckdb

    types, wrong = {}, []
    with connected() as connection:
        for i, (a, b) in enumerate(on):
            kinds = left.field(a).type, right.field(b).type
            connection.register("l", as_keys(left.empty_table(), [a]))
            connection.register("r", as_keys(right.empty_table(), [b]))
            try:
                ours = [str(connection.sql(f"select k0 from {side}").types[0]) for side in ("l", "r")]
                common = str(connection.sql("select k0 from l union all select k0 from r").types[0])
            except duckdb.Error as error:
                wrong.append(Problem(where, f"'{a}' and '{b}' cannot be compared: {first_line(error)}"))
                continue
            if ours[0] != ours[1] and _kin(kinds[0]) != _kin(kinds[1]):
                told = f"'{a}' is {type_name(kinds[0])} and '{b}' is {type_name(kinds[1])}: equal values could not be told; cast one before"
                wrong.append(Problem(where, told))
            types[f"k{i}"] = common
    return types, wrong


def matches(asked: Matching, left: pa.Table, right: pa.Table) -> Found:
    """Rows of equal keys; a missing key matches nothing, NaN matches NaN. DataError where `validate` does not hold."""
    import numpy as np

    sides = {"l": _side(asked, left), "r": _side(asked, right)}
    most = {name: _most(asked, rows) if name == "r" or asked.unique_left else 1 for name, rows in sides.items()}
    _validate(asked, sides, most)
    if most["r"] * sides["l"].num_rows > MOST_PAIRS:
        _bound(asked, sides)
    on = " and ".join(f"l.{key} = r.{key}" for key in asked.keys)
    found = select(f"select l.i as i, r.i as j from l join r on {on}", sides, "the join")
    i, j = found.column("i").to_numpy(), found.column("j").to_numpy()
    order = np.argsort(i * right.num_rows + j)
    i, j = i[order], j[order]
    counts = np.bincount(i) if len(i) else np.zeros(1, np.int64)
    told = Counts(left.num_rows, right.num_rows, int((counts > 0).sum()), len(i), int(counts.max()))
    return Found(i, j, told)


def right_rows(asked: Matching, right: pa.Table, found: Found) -> pa.Table:
    """The columns that are taken over, of each match."""
    columns = right.select([f"r:{name}" for name in asked.names]).combine_chunks()
    if not columns.num_columns:
        return pa.table({"none": pa.nulls(len(found.right))})
    return taken(columns, pa.array(found.right))


def zipped(asked: Matching, rows: pa.Table, returned: pa.Table | None) -> pa.Table:
    """Rows of the left table with the matches that came back for them."""
    import numpy as np

    at = local(returned) if returned is not None else np.array([], np.int64)
    has = np.zeros(rows.num_rows, bool)
    has[at] = True
    if asked.how in ("semi", "anti"):
        return rows.filter(pa.array(has if asked.how == "semi" else ~has))
    i, j = at, np.arange(len(at))
    if asked.how in ("left", "full"):
        alone = np.flatnonzero(~has)
        i, j = np.concatenate([at, alone]), np.concatenate([j, np.full(len(alone), -1)])
        order = np.argsort(i, kind="stable")
        i, j = i[order], j[order]
    columns = rows.columns if np.array_equal(i, np.arange(rows.num_rows)) else taken(rows.combine_chunks(), pa.array(i)).columns
    places = pa.array(j, mask=j < 0)
    others = [_taken(asked, name, returned, places) for name in asked.names]
    return pa.Table.from_arrays([*columns, *others], schema=asked.schema())


def _taken(asked: Matching, name: str, returned: pa.Table | None, places: pa.Array) -> Any:
    type_ = asked.right.field(name).type
    if returned is None:
        return pa.nulls(len(places), type_)
    return as_type(taken(returned.select([f"r:{name}"]).combine_chunks(), places).column(0), type_)


def _side(asked: Matching, rows: pa.Table) -> pa.Table:
    import numpy as np

    numbered = rows.select(asked.keys).append_column("i", pa.array(np.arange(rows.num_rows)))
    return numbered.filter(asked.has_keys(numbered))


def _most(asked: Matching, rows: pa.Table) -> int:
    """How often the key is there that is there most often."""
    counted = f"select count(*) as n from r group by {', '.join(asked.keys)}"
    return select(f"select coalesce(max(n), 0) as n from ({counted})", {"r": rows}, "the join").column("n")[0].as_py()


def _validate(asked: Matching, sides: dict[str, pa.Table], most: dict[str, int]) -> None:
    unique = {"l": ("left", asked.unique_left, asked.left_on), "r": ("right", asked.unique_right, asked.right_on)}
    for name, (side, wanted, on) in unique.items():
        if not wanted or most[name] <= 1:
            continue
        keys = ", ".join(asked.keys)
        sql = f"select {keys}, count(*) as n from r group by all having count(*) > 1 order by all limit 1"
        row = select(sql, {"r": sides[name]}, "the join").to_pylist()[0]
        value = ", ".join(f"{column} = {row[key]!r}" for column, key in zip(on, asked.keys, strict=True))
        raise DataError(f"the {side} table has {row['n']:,} rows with {value}, but validate is '{asked.validate}': expected one at most")


def _bound(asked: Matching, sides: dict[str, pa.Table]) -> None:
    """DataError before so many pairs are made that they would not fit."""
    keys = ", ".join(asked.keys)
    counted = (f"(select {keys}, count(*) as n from {side} group by all)" for side in ("l", "r"))
    sql = "select {}, l.n * r.n as n from {} l join {} r using ({}) order by n desc".format(
        ", ".join(f"l.{key}" for key in asked.keys), *counted, keys
    )
    found = select(f"with m as ({sql}) select *, sum(n) over () as pairs from m order by n desc limit 1", sides, "the join").to_pylist()
    if found and found[0]["pairs"] > MOST_PAIRS:
        value = ", ".join(f"{name} = {found[0][key]!r}" for name, key in zip(asked.left_on, asked.keys, strict=True))
        raise DataError(
            f"the join would make {int(found[0]['pairs']):,} rows of one task's keys, {int(found[0]['n']):,} of them with {value}: "
            f"more than {MOST_PAIRS:,}. Aggregate one of the tables by the key before, or add a column to the key."
        )


def _kin(type_: Any) -> str:
    """Types whose values can be compared exactly; a float and an integer cannot, beyond 2^53."""
    is_ = pa.types
    if is_.is_integer(type_) or is_.is_decimal128(type_):
        return "whole"
    if is_.is_timestamp(type_):
        return "zoned" if type_.tz else "local"
    return "float" if is_.is_floating(type_) else str(type_)
