"""A contract to start from, as rows are: types, missing values, ranges, sets, lengths, what comes once, and how many there are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.contract.checks import comparable, missing, plain
from raypipe.data.contract.column import Column
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.origin import Origin
from raypipe.data.contract.unique import repeated
from raypipe.data.types import is_text, is_type, type_name, value_type

MOST_ALLOWED = 20
"""Different texts that are taken for a set, if each comes ten times on the average."""
SHARES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
"""Of missing values, those that are proposed as bounds."""
_LARGE = 1e15
"""Floats beyond it have no digits behind the point that could be rounded."""
_compute: Any = pc


@dataclass(frozen=True)
class Inferred:
    """A contract, and what was seen."""

    contract: Contract
    num_rows: int
    seen: dict[str, str]
    """Column -> what its values are, in words."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Columns that no contract can state, and why."""


def infer(work: Work, origins: Sequence[Origin]) -> Inferred:
    """From all of the rows, in one pass and one more for columns that look as if their values come once; memory is bounded. DataError where
    the files differ in their columns."""
    looks: dict[str, _Look] = {}
    num_rows = 0
    for origin in origins:
        for rows, _ in origin.batches():
            _refuse_other_columns(origin, looks, rows.schema, is_first=num_rows == 0)
            num_rows += rows.num_rows
            for name in rows.column_names:
                looks.setdefault(name, _Look(name)).add(rows.column(name))
    if not num_rows:
        raise DataError("there are no rows to infer a contract from")
    stated = {name: look for name, look in looks.items() if is_type(type_name(look.type))}
    if not stated:
        raise DataError("no column is of a type that a contract can name: " + ", ".join(f"{n} {look.type}" for n, look in looks.items()))
    once = _once(work, origins, [name for name, look in stated.items() if look.may_be_unique], num_rows)
    columns = {name: look.column(name in once) for name, look in stated.items()}
    left_out = {name: f"{look.type} has no name in a contract" for name, look in looks.items() if name not in stated}
    contract = Contract(columns, exact=not left_out, min_rows=_floor(num_rows))
    return Inferred(contract, num_rows, {name: look.words(num_rows) for name, look in stated.items()}, left_out)


@dataclass
class _Look:
    """What is known of a column so far."""

    name: str
    type: Any = None
    num_rows: int = 0
    num_missing: int = 0
    low: Any = None
    high: Any = None
    values: set[Any] | None = field(default_factory=set)
    """The different texts, while they are few."""
    lengths: tuple[int, int] | None = None
    may_be_unique: bool = True
    has_infinite: bool = False

    def add(self, column: pa.ChunkedArray) -> None:
        self.type = column.type
        values = comparable(plain(column))
        gone = missing(values)
        self.num_rows += len(column)
        self.num_missing += 0 if gone is None else _compute.sum(gone).as_py() or 0
        self._add_bounds(values if gone is None else values.filter(_compute.invert(gone)))
        self._add_texts(values)
        is_key = pa.types.is_integer(values.type) or is_text(values.type)
        self.may_be_unique &= is_key and self.num_missing == 0 and _compute.count_distinct(values).as_py() == len(values)

    def _add_bounds(self, values: pa.ChunkedArray) -> None:
        if not len(values) or not _is_ordered(values.type):
            return
        found = _compute.min_max(values)
        # Times and dates of a year that Python does not know have no bound.
        low, high = (_plain(found[end]) for end in ("min", "max"))
        self.has_infinite |= low is None or high is None
        if low is not None and high is not None:
            self.low, self.high = low if self.low is None else min(self.low, low), high if self.high is None else max(self.high, high)

    def _add_texts(self, values: pa.ChunkedArray) -> None:
        if not is_text(values.type):
            self.values = None
            return
        if self.values is not None:
            found = set(_compute.unique(values).drop_null().to_pylist()) | self.values
            self.values = found if len(found) <= MOST_ALLOWED else None
        lengths = _compute.min_max(_compute.utf8_length(values)).as_py()
        if lengths["min"] is not None:
            before = self.lengths or (lengths["min"], lengths["max"])
            self.lengths = min(before[0], lengths["min"]), max(before[1], lengths["max"])

    @property
    def is_set(self) -> bool:
        """Whether the texts are few enough to be all there are."""
        texts = self.values or set()
        tame = all(text and "${" not in text and len(text) <= 40 for text in texts)
        return bool(texts) and tame and self.num_rows - self.num_missing >= 10 * len(texts)

    def column(self, unique: bool) -> Column:
        how: dict[str, Any] = {"nulls": self._nulls(), "unique": unique}
        if self.is_set:
            how["allowed"] = sorted(self.values or ())
        elif self.lengths:
            shortest, longest = self.lengths
            how |= {"min_length": shortest, "max_length": longest} if shortest == longest else {"max_length": _ceil(longest)}
        elif self.low is not None and not self.has_infinite:
            how |= _range(self.low, self.high, value_type(self.type))
        return Column(type_name(self.type), **how)

    def _nulls(self) -> bool | float:
        share = self.num_missing / self.num_rows
        return False if not self.num_missing else next((bound for bound in SHARES if share <= bound), True)

    def words(self, num_rows: int) -> str:
        """`17 to 4983, 2.8 % missing`."""
        told = []
        if self.is_set:
            told.append(f"{len(self.values or ()):,} values")
        elif self.lengths:
            shortest, longest = self.lengths
            told.append(f"{shortest} characters" if shortest == longest else f"{shortest} to {longest} characters")
        elif self.low is not None:
            told.append(f"{_shown(self.low)} to {_shown(self.high)}")
        if self.num_missing:
            told.append("all missing" if self.num_missing == num_rows else f"{_percent(self.num_missing / num_rows)} % missing")
        return ", ".join(told)


