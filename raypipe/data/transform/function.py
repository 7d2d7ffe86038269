"""A function of the user's as an entry of a chain: row-wise, in the form that its annotation names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Protocol, cast

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.form import ROW_FORMS, Form, Kind, expected, form_of
from raypipe.data.function.callee import Callee
from raypipe.data.function.fault import FunctionError, Rows
from raypipe.data.function.probe import unchanged
from raypipe.data.names import column_problems
from raypipe.data.transform.entry import Frame, require, to_frame, to_table
from raypipe.data.types import fields_from_json, fields_to_json, type_name


class Annotated(Protocol):
    """Code of the user's, with the annotations of what it takes and gives back."""

    @property
    def target(self) -> str: ...

    @property
    def settings(self) -> dict[str, Any]: ...

    @property
    def annotations(self) -> tuple[str, str]: ...


@dataclass(frozen=True)
class Function:
    """Row-wise code of the user's, a function or a class that is built once: as many rows out as in, each from its own row alone.

    Without `takes` it gets every column that reaches it and what it returns is all that goes on; with `takes` it gets those, and what
    it returns is put over or after the others.
    """

    revision: ClassVar[int] = 1

    target: str
    """Its import path: the name under which its recorded code is found."""
    settings: dict[str, Json] = field(default_factory=dict)
    """Arguments beside the rows."""
    takes: list[str] | None = None
    """The columns it reads, where it says so."""
    gives: list[str] | None = None
    """The columns it returns, where it says so."""
    function: Callable[..., Any] | None = field(default=None, compare=False)
    """The function, or a class whose instances are called with the table; loaded by `target`."""
    form: str = "arrow"
    """What the rows are for it: `arrow`, `numpy`, `pandas`, `polars` or `lazy`; any other annotation as it is, to be refused by name."""
    returns: str = "arrow"
    """What it returns them as."""

    @classmethod
    def of(cls, code: Annotated) -> Function:
        """As its annotations say; without any it is of Arrow tables."""
        takes, gives = code.annotations
        form = _kind(takes) if takes else "arrow"
        return cls(code.target, code.settings, form=form, returns=_kind(gives) if gives else form)

    def problems(self) -> list[str]:
        wrong = [(word, form) for word, form in (("takes", self.form), ("returns", self.returns)) if form not in ROW_FORMS]
        found = [f"function {self.target} {word} {form}; in a transform it is one of: {expected(ROW_FORMS)}" for word, form in wrong]
        return found + ([] if self.takes is None else column_problems(self.takes, "takes"))

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str] | None:
        return self.takes

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        made = fields_from_json(fitted)
        if self.takes is None:
            return made
        require(schema, self.takes)
        replaced = [made.field(f.name) if f.name in made.names else f for f in schema]
        return pa.schema([*replaced, *(f for f in made if f.name not in schema.names)])

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        """Columns as when it was fitted; DataError naming the function where they differ."""
        made = self.call(frame)
        expected = fields_from_json(fitted)
        rows = Rows(1, _num_rows(frame))
        _same_names(self.target, made, expected, rows)
        typed = {f.name: _typed(self.target, f, made[f.name], rows) for f in expected}
        return typed if self.takes is None else frame | typed

    def call(self, frame: Frame) -> Frame:
        """What the function makes of a frame, types as they come."""
        table = self._table(frame)
        made = self._callee(table)
        if made.num_rows != table.num_rows:
            raise FunctionError(
                f"function {self.target} returned {made.num_rows:,} rows for {table.num_rows:,}: in a transform it must be row-wise. "
                "Filter rows by the step's `where`, or in a step of their own (raypipe.MapBatches with rows: any)",
                Rows.all_of(table),
            )
        self._refuse_other_names(made.column_names)
        return to_frame(made)

    @cached_property
    def _callee(self) -> Callee:
        if self.function is None:
            raise DataError(f"function {self.target}: its code is not loaded")
        return Callee(self.target, self.function, self.settings, Form(cast(Kind, self.form)), Form(cast(Kind, self.returns)))

    def _table(self, frame: Frame) -> pa.Table:
        return to_table(frame if self.takes is None else {name: frame[name] for name in self.takes})

    def _refuse_other_names(self, names: list[str]) -> None:
        if self.gives is not None and set(names) != set(self.gives):
            raise DataError(f"function {self.target} returned columns {names}; it says that it gives {list(self.gives)}")

    def partial(self, frame: Frame) -> Json:
        """The columns it returns. Its first and last row are computed alone too: FunctionError where that gives something else, where it
        gives something else when called again, or where it changes what it was given."""
        with unchanged(f"function {self.target}", self._table(frame)):
            made = self.call(frame)
        for row in {0, _num_rows(frame) - 1}:
            self._refuse_unless_row_wise(frame, made, row)
        return fields_to_json(pa.schema([pa.field(name, array.type) for name, array in made.items()]))

    def merge(self, states: Sequence[Json]) -> Json:
        """One type a column: a fragment of nothing but nulls yields to the others."""
        merged = states[0]
        for state in states[1:]:
            merged = [_one_type(self.target, a, b) for a, b in zip(merged, _in_order(self.target, merged, state), strict=True)]
        return merged

    def fit(self, state: Json) -> Json:
        return state

    def notes(self, fitted: Json) -> list[str]:
        empty = [f["name"] for f in fitted if f["type"] == "null"]
        return [f"function {self.target} returned nothing but nulls in column '{name}'" for name in empty]

    def _refuse_unless_row_wise(self, frame: Frame, made: Frame, row: int) -> None:
        alone = self.call({name: array.slice(row, 1) for name, array in frame.items()})
        if (name := _differing(made, alone, row, 0)) is None:
            return
        found, batch = _shown(alone, name, 0), _shown(made, name, row)
        again = self.call(frame)
        if _differing(made, again, row, row) is not None:
            raise FunctionError(
                f"function {self.target} is not deterministic: column '{name}' of the same row was {batch} at the first call and "
                f"{_shown(again, name, row)} at the next. What a cache keeps and an endpoint answers rests on equal answers: seed it from "
                "the row, or draw where the model is trained",
                Rows(row + 1, row + 1),
            )
        raise FunctionError(
            f"function {self.target} is not row-wise: column '{name}' of a row alone is {found}, of the same row in a batch {batch}. "
            "What is learnt from many rows belongs in a fitted transform",
            Rows(row + 1, row + 1),
        )


