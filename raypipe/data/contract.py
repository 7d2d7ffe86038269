"""The contract of a table: what its columns must be, when each is known, and what becomes of a row that breaks it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.core.step import Columns
from raypipe.data.types import is_type, parse_type, type_name

NUM_EXAMPLES = 10


@dataclass(frozen=True)
class Column:
    """What one column must be."""

    type: str
    """Arrow's name of its type: int64, float64, string, bool, date32, timestamp[us], timestamp[us, tz=UTC], ..."""
    nulls: bool = True
    """Whether a value may be missing."""
    min: Any = None
    """Least value; of times an ISO string."""
    max: Any = None
    """Greatest value."""
    allowed: list[Any] | None = None
    """The only values that it may have."""
    pattern: str | None = None
    """A regular expression (RE2) that the whole text must match."""
    unique: bool = False
    """Whether no value may come twice in the whole snapshot."""
    known: Literal["before", "afterwards"] = "before"
    """`afterwards`: its value is known only after the moment of prediction, so it may not be a model's input."""
    on_breach: Literal["fail", "drop", "warn"] = "fail"
    """Of a row that breaks a rule of this column: nothing is taken (fail), the row is dropped and counted, or it is only counted."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        if not is_type(self.type):
            return [f"'{self.type}' is no type: name one of Arrow's, e.g. int64, float64, string, bool, date32, timestamp[us, tz=UTC]."]
        both = self.min is not None and self.max is not None
        return [f"min ({self.min}) is above max ({self.max})."] if both and self.min > self.max else []


@dataclass(frozen=True)
class Contract:
    """Checked as rows are written: nothing of a batch that breaks it is ever visible."""

    revision: ClassVar[int] = 1

    columns: dict[str, Column] = field(default_factory=dict)
    """Name -> what the column must be, in the order in which the table has them."""
    exact: bool = True
    """Whether a column that the contract does not name is refused; otherwise it is taken as it comes."""
    min_rows: int = 1
    """Rows that a snapshot must have."""

    def __post_init__(self) -> None:
        built = {n: c if isinstance(c, Column) else Column(**c) for n, c in self.columns.items()}
        object.__setattr__(self, "columns", built)

    @property
    def known_afterwards(self) -> tuple[str, ...]:
        return tuple(n for n, c in self.columns.items() if c.known == "afterwards")

    def columns_of(self) -> Columns:
        """What a table that satisfies it has."""
        return Columns(tuple(self.columns) if self.exact else None, {n: c.type for n, c in self.columns.items()}, frozenset(self.known_afterwards))

    def types(self) -> dict[str, pa.DataType]:
        return {n: parse_type(c.type) for n, c in self.columns.items()}

    def problems(self) -> list[str]:
        return [f"columns.{n}: {text}" for n, c in self.columns.items() for text in c.problems()]

    def digest(self) -> str:
        """sha256 of everything that it states."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self), sort_keys=True, default=str).encode()).hexdigest()

    def fit(self, table: pa.Table) -> pa.Table:
        """The table with the contract's columns, in its order, then those it does not name. DataError with every column that is
        missing, too much, or of another type."""
        problems = [*self._missing(table.schema), *self._extra(table.schema), *self._retyped(table.schema)]
        if problems:
            raise DataError("\n".join(problems))
        return table.select([*self.columns, *(n for n in table.column_names if n not in self.columns)])

    def check(self, table: pa.Table, file: str, first_row: int) -> tuple[pa.Table, list[Json]]:
        """The rows to keep, and each rule that some row breaks: column, rule, rows, examples (file, row from 0 on, value), what is done."""
        found: list[Json] = []
        keep: Any = None
        for name, column in self.columns.items():
            for rule, broken in _rules(column, table.column(name)):
                count = pc.sum(broken).as_py() or 0  # type: ignore[attr-defined]
                if not count:
                    continue
                found.append({"column": name, "rule": rule, "rows": count, "on_breach": column.on_breach} | _examples(table.column(name), broken, file, first_row))
                if column.on_breach == "drop":
                    good = pc.invert(broken)  # type: ignore[attr-defined]
                    keep = good if keep is None else pc.and_(keep, good)  # type: ignore[attr-defined]
        return (table if keep is None else table.filter(keep)), found

    def _missing(self, schema: pa.Schema) -> list[str]:
        extra = [n for n in schema.names if n not in self.columns]
        return [f"column '{n}' is missing.{nearest(n, extra) if extra else ''}" for n in self.columns if n not in schema.names]

    def _extra(self, schema: pa.Schema) -> list[str]:
        if not self.exact:
            return []
        return [f"column '{n}' is not in the contract.{nearest(n, self.columns)}" for n in schema.names if n not in self.columns]

    def _retyped(self, schema: pa.Schema) -> list[str]:
        return [
            f"column '{n}' is {type_name(schema.field(n).type)}, the contract says {c.type}."
            for n, c in self.columns.items()
            if n in schema.names and schema.field(n).type != parse_type(c.type)
        ]


