"""A function or class of the user's as it is called with rows: in the form that it takes, and what goes wrong told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import pyarrow as pa

from raypipe.code.form import ARROW, Form
from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, RaypipeError
from raypipe.data.function.fault import FunctionError, Rows, narrowed, raised
from raypipe.data.function.numpy_ import from_numpy, to_numpy
from raypipe.data.function.pandas_ import from_pandas, to_pandas
from raypipe.data.function.polars_ import collected, from_polars, to_lazy, to_polars


def to_form(form: Form, table: pa.Table) -> Any:
    """The table as the function takes it. DataError naming a column that the library cannot hold."""
    return _TO[form.kind](table)


def from_form(form: Form, made: Any, given: Any, table: pa.Table) -> pa.Table:
    """What a function returned, as a table; `given` is what it got of that library, from `table`. DataError where it is none."""
    return _FROM[form.kind](made, given, table)


@dataclass(frozen=True)
class Callee:
    """Calls it with a table in its form; a class is built once, at the first call."""

    target: str
    function: Callable[..., Any]
    """The function, or the class."""
    settings: Mapping[str, Json] = field(default_factory=dict)
    """Arguments beside the rows; a class's are its constructor's."""
    takes: Form = ARROW
    gives: Form = ARROW

    @property
    def title(self) -> str:
        return f"{'class' if isinstance(self.function, type) else 'function'} {self.target}"

    def __call__(self, table: pa.Table) -> pa.Table:
        """FunctionError naming the function, its line and the row, where that can be found."""
        try:
            made = self._called(table)
        except RaypipeError:
            raise
        except Exception as error:
            rows, cause = narrowed(self._called, table, error)
            raise FunctionError(raised(self.title, cause), rows) from cause
        return self._taken(made, table)

    def whole(self, tables: Mapping[str, pa.Table], forms: Mapping[str, Form]) -> Any:
        """Calls a function with several tables, each in its form, by name. What it raises is told without rows."""
        given = {name: self._given(forms[name], table) for name, table in tables.items()}
        return self.tell(lambda: self.function(**given, **self.settings))

    def tell(self, run: Callable[[], Any]) -> Any:
        """What `run`, code of the user's, returns; FunctionError with its line where it raises."""
        try:
            return run()
        except RaypipeError:
            raise
        except Exception as error:
            raise FunctionError(raised(self.title, error)) from error

    @cached_property
    def _ready(self) -> Callable[[Any], Any]:
        if not isinstance(self.function, type):
            return lambda rows: self.function(rows, **self.settings)
        try:
            return self.function(**self.settings)
        except RaypipeError:
            raise
        except Exception as error:
            shown = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
            raise FunctionError(raised(f"the constructor of class {self.target} ({shown})", error)) from error

    @property
    def _is_one_library(self) -> bool:
        return self.takes.kind == self.gives.kind or {self.takes.kind, self.gives.kind} == {"polars", "lazy"}

    def _called(self, table: pa.Table) -> tuple[Any, Any]:
        ready = self._ready
        given = self._given(self.takes, table)
        made = ready(given)
        return given, (self._collected(made) if self.gives.kind == "lazy" else made)

    def _collected(self, made: Any) -> Any:
        try:
            return collected(made)
        except DataError as error:
            raise FunctionError(f"{self.title} {error}") from error

    def _given(self, form: Form, table: pa.Table) -> Any:
        try:
            return to_form(form, table)
        except DataError as error:
            raise FunctionError(f"{self.title} takes {form}: {error}", Rows(0, table.num_rows)) from error

    def _taken(self, made: tuple[Any, Any], table: pa.Table) -> pa.Table:
        try:
            return from_form(self.gives, made[1], made[0] if self._is_one_library else None, table)
        except DataError as error:
            raise FunctionError(f"{self.title} {error}", Rows(0, table.num_rows)) from error


def _from_arrow(made: Any, given: Any, table: pa.Table) -> pa.Table:
    if not isinstance(made, pa.Table):
        raise DataError(f"returned {type(made).__name__}, expected a pyarrow.Table")
    names = made.column_names
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"returned column '{twice[0]}' twice")
    return made


_TO: Mapping[str, Callable[[pa.Table], Any]] = {
    "arrow": lambda table: table,
    "numpy": to_numpy,
    "pandas": to_pandas,
    "polars": to_polars,
    "lazy": to_lazy,
}
_FROM: Mapping[str, Callable[[Any, Any, pa.Table], pa.Table]] = {
    "arrow": _from_arrow,
    "numpy": from_numpy,
    "pandas": from_pandas,
    "polars": from_polars,
    "lazy": from_polars,
}
