"""A pandera schema as a contract, as far as what it asks has an equal; whatever has none is refused by name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from raypipe.core.errors import ConfigError, Problem
from raypipe.data.contract.column import ROW_RULES, Column
from raypipe.data.contract.contract import Contract, Rule
from raypipe.data.types import is_type, type_name

ANY = "(?s:.*)"
SCHEMA = {
    "index": (None, "an index has no equal: make it a column"),
    "ordered": (False, "the order of columns is not judged: a table has them in the contract's"),
    "parsers": ([], "a parser changes rows, which a contract does not: use a transform"),
    "checks": ([], "a check of the whole frame is code: say it as a rule over columns, in SQL"),
    "add_missing_columns": (False, "columns are not added by a contract: the ingest's setting fill_columns does that"),
    "dtype": (None, "one type for all columns has no equal: give each column its own"),
}
"""Settings of a schema -> what they are where nothing is asked, and what is said otherwise."""
COLUMN = {
    "required": (True, "a column that may be missing has no equal"),
    "regex": (False, "columns by a pattern of their names have no equal: name each one"),
    "parsers": ([], "a parser changes values, which a contract does not: use a transform"),
    "default": (None, "a default changes values, which a contract does not: use an Impute"),
}


def is_schema(value: Any) -> bool:
    """Whether it is a schema or a model of pandera's."""
    return (hasattr(value, "columns") and hasattr(value, "validate")) or hasattr(value, "to_schema")


def contract_of(schema: Any) -> Contract:
    """Of a DataFrameSchema or DataFrameModel, on pandas or Polars. ConfigError with every part of it that has no equal here.

    What is stricter here than there: types are not coerced, and an integer column lacks no value in silence. What is laxer: a value that is
    missing never counts as coming twice.
    """
    found = schema.to_schema() if hasattr(schema, "to_schema") else schema
    problems = [Problem(name, told) for name, (nothing, told) in SCHEMA.items() if _differs(getattr(found, name, nothing), nothing)]
    if found.strict == "filter":
        problems.append(Problem("strict", "filter leaves columns out, which a contract does not: use exact: false, or Select"))
    columns: dict[str, Column] = {}
    rules: dict[str, Rule] = {}
    for name, column in found.columns.items():
        part = _Part(str(name), column, "drop" if found.drop_invalid_rows else "fail")
        problems += [Problem(f"columns.{name}", text) for text in part.problems()]
        if not part.told:
            columns[str(name)], more = part.column(), part.rules
            rules |= more
    if problems:
        raise ConfigError(problems)
    unique = found.unique or []
    sets = [[unique] if isinstance(unique, str) else list(unique)] if unique else []
    return Contract(columns, exact=bool(found.strict), min_rows=0, unique=sets, rules=rules)


class _Part:
    """A column of a schema on its way."""

    def __init__(self, name: str, written: Any, breach: str):
        self.name, self.written, self.breach = name, written, breach
        self.settings: dict[str, Any] = {}
        self.breaches: dict[str, str] = {}
        self.rules: dict[str, Rule] = {}
        self.type = _type_of(written.dtype)
        self.told: list[str] = []

    def problems(self) -> list[str]:
        """What has no equal; the rest is taken on the way."""
        w = self.written
        self.told += [f"{key}: {told}" for key, (nothing, told) in COLUMN.items() if _differs(getattr(w, key, nothing), nothing)]
        if self.type is None:
            self.told.append("no type: give it a dtype" if w.dtype is None else f"the dtype {w.dtype} has no equal")
        for check in w.checks or ():
            self._take(check)
        return self.told

    def column(self) -> Column:
        assert self.type is not None
        stated = {rule: self.breaches.get(rule, self.breach) for rule in ("nulls", *self.settings) if rule in ROW_RULES}
        how: Any = stated if any(breach != "fail" for breach in stated.values()) else "fail"
        return Column(self.type, nulls=bool(self.written.nullable), unique=bool(self.written.unique), on_breach=how, **self.settings)

    def _take(self, check: Any) -> None:
        name, given = check.name, dict(check.statistics or {})
        if name not in _TAKEN:
            self.told.append(f"the check {name or check.error or check} is code that has no equal: say it as a rule over columns, in SQL")
            return
        breach = "warn" if check.raise_warning else self.breach
        for key, value in _TAKEN[name](given):
            value = _plain(value)
            if key in ("above", "below", "not"):
                self._add_rule(key, value, breach)
            elif key in self.settings:
                self.told.append(f"the check {name} states {key} a second time")
            else:
                self.settings[key], self.breaches[key] = value, breach

    def _add_rule(self, key: str, value: Any, breach: str) -> None:
        values = value if isinstance(value, list) else [value]
        if not all(isinstance(v, bool | int | float | str) for v in values) or (self.type or "").startswith(("date", "time")):
            self.told.append(f"a bound that is itself left out has no equal for {self.type}")
            return
        column = '"' + self.name.replace('"', '""') + '"'
        told = ", ".join("'" + v.replace("'", "''") + "'" if isinstance(v, str) else repr(v) for v in values)
        sql = {"above": f"{column} > {told}", "below": f"{column} < {told}", "not": f"{column} not in ({told})"}[key]
        self.rules[f"{self.name}_{key}"] = Rule(sql, on_breach=breach)  # type: ignore[arg-type]


