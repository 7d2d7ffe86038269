"""Annotations: whether a JSON value fits, and what is said where it does not."""

import pytest

from raypipe.code.annotation import components, element, misfit

FITS = [
    (3, "int"),
    (3, "float"),
    (None, "int | None"),
    (None, "typing.Optional[int]"),
    ("x", "typing.Union[int, str]"),
    ("f1", "float | typing.Literal['f1']"),
    ([1, 2], "list[int]"),
    ([1, "a"], "tuple[int, str]"),
    ([1, 2, 3], "tuple[int, ...]"),
    ({"a": {"min": 1}}, "dict[str, dict[str, float]]"),
    (["a"], "collections.abc.Sequence[str]"),
    ("split", "raypipe.core.step.Ref[raypipe.core.artifact.Table]"),
    ({"_target_": "x"}, "raypipe.data.contract.contract.Contract | None"),
    (object, "somebody.Thing"),
    (3, "typing.Any"),
    (3, ""),
]
MISFITS = [
    ("3", "int", "a whole number"),
    (True, "int", "a whole number"),
    (1.0, "int | None", "a whole number or null"),
    ("f2", "float | typing.Literal['f1', 'f3']", "a number or one of 'f1', 'f3'"),
    (1, "bool", "true or false"),
    ("a", "list[str]", "a list of text"),
    ([1], "list[str]", "a list of text"),
    ([1], "tuple[int, str]", "a list of a whole number"),
    ([], "dict[str, float]", "a mapping of names to a number"),
    (3, "raypipe.core.step.Ref[raypipe.core.artifact.Table]", "the name of a step"),
    ("x", "raypipe.data.contract.contract.Contract | None", "a mapping (settings of Contract) or null"),
]


@pytest.mark.parametrize(("value", "annotation"), FITS)
def test_what_fits(value, annotation: str):
    assert misfit(value, annotation) == ""


@pytest.mark.parametrize(("value", "annotation", "expected"), MISFITS)
def test_what_does_not(value, annotation: str, expected: str):
    assert misfit(value, annotation) == expected


def test_the_class_a_mapping_stands_for_and_the_annotation_of_elements():
    assert components("raypipe.data.contract.contract.Contract | None") == ["raypipe.data.contract.contract.Contract"]
    assert components("dict[str, raypipe.data.contract.contract.Column]") == []
    assert element("dict[str, raypipe.data.contract.contract.Column] | None") == "raypipe.data.contract.contract.Column"
    assert (element("list[str]"), element("int")) == ("str", "")
