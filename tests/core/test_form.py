"""Which annotations name a form, however the name was imported; and what such a function's result depends on."""

from pathlib import Path

import pytest

from raypipe.code.called import libraries
from raypipe.code.shape import shape
from raypipe.core.form import Form, form_of

MINE = """\
from __future__ import annotations
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Dict
import functools
import numpy as np
import numpy.typing as npt
import pyarrow
from pyarrow import Table
from ray.data import Dataset
if TYPE_CHECKING:
    import pandas as pd
    import polars

def table(rows: Table, by: int = 2) -> pyarrow.Table: ...
def arrays(rows: dict[str, np.ndarray]) -> Dict[str, npt.NDArray[np.float32]]: ...
def arrays2(rows: Mapping[str, "np.ndarray"]): ...
def frame(rows: pd.DataFrame) -> "pd.DataFrame": ...
def quick(rows: "polars.DataFrame") -> polars.LazyFrame: ...
def stream(rows: Iterator[Table]) -> Iterator[Table]: ...
def data(rows: Dataset) -> Dataset: ...
def other(rows: list[int]) -> int: ...
def none(rows): ...

class Model:
    def __init__(self, path: str): ...
    def __call__(self, rows: dict[str, np.ndarray]) -> pd.DataFrame: ...

class Child(Model):
    pass

def wrap(f):
    return functools.wraps(f)(lambda rows: f(rows))

@wrap
def wrapped(rows: Table) -> Table: ...
"""
FORMS = [
    ("table", Form("arrow"), Form("arrow")),
    ("arrays", Form("numpy"), Form("numpy")),
    ("arrays2", Form("numpy"), None),
    ("frame", Form("pandas"), Form("pandas")),
    ("quick", Form("polars"), Form("lazy")),
    ("stream", Form("arrow", streamed=True), Form("arrow", streamed=True)),
    ("data", Form("dataset"), Form("dataset")),
    ("other", None, None),
    ("none", None, None),
    ("Model", Form("numpy"), Form("pandas")),
    ("Child", Form("numpy"), Form("pandas")),
]


@pytest.mark.parametrize(("name", "takes", "gives"), FORMS)
def test_the_form_by_annotation(name: str, takes: Form | None, gives: Form | None, tmp_path: Path):
    (tmp_path / "mine.py").write_text(MINE)
    found = shape(f"mine.{name}", (tmp_path,))
    assert (form_of(found.takes), form_of(found.gives)) == (takes, gives)


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [
        ("pyarrow.lib.Table", "arrow"),
        ("pandas.core.frame.DataFrame", "pandas"),
        ("polars.dataframe.frame.DataFrame", "polars"),
        ("polars.lazyframe.frame.LazyFrame", "lazy"),
        ("ray.data.dataset.Dataset", "dataset"),
        ("dict[str, numpy.ndarray]", "numpy"),
    ],
)
def test_names_that_an_imported_object_gives(annotation: str, kind: str):
    assert form_of(annotation) == Form(kind)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "annotation", ["", "int", "dict[str, int]", "list[pyarrow.Table]", "collections.abc.Iterator[ray.data.Dataset]", "]"]
)
def test_what_names_none(annotation: str):
    assert form_of(annotation) is None


def test_the_libraries_that_the_result_depends_on(tmp_path: Path):
    (tmp_path / "mine.py").write_text(MINE)
    assert libraries(shape("mine.Model", (tmp_path,))) == ["numpy", "pandas", "pyarrow"]
    assert libraries(shape("mine.quick", (tmp_path,))) == ["polars", "pyarrow"]
    assert libraries(shape("mine.none", (tmp_path,))) == []