def _kind(annotation: str) -> str:
    form = form_of(annotation)
    return form.kind if form and not form.streamed else annotation


def _num_rows(frame: Frame) -> int:
    return len(next(iter(frame.values()))) if frame else 0


def _differing(made: Frame, other: Frame, row: int, other_row: int) -> str | None:
    """The first column in which one row is not the same bits in both."""
    # repr: NaN equals itself, and a float's repr is exact.
    return next((name for name in made if _shown(made, name, row) != _shown(other, name, other_row)), None)


def _shown(frame: Frame, name: str, row: int) -> str:
    return repr(frame[name].slice(row, 1).to_pylist()) if name in frame else "no such column"


def _same_names(target: str, made: Frame, expected: pa.Schema, rows: Rows) -> None:
    missing = [name for name in expected.names if name not in made]
    extra = [name for name in made if name not in expected.names]
    if missing or extra:
        found = "; ".join([*(f"'{n}' is missing" for n in missing), *(f"'{n}' is new" for n in extra)])
        raise FunctionError(f"function {target} returned other columns than when the transform was fitted: {found}", rows)


def _typed(target: str, expected: pa.Field, array: pa.Array, rows: Rows) -> pa.Array:
    if array.type == expected.type:
        return array
    if pa.types.is_null(array.type):
        return array.cast(expected.type)
    raise FunctionError(
        f"function {target} returned column '{expected.name}' as {type_name(array.type)}; when the transform was fitted "
        f"it was {type_name(expected.type)}",
        rows,
    )


def _in_order(target: str, first: Json, other: Json) -> list[Json]:
    by_name = {f["name"]: f for f in other}
    if set(by_name) != {f["name"] for f in first}:
        raise DataError(f"function {target} returned other columns for one fragment than for another: {list(by_name)}")
    return [by_name[f["name"]] for f in first]


def _one_type(target: str, a: Json, b: Json) -> Json:
    if a["type"] == b["type"] or b["type"] == "null":
        return a
    if a["type"] == "null":
        return b
    raise DataError(f"function {target} returned column '{a['name']}' as {a['type']} for one fragment and as {b['type']} for another")
