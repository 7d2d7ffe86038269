"""A function or class of the user's as it is called with rows: in the form that it takes, and what goes wrong told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Protocol

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, RaypipeError
from raypipe.core.form import ARROW, Form
from raypipe.core.frame import is_end
from raypipe.data.function.fault import FunctionError, Rows, narrowed, raised
from raypipe.data.function.numpy_ import from_numpy, to_numpy
from raypipe.data.function.pandas_ import from_pandas, to_pandas
from raypipe.data.function.polars_ import collected, from_polars, to_lazy, to_polars


def to_form(form: Form, table: pa.Table) -> Any:
    """The table as the function takes it. DataError naming a column that the library cannot hold."""
    return _TO[form.kind](table)


Origins = Sequence[tuple[Form, Any, pa.Table]]
"""What a function was given: form, value, and the table that it came from."""


def from_form(form: Form, made: Any, origins: Origins) -> pa.Table:
    """What a function returned, as a table; columns that are `origins`' own keep their types. DataError where it is no such thing."""
    if form.kind == "arrow":
        return _from_arrow(made)
    if form.kind == "pandas":
        return from_pandas(made)
    kinds = ("numpy",) if form.kind == "numpy" else ("polars", "lazy")
    own = [(given, table) for taken, given, table in origins if taken.kind in kinds]
    return from_numpy(made, own) if form.kind == "numpy" else from_polars(made, own)


class Source(Protocol):
    """Code of the user's as a run recorded it (`code.recorded.UserCode`)."""

    @property
    def target(self) -> str: ...

    @property
    def settings(self) -> Mapping[str, Json]: ...

    def load(self) -> Any:
        """The function or class; the settings are its caller's to bind."""
        ...

    def load_apart(self) -> Any:
        """The same in modules that nobody finds by their names, so that Ray sends what they define."""
        ...


@dataclass(frozen=True)
class Code:
    """The function or class as it travels to a task: its recorded source, and how it is called."""

    source: Source
    takes: Form = ARROW
    gives: Form = ARROW

    @property
    def target(self) -> str:
        return self.source.target

    def load(self, apart: bool = False) -> Callee:
        """FunctionError where its module raises."""
        callee = Callee(self.target, _not_loaded, self.source.settings, self.takes, self.gives)
        return replace(callee, function=callee.tell(self.source.load_apart if apart else self.source.load))


def _not_loaded(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("the code is loaded first")


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
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            rows, cause = narrowed(self._called, table, error)
            raise FunctionError(raised(self.title, cause), rows) from cause
        return self._taken(made, table)

    def tell(self, run: Callable[[], Any]) -> Any:
        """What `run`, code of the user's, returns; FunctionError with its line where it raises."""
        try:
            return run()
        except RaypipeError:
            raise
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            raise FunctionError(raised(self.title, error)) from error

    @cached_property
    def _ready(self) -> Callable[[Any], Any]:
        if not isinstance(self.function, type):
            return lambda rows: self.function(rows, **self.settings)
        try:
            return self.function(**self.settings)
        except RaypipeError:
            raise
        except (Exception, SystemExit) as error:
            if is_end(error):
                raise
            shown = ", ".join(f"{name}={value!r}" for name, value in self.settings.items())
            raise FunctionError(raised(f"the constructor of class {self.target} ({shown})", error)) from error

    def _called(self, table: pa.Table) -> tuple[Any, Any]:
        ready = self._ready
        given = self._given(self.takes, table)
        made = ready(given)
        return given, (self.collected(made) if self.gives.kind == "lazy" else made)

    def collected(self, made: Any) -> Any:
        try:
            return collected(made)
        except DataError as error:
            raise FunctionError(f"{self.title} {error}") from error

    def _given(self, form: Form, table: pa.Table) -> Any:
        try:
            return to_form(form, table)
        except DataError as error:
            raise FunctionError(f"{self.title} takes {form}: {error}", Rows.all_of(table)) from error

    def _taken(self, made: tuple[Any, Any], table: pa.Table) -> pa.Table:
        try:
            return from_form(self.gives, made[1], [(self.takes, made[0], table)])
        except DataError as error:
            raise FunctionError(f"{self.title} {error}", Rows.all_of(table)) from error


def _from_arrow(made: Any) -> pa.Table:
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
