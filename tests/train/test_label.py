"""Which of two values is positive, and what the classes are called."""

from typing import Any

import pyarrow as pa
import pytest

from raypipe.train.label import Label, two_classes
from raypipe.train.rows import Survey


def named(type_: pa.DataType, low: Any, high: Any, classes: tuple[str, str] | None = None) -> Label:
    values = {"train": [high, low], "validation": [low, high]}
    return two_classes(pa.field("late", type_), Survey({}, values, {"train": 0, "validation": 0}, {}), classes)


@pytest.mark.parametrize(
    ("type_", "values", "classes"),
    [
        (pa.bool_(), (False, True), ("false", "true")),
        (pa.int8(), (9, 10), ("9", "10")),
        (pa.string(), ("no", "yes"), ("no", "yes")),
        (pa.dictionary(pa.int32(), pa.string()), ("no", "yes"), ("no", "yes")),
        (pa.float32(), (0.10000000149011612, 0.5), ("0.1", "0.5")),
    ],
)
def test_the_larger_value_is_positive(type_: pa.DataType, values: tuple, classes: tuple):
    assert named(type_, *values) == Label("late", classes, classes[1])


def test_names_that_are_the_values_may_turn_them_round():
    assert named(pa.string(), "late", "on time", ("on time", "late")) == Label("late", ("on time", "late"), "late")


def test_a_bool_or_a_number_takes_any_names():
    assert named(pa.bool_(), False, True, ("on time", "late")) == Label("late", ("on time", "late"), "true")
    assert named(pa.int8(), 0, 1, ("on time", "late")) == Label("late", ("on time", "late"), "1")
