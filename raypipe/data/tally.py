"""What a split's rule makes of rows, counted: rows of each part and of none, nulls, values of which it says nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.parts import NONE, PARTS, UNKNOWN, codes, words
from raypipe.data.split import columns, require

MANY_VALUES = 1_000
"""Strata, or values of which the rule says nothing, that are told apart."""
NUM_TOLD = 10
TOLD_OFF = 0.1
"""A stratum's share of a part is told where it is off by more than this part of itself, and by more than a row."""
NUM_STRATA_TOLD = 3


@dataclass(frozen=True)
class Tally:
    """Counts of rows; those of two pieces of a table add up to those of both."""

    num_rows: int = 0
    parts: tuple[int, ...] = (0, 0, 0, 0)
    """Rows of each part, then of none."""
    nulls: Counter[str] = field(default_factory=Counter)
    """Column of the rule -> rows without a value."""
    unknown: Counter[str] = field(default_factory=Counter)
    """Value -> rows of which the rule says nothing because of it."""
    strata: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Stratified: value -> rows of each part, then of none."""

    def __add__(self, other: Tally) -> Tally:
        strata = {v: _added(self.strata.get(v), other.strata.get(v)) for v in {**self.strata, **other.strata}}
        return Tally(
            self.num_rows + other.num_rows, _added(self.parts, other.parts), self.nulls + other.nulls, self.unknown + other.unknown, strata
        )

    @classmethod
    def of_figures(cls, num_rows: int, figures: Json) -> Tally:
        """From `counts` and `shares` of a split that was made: no row of it lacks a value, or has one of which the rule says nothing."""
        strata = {value: (*(counts[part] for part in PARTS), 0) for value, counts in figures.get("strata", {}).items()}
        return cls(num_rows, tuple(figures["parts"].get(part, 0) for part in (*PARTS, NONE)), strata=strata)

    def counts(self) -> dict[str, int]:
        """Part -> rows; `none` only where some belong to none."""
        return {part: n for part, n in zip((*PARTS, NONE), self.parts, strict=True) if n or part != NONE}

    def shares(self) -> dict[str, Json]:
        """Stratified: value -> rows of each part."""
        return {value: dict(zip(PARTS, parts[: len(PARTS)], strict=True)) for value, parts in sorted(self.strata.items())}

    def lines(self, rule: Json) -> list[str]:
        """For a person: `train 8, validation 1, test 1`, rows of no part, and the strata that are furthest from their shares."""
        told = [", ".join(f"{part} {n:,}" for part, n in self.counts().items())]
        if NONE in self.counts():
            told.append(f"{self.parts[-1]:,} of {self.num_rows:,} rows belong to no part")
        return told + [_told_stratum(rule, *one) for one in self._furthest(rule)]

    def _furthest(self, rule: Json) -> list[tuple[str, str, tuple[int, ...]]]:
        asked = {"validation": rule.get("validation"), "test": rule.get("test")}
        off = {
            (value, part): abs(parts[PARTS.index(part)] / sum(parts) - share)
            for value, parts in self.strata.items()
            for part, share in asked.items()
            if share and abs(parts[PARTS.index(part)] - share * sum(parts)) > max(1, TOLD_OFF * share * sum(parts))
        }
        return [(*key, self.strata[key[0]]) for key in sorted(off, key=lambda key: -off[key])[:NUM_STRATA_TOLD]]

    def refuse(self, rule: Json) -> None:
        """DataError where rows have nulls in the rule's columns, or values of which it says nothing: all of them, counted."""
        told = [_told_nulls(rule, name, n, self.num_rows) for name, n in self.nulls.items()]
        if self.unknown:
            told.append(_told_unknown(rule, self.unknown))
        if told:
            raise DataError("\n".join(told))


def counted(rule: Json) -> tuple[str, ...]:
    """The columns that a tally reads: those that tell the part, and that of the strata."""
    return tuple(dict.fromkeys([*columns(rule), *([rule["within"]] if rule["by"] == "stratified" else [])]))