def _range(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "min" if given.get("include_min", True) else "above", given["min_value"]
    yield "max" if given.get("include_max", True) else "below", given["max_value"]


def _lengths(given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    exact = given.get("exact_value")
    for key, value in (("min_length", given.get("min_value")), ("max_length", given.get("max_value"))):
        if exact is not None or value is not None:
            yield key, value if exact is None else exact


def _matching(pattern: Any) -> str:
    """pandera looks from the beginning of the text on, a contract at the whole of it."""
    text = getattr(pattern, "pattern", pattern)
    if text.endswith("$") and not text.endswith("\\$") and "|" not in text:
        return text.removeprefix("^")[:-1]
    return f"(?:{text}){ANY}"


_TAKEN: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "greater_than_or_equal_to": lambda g: [("min", g["min_value"])],
    "less_than_or_equal_to": lambda g: [("max", g["max_value"])],
    "greater_than": lambda g: [("above", g["min_value"])],
    "less_than": lambda g: [("below", g["max_value"])],
    "in_range": _range,
    "isin": lambda g: [("allowed", list(g["allowed_values"]))],
    "equal_to": lambda g: [("allowed", [g["value"]])],
    "notin": lambda g: [("not", list(g["forbidden_values"]))],
    "not_equal_to": lambda g: [("not", [g["value"]])],
    "str_matches": lambda g: [("pattern", _matching(g["pattern"]))],
    "str_contains": lambda g: [("pattern", f"{ANY}(?:{getattr(g['pattern'], 'pattern', g['pattern'])}){ANY}")],
    "str_startswith": lambda g: [("pattern", re.escape(g["string"]) + ANY)],
    "str_endswith": lambda g: [("pattern", ANY + re.escape(g["string"]))],
    "str_length": _lengths,
}
"""pandera's own checks -> settings of a column with their values."""


def _plain(value: Any) -> Any:
    """NumPy's and pandas' scalars as JSON has them; moments as ISO text."""
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [_plain(item) for item in value]
    scalar: Any = value
    value = scalar.item() if hasattr(scalar, "item") else scalar
    return value.isoformat() if hasattr(value, "isoformat") else value


def _differs(found: Any, nothing: Any) -> bool:
    return bool(found) if nothing in (None, False, []) else found != nothing


def _type_of(dtype: Any) -> str | None:
    """Arrow's name of it, by way of an empty column of that type; None where it has none."""
    if dtype is None:
        return None
    import pyarrow as pa

    try:
        found: Any = _empty(dtype)
    except (TypeError, ValueError, NotImplementedError, pa.ArrowException):
        return None
    found = found.value_type if pa.types.is_dictionary(found) else found
    found = pa.string() if pa.types.is_large_string(found) or pa.types.is_string_view(found) else found
    name = type_name(found)
    return name if is_type(name) and name != "null" else None


def _empty(dtype: Any) -> Any:
    import pyarrow as pa

    if type(dtype).__module__.endswith("polars_engine"):
        import polars as pl

        return pl.Series([], dtype=dtype.type).to_arrow().type
    if str(dtype) in ("str", "string", "date"):
        return pa.date32() if str(dtype) == "date" else pa.string()
    import pandas as pd

    return pa.Array.from_pandas(pd.Series([], dtype=str(dtype))).type
