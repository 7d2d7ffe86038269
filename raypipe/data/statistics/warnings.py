"""What a person should look at in a column: nothing but nulls, one value alone, a long tail, a key."""

from __future__ import annotations

from raypipe.core.artifact import Json
from raypipe.data.statistics.column import ColumnProfile

MANY_NULLS = 0.5
SKEWED = 5.0
HEAVY = 0.95
ALMOST_UNIQUE = 0.5
MANY_VALUES = 100


def warnings_of(column: ColumnProfile) -> list[Json]:
    """`{"what": "constant", "told": "all 12,000 values are 7"}`, the gravest first."""
    if not column.num_rows:
        return []
    found = [*_missing(column), *_values(column), *_numbers(column)]
    return [{"what": what, "told": told} for what, told in found]


def _missing(column: ColumnProfile) -> list[tuple[str, str]]:
    share = column.num_nulls / column.num_rows
    if share == 1:
        return [("all null", "every value is null")]
    return [("many nulls", f"{share:.0%} of the rows are null")] if share >= MANY_NULLS else []


def _values(column: ColumnProfile) -> list[tuple[str, str]]:
    if column.distinct is None or not column.num_values:
        return []
    count, n = column.distinct.count, column.num_values
    if count == 1 and column.distinct.is_exact:
        return [("constant", f"all {n:,} values are the same")] if n > 1 else []
    if column.distinct.is_exact and count == n and n > MANY_VALUES:
        return [("unique", "no value comes twice: a key?")] if column.numbers is None or column.type.startswith(("int", "uint")) else []
    if column.kind in ("text", "binary") and count > MANY_VALUES and count >= ALMOST_UNIQUE * n:
        return [("high cardinality", f"about {min(1, count / n):.0%} of the values are different ones")]
    most = int(column.top.low[0]) if column.top is not None and len(column.top.low) else 0
    return [("one value", f"{most / n:.1%} of the values are the same")] if most >= HEAVY * n else []


def _numbers(column: ColumnProfile) -> list[tuple[str, str]]:
    numbers = column.numbers
    if numbers is None:
        return []
    found = []
    if numbers.num_infinite:
        found.append(("infinite", f"{numbers.num_infinite:,} infinite values"))
    if numbers.num_nans:
        found.append(("NaN", f"{numbers.num_nans:,} NaN, which are no nulls"))
    skewness = numbers.moments.skewness()
    if skewness is not None and abs(skewness) > SKEWED and column.kind == "number":
        found.append(("skewed", f"a long tail to the {'right' if skewness > 0 else 'left'}: skewness {skewness:.3g}"))
    return found