def tally(rule: Json, table: pa.Table) -> Tally:
    """Of a table in memory. DataError where a column of the rule is not there or of a type that it cannot be."""
    import numpy as np

    names = counted(rule)
    require(names, table)
    nulls = Counter({name: n for name in names if (n := table.column(name).null_count)})
    rows = table.select(list(names)).drop_null() if nulls else table
    found = codes(rule, rows)
    about = rule.get("column", rule.get("within"))
    unknown = Counter(_values(rule, about, rows.filter(pa.array(found == UNKNOWN)))) if about and (found == UNKNOWN).any() else Counter()
    parts = np.bincount(found[found != UNKNOWN], minlength=len(PARTS) + 1).tolist()
    strata = _strata(rule, rows, found) if rule["by"] == "stratified" else {}
    return Tally(table.num_rows, tuple(parts), nulls, unknown, strata)


def tally_of(rule: Json, pieces: Iterable[pa.Table], total: Tally | None = None) -> Tally:
    """Of a table in pieces, one in memory at a time, behind what was counted before. DataError where strata are too many."""
    total = total or Tally()
    for piece in pieces:
        total = total + tally(rule, piece)
        if len(total.strata) > MANY_VALUES:
            raise DataError(
                f"column '{rule['within']}' has more than {MANY_VALUES:,} values, too many to keep the shares within each: split by hash, "
                "or within a column of fewer values."
            )
    return total


def _strata(rule: Json, rows: pa.Table, found: Any) -> dict[str, tuple[int, ...]]:
    import numpy as np

    texts: Any = words(rule, rule["within"], rows.column(rule["within"])).combine_chunks()
    encoded = texts.dictionary_encode()
    width = len(PARTS) + 1
    known = found != UNKNOWN
    cells = encoded.indices.to_numpy().astype(np.int64)[known] * width + found[known]
    table = np.bincount(cells, minlength=len(encoded.dictionary) * width).reshape(-1, width)
    return {value: tuple(row) for value, row in zip(encoded.dictionary.to_pylist(), table.tolist(), strict=True)}


def _values(rule: Json, name: str, rows: pa.Table) -> dict[str, int]:
    counted: Any = words(rule, name, rows.column(name)).value_counts()
    return {str(one["values"]): one["counts"].as_py() for one in counted}


def _told_stratum(rule: Json, value: str, part: str, parts: tuple[int, ...]) -> str:
    found, num_rows = parts[PARTS.index(part)], sum(parts)
    return f"{rule['within']} {value}: {found / num_rows:.1%} of {num_rows:,} rows are for {part}, where {rule[part]:.1%} was asked for"


def _told_nulls(rule: Json, name: str, n: int, num_rows: int) -> str:
    return (
        f"column '{name}': {n:,} of {num_rows:,} rows are null and belong to no part of the split by {rule['by']}. "
        f"Drop them before (contract: {name}: {{nulls: false, on_breach: drop}}) or split by another column."
    )


def _told_unknown(rule: Json, unknown: Counter[str]) -> str:
    named = ", ".join(f"'{value}' in {n:,} rows" for value, n in unknown.most_common(NUM_TOLD))
    more = f" and {len(unknown) - NUM_TOLD:,} more values" if len(unknown) > NUM_TOLD else ""
    if rule["by"] == "stratified":
        return f"column '{rule['within']}': {named}{more}: not there when the split was made, so it has no cuts for them; split anew."
    example = next(iter(unknown.most_common(1)))[0]
    return (
        f"column '{rule['column']}': {named}{more}: that names no part. Expected {', '.join(PARTS)}, or say what it means: "
        f"parts: {{{example}: validation}} (or {NONE})."
    )


def _added(a: tuple[int, ...] | None, b: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(x + y for x, y in zip(a or (0,) * len(b or ()), b or (0,) * len(a or ()), strict=True))
