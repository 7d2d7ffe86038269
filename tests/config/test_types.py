import pytest

from raypipe.config.types import mismatch


@pytest.mark.parametrize(
    ("value", "annotation"),
    [
        (3, "int"),
        (3, "float"),
        (None, "int | None"),
        (["a"], "list[str]"),
        ({"auc": {"min": 0.5}}, "dict[str, dict[str, float]]"),
        ("f1", "float | typing.Literal['f1']"),
        ("split", "raypipe.core.step.Ref[raypipe.core.artifact.Table]"),
        (object, "somebody.Elses"),
        (1, ""),
    ],
)
def test_fits(value, annotation):
    assert mismatch(value, annotation) == ""


@pytest.mark.parametrize(
    ("value", "annotation"),
    [(True, "int"), ("3", "int"), (1.5, "int"), ("a", "list[str]"), (["a", 1], "list[str]"), ("x", "typing.Literal['f1']"), (None, "str")],
)
def test_does_not_fit(value, annotation):
    assert mismatch(value, annotation).startswith(f"found {value!r}, expected")
