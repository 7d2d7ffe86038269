"""What is known of one column: counts, numbers, different and frequent values, lengths; of a fragment, or merged of any union."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from raypipe.core.errors import DataError
from raypipe.data.statistics.distinct import Distinct
from raypipe.data.statistics.numbers import Numbers
from raypipe.data.statistics.top import Top

Kind = Literal["number", "time", "bool", "text", "binary", "list", "struct", "other"]


@dataclass(frozen=True)
class ColumnProfile:
    """Which of the parts it has depends on `kind`; all of them merge."""

    name: str
    type: str
    """`int64`, `timestamp[us, tz=UTC]`, ..."""
    kind: Kind
    num_rows: int
    num_nulls: int
    numbers: Numbers | None = None
    """Of numbers and times."""
    distinct: Distinct | None = None
    """Of all but lists and structs (their `fields` have them); null and NaN are no values."""
    top: Top | None = None
    lengths: Numbers | None = None
    """Characters of texts, bytes of binary, items of lists; of what is not null."""
    low: str | None = None
    """Texts: the least in the order of code points, its first 200 characters."""
    high: str | None = None
    scale: int = 0
    """Decimals: digits behind the point, where `numbers` are whole numbers of the last digit."""
    is_rounded: bool = False
    """Decimals of more than 18 digits: their numbers are the nearest float64, of 53 bits."""
    fields: tuple[ColumnProfile, ...] = field(default=())
    """Structs: the columns in it. Lists: `item`; maps: `key` and `value`, their rows being the items of all lists."""

    @classmethod
    def merged(cls, parts: Sequence[ColumnProfile]) -> ColumnProfile:
        """Of a union without recomputing. DataError where the types differ."""
        first = parts[0]
        if len(parts) == 1:
            return first
        for part in parts:
            if part.type != first.type:
                raise DataError(f"column '{first.name}': a profile of {first.type} and one of {part.type} do not merge: change one's type")
        return cls(
            first.name,
            first.type,
            first.kind,
            sum(p.num_rows for p in parts),
            sum(p.num_nulls for p in parts),
            _numbers([p.numbers for p in parts]),
            _distinct(parts),
            Top.merged([p.top for p in parts if p.top is not None]) if first.top else None,
            _numbers([p.lengths for p in parts]),
            min((p.low for p in parts if p.low is not None), default=None),
            max((p.high for p in parts if p.high is not None), default=None),
            first.scale,
            first.is_rounded,
            tuple(cls.merged(some) for some in zip(*(p.fields for p in parts), strict=True)),
        )

    @property
    def num_values(self) -> int:
        """Rows that have one: neither null nor NaN."""
        return self.num_rows - self.num_nulls - (self.numbers.num_nans if self.numbers else 0)

    @property
    def num_missing(self) -> int:
        return self.num_rows - self.num_values


def _numbers(parts: Sequence[Numbers | None]) -> Numbers | None:
    found = [part for part in parts if part is not None]
    return Numbers.merged(found) if found else None


def _distinct(parts: Sequence[ColumnProfile]) -> Distinct | None:
    found = [p for p in parts if p.distinct is not None and p.num_values]
    if not found:
        return parts[0].distinct
    merged = Distinct.merged([p.distinct for p in found if p.distinct is not None])
    if merged.is_exact or not _are_apart(found):
        return merged
    return Distinct(merged.hashes, merged.registers, sum(p.distinct.count for p in found if p.distinct))


def _are_apart(parts: Sequence[ColumnProfile]) -> bool:
    """Whether all were counted, and none holds a value that another one may hold: a rising number, a time."""
    if any(p.numbers is None or p.is_rounded or p.distinct is None or not p.distinct.is_exact for p in parts):
        return False
    spans = sorted((p.numbers.min, p.numbers.max) for p in parts if p.numbers and p.numbers.min is not None and p.numbers.max is not None)
    return all(a[1] < b[0] for a, b in pairwise(spans))
