"""The label of a two-class model: which of its two values is positive, and what the classes are called."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.types import is_text, value_type
from raypipe.train.rows import MANY_VALUES, PARTS, Survey


@dataclass(frozen=True)
class Label:
    """A label with two values."""

    name: str
    classes: tuple[str, str]
    """Names of the negative and the positive class."""
    positive: str
    """The positive value, as Arrow casts it to a string."""


def two_classes(column: pa.Field, survey: Survey, classes: tuple[str, str] | None = None) -> Label:
    """The smaller value is negative (false, 0, 'no'), unless `classes` names the values in another order.

    `classes` of a text label must be its values; those of a bool or a number name the smaller and the larger one.
    Raises DataError for nulls, one class, or more than two.
    """
    name, type_ = column.name, value_type(column.type)
    for part in PARTS:
        if survey.null_labels[part]:
            raise DataError(f"label '{name}' is null in {survey.null_labels[part]:,} rows of the {part} part: drop them before the split.")
    values: list[Any] = sorted(set(survey.values["train"]) | set(survey.values["validation"]))
    if len(values) != 2:
        raise DataError(f"label '{name}' has {_number(values)} ({_some(values)}): a model of this version has two. {_ADVICE}")
    for part in PARTS:
        if len(survey.values[part]) != 2:
            only = survey.values[part]
            raise DataError(
                f"label '{name}' has 1 class in the {part} part ({_some(only)}), where both are needed: move the split's bounds."
            )
    texts: list[str] = pa.array(values, type_).cast(pa.string()).to_pylist()
    return _named(name, texts, is_text(type_), classes)


_ADVICE = "Make a column of two values of it, or choose another label."


def _named(name: str, texts: list[str], is_text: bool, classes: Sequence[str] | None) -> Label:
    if classes is None:
        return Label(name, (texts[0], texts[1]), texts[1])
    negative, positive = classes
    if set(classes) == set(texts):
        return Label(name, (negative, positive), positive)
    if is_text:
        raise DataError(
            f"label '{name}' has the classes {texts[0]!r} and {texts[1]!r}, but the settings name {negative!r} and {positive!r}."
        )
    return Label(name, (negative, positive), texts[1])


def _number(values: Sequence[Any]) -> str:
    if len(values) > MANY_VALUES:
        return f"more than {MANY_VALUES:,} classes"
    return "1 class" if len(values) == 1 else f"{len(values):,} classes"


def _some(values: Sequence[Any]) -> str:
    return ", ".join(repr(v) for v in values[:5]) + (", ..." if len(values) > 5 else "")