def _refuse_other_columns(origin: Origin, looks: dict[str, _Look], schema: pa.Schema, is_first: bool) -> None:
    if is_first:
        return
    types = {name: look.type for name, look in looks.items()}
    told = [f"column '{name}' is missing" for name in types if name not in schema.names]
    told += [f"column '{f.name}' is in none of the files before" for f in schema if f.name not in types]
    told += [
        f"column '{f.name}' is {type_name(f.type)}, in the files before {type_name(types[f.name])}"
        for f in schema
        if f.name in types and f.type != types[f.name]
    ]
    if told:
        raise DataError("\n".join(f"{origin.name}: {line}" for line in told))


def _once(work: Work, origins: Sequence[Origin], names: Iterable[str], num_rows: int) -> set[str]:
    """Of these columns, those in which no value comes twice."""
    wanted = Contract({name: Column("int64", unique=True) for name in names})
    return {found["column"] for found in repeated(work, wanted, origins, num_rows) if not found["figure"]}


def _is_ordered(type: Any) -> bool:
    is_ = pa.types
    return is_.is_integer(type) or is_.is_floating(type) or is_.is_decimal(type) or is_.is_timestamp(type) or is_.is_date(type)


def _plain(value: Any) -> Any:
    """A bound as Python has it, None where it has none."""
    if pa.types.is_timestamp(value.type):
        # Below a microsecond nothing is asked of a bound that is rounded to the day.
        value = value.cast(pa.timestamp("us", value.type.tz), safe=False)
    try:
        found = value.as_py()
    except (ValueError, OverflowError):
        return None
    return None if isinstance(found, float) and not math.isfinite(found) else found


def _range(low: Any, high: Any, type: Any) -> dict[str, Json]:
    """Of numbers both ends, to a tenth of the power of ten that they span; of times the first day alone, as later ones will come."""
    if pa.types.is_timestamp(type):
        day = low.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).isoformat()
        return {"min": f"{_utc_day(low)}T00:00:00Z" if type.tz else day}
    if pa.types.is_date(type):
        return {"min": low.isoformat()}
    if isinstance(low, float) and max(abs(low), abs(high)) > _LARGE:
        return {"min": low, "max": high}
    step = Decimal(10) ** (math.floor(math.log10(high - low or abs(high) or 1)) - 1)
    step = max(step, Decimal(1)) if pa.types.is_integer(type) else step
    ends = (math.floor(Decimal(low) / step) * step, math.ceil(Decimal(high) / step) * step)
    return {"min": _number(ends[0], low, min), "max": _number(ends[1], high, max)}


def _utc_day(moment: Any) -> str:
    from datetime import UTC

    return moment.astimezone(UTC).date().isoformat()


def _number(rounded: Decimal, seen: Any, outer: Any) -> int | float:
    """As YAML has it; a float that its rounding brought inside gives way to what was seen."""
    if rounded == rounded.to_integral_value():
        return int(rounded)
    return float(outer(float(rounded), float(seen)))


def _floor(number: int) -> int:
    """To one digit: 336,776 -> 300,000."""
    size = 10 ** (len(str(number)) - 1)
    return number // size * size


def _ceil(number: int) -> int:
    size = 10 ** (len(str(number)) - 1)
    return -(-number // size) * size


def _percent(share: float) -> str:
    """To two digits; what is less than all is never told as all."""
    return f"{100 * share:.2g}" if share < 0.99 else f"{math.floor(1e4 * share) / 100:g}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
