"""What a function of the user's is given by name: settings of the config, whole tables, and the values of an item."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from raypipe.code.annotation import misfit
from raypipe.code.recorded import UserCode
from raypipe.code.shape import Parameter
from raypipe.core.errors import Problem, nearest
from raypipe.core.form import ARROW, ROW_FORMS, Form, expected, form_of


@dataclass(frozen=True)
class Given:
    """The function and its arguments; its settings are its own."""

    code: UserCode
    tables: Mapping[str, str]
    """Argument -> the step whose table it is."""

    @property
    def first(self) -> str:
        """The argument that an item is which is a single value: the first that nothing else sets."""
        names, taken = self._names, {*self.code.settings, *self.tables}
        return next((name for name in names if name not in taken), names[0] if names else "item")

    @property
    def forms(self) -> dict[str, Form]:
        """What each table comes as: as its annotation says, and Arrow's where nothing is annotated."""
        return {name: self._form(name) or ARROW for name in self.tables}

    @property
    def gives(self) -> Form | None:
        """The kind of table that the return annotation names; None where what is returned says it."""
        form = form_of(self.code.annotations[1]) if self.code.annotations[1] else None
        return form if form and _is_of_rows(form) else None

    def problems(self, where: str, of_items: Sequence[str] | None, items_at: str, advice: str) -> Iterator[Problem]:
        """`of_items`: the arguments that an item sets, where they are known; they are written at `items_at`, where `advice` is of use."""
        shape = self.code.shape
        if shape is None:
            return
        if shape.kind != "function":
            yield Problem(f"{where}.function", f"{self.code.target} is a class; here it is a function, called for each item.")
            return
        found = [
            *self._unknown(f"{where}.function", self.code.settings),
            *self._unknown(f"{where}.inputs", self.tables),
            *self._unknown(items_at, of_items or (), advice),
            *self._twice(where, of_items or ()),
        ]
        yield from found or (self._missing(where, of_items) if of_items is not None else ())
        yield from self._misfits(where)

    @property
    def _names(self) -> list[str]:
        return [p.name for p in self.code.shape.parameters] if self.code.shape else []

    def _parameter(self, name: str) -> Parameter | None:
        return self.code.shape.parameter(name) if self.code.shape else None

    def _form(self, name: str) -> Form | None:
        parameter = self._parameter(name)
        annotation = _annotation(parameter) if parameter else ""
        return form_of(annotation) if annotation else ARROW

    def _unknown(self, where: str, given: Iterable[str], advice: str = "") -> Iterator[Problem]:
        for name in given:
            if name not in self._names and self.code.shape and not self.code.shape.accepts_any:
                yield Problem(where, f"{self.code.target} takes no '{name}'.{nearest(name, self._names)}{advice}")

    def _twice(self, where: str, of_items: Sequence[str]) -> Iterator[Problem]:
        places = [*self.code.settings, *self.tables, *of_items]
        for name in dict.fromkeys(name for name in places if places.count(name) > 1):
            yield Problem(where, f"'{name}' is given twice: as a setting, an item's value or an input.")

    def _missing(self, where: str, of_items: Sequence[str]) -> Iterator[Problem]:
        given = {*self.code.settings, *self.tables, *of_items}
        for parameter in self.code.shape.parameters if self.code.shape else ():
            if not parameter.required or parameter.name in given:
                continue
            hint = "is neither among the items' values nor among the function's settings."
            if form_of(_annotation(parameter)):
                hint = f"is a table: name its step under `inputs`, as in inputs: {{{parameter.name}: STEP}}."
            yield Problem(where, f"{self.code.target} needs '{parameter.name}', which {hint}")

    def _misfits(self, where: str) -> Iterator[Problem]:
        for name, value in self.code.settings.items():
            parameter = self._parameter(name)
            wanted = misfit(value, parameter.resolved) if parameter and not isinstance(value, UserCode) else ""
            if wanted:
                yield Problem(f"{where}.function.{name}", f"found {value!r}, expected {wanted}.")
        for name in self.tables:
            parameter, form = self._parameter(name), self._form(name)
            if parameter and (form is None or not _is_of_rows(form)):
                what = f"{self.code.target} takes it as {_annotation(parameter)}; with an item it gets one of: {expected(ROW_FORMS)}."
                yield Problem(f"{where}.inputs.{name}", what)


def _annotation(parameter: Parameter) -> str:
    return parameter.resolved or parameter.annotation


def _is_of_rows(form: Form) -> bool:
    """Rows in memory, all of them."""
    return not form.streamed and form.kind in ROW_FORMS