def merge(findings: Sequence[list[Json]]) -> list[Json]:
    """The findings of fragments, in order, as one list: rows added, at most ten examples each."""
    merged: dict[tuple[str, str], Json] = {}
    for found in (f for each in findings for f in each):
        key = (found["column"], found["rule"])
        before = merged.get(key)
        if before is None:
            merged[key] = dict(found)
        else:
            before["rows"] += found["rows"]
            before["examples"] = [*before["examples"], *found["examples"]][:NUM_EXAMPLES]
    return list(merged.values())


def words(finding: Mapping[str, Json], num_rows: int) -> str:
    """`column 'distance': 12 of 27,004 rows below 0 (first: flights.parquet row 17: -4)`."""
    first = finding["examples"][0]
    place = f"{first['file']} row {first['row']}: {first['value']}"
    return f"column '{finding['column']}': {finding['rows']:,} of {num_rows:,} rows {finding['rule']} (first: {place})"


def _rules(column: Column, values: pa.ChunkedArray) -> list[tuple[str, Any]]:
    """Rule -> bool for each row, true where it breaks the rule. A missing value breaks only `nulls: false`."""
    compute: Any = pc
    rules: list[tuple[str, Callable[[], Any]]] = []
    if not column.nulls and (values.null_count or pa.types.is_floating(values.type)):
        rules.append(("without a value", lambda: compute.is_null(values, nan_is_null=pa.types.is_floating(values.type))))
    if column.min is not None:
        rules.append((f"below {column.min}", lambda: compute.less(values, _bound(column.min, values.type))))
    if column.max is not None:
        rules.append((f"above {column.max}", lambda: compute.greater(values, _bound(column.max, values.type))))
    if column.allowed is not None:
        allowed = pa.array(column.allowed, values.type)
        rules.append((f"not one of {', '.join(map(str, column.allowed))}", lambda: compute.and_(compute.is_valid(values), compute.invert(compute.is_in(values, value_set=allowed)))))
    if column.pattern is not None:
        rules.append((f"do not match {column.pattern}", lambda: compute.invert(compute.match_substring_regex(values, f"^(?:{column.pattern})$"))))
    return [(name, compute.fill_null(broken(), False)) for name, broken in rules]


def _bound(value: Any, type_: pa.DataType) -> pa.Scalar:
    return pa.scalar(value).cast(type_) if isinstance(value, str) and not pa.types.is_string(type_) else pa.scalar(value)


def _examples(values: pa.ChunkedArray, broken: Any, file: str, first_row: int) -> dict[str, Json]:
    rows = pc.indices_nonzero(broken)[:NUM_EXAMPLES].to_pylist()  # type: ignore[attr-defined]
    return {"examples": [{"file": file, "row": first_row + r, "value": _json(values[r].as_py())} for r in rows]}


def _json(value: Any) -> Json:
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
