"""The form in which a function of the user's takes rows and gives them back, as its annotations say it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Kind = Literal["arrow", "numpy", "pandas", "polars", "lazy", "dataset"]

WRITTEN: dict[Kind, str] = {
    "arrow": "pa.Table",
    "numpy": "dict[str, np.ndarray]",
    "pandas": "pd.DataFrame",
    "polars": "pl.DataFrame",
    "lazy": "pl.LazyFrame",
    "dataset": "ray.data.Dataset",
}
"""How a person writes each."""

_NAMES: dict[str, Kind] = {
    "pyarrow.Table": "arrow",
    "pyarrow.lib.Table": "arrow",
    "pandas.DataFrame": "pandas",
    "pandas.core.frame.DataFrame": "pandas",
    "polars.DataFrame": "polars",
    "polars.dataframe.frame.DataFrame": "polars",
    "polars.LazyFrame": "lazy",
    "polars.lazyframe.frame.LazyFrame": "lazy",
    "ray.data.Dataset": "dataset",
    "ray.data.dataset.Dataset": "dataset",
}
_ARRAYS = {"numpy.ndarray", "numpy.typing.NDArray", "numpy._typing._array_like.NDArray"}
_MAPPINGS = {"dict", "Dict", "Mapping", "MutableMapping"}
_STREAMS = {"Iterator", "Iterable", "Generator"}
LIBRARIES: dict[Kind, tuple[str, ...]] = {
    "arrow": ("pyarrow",),
    "numpy": ("pyarrow", "numpy"),
    "pandas": ("pyarrow", "pandas", "numpy"),
    "polars": ("pyarrow", "polars"),
    "lazy": ("pyarrow", "polars"),
    "dataset": ("ray", "pyarrow"),
}
"""Distributions that turn a table into each, and back."""


@dataclass(frozen=True)
class Form:
    """What rows are for a function: a whole table in a library's type, or (`streamed`) an iterator of such pieces."""

    kind: Kind
    streamed: bool = False

    def __str__(self) -> str:
        return f"Iterator[{WRITTEN[self.kind]}]" if self.streamed else WRITTEN[self.kind]


ARROW = Form("arrow")
ROW_FORMS: tuple[Kind, ...] = ("arrow", "numpy", "pandas", "polars", "lazy")
"""The forms of rows in memory."""


@lru_cache(maxsize=1024)
def form_of(annotation: str) -> Form | None:
    """The form that a resolved annotation names; None where it names none.

    >>> form_of("collections.abc.Iterator[pyarrow.Table]"), form_of("dict[str, numpy.ndarray]"), form_of("int")
    (Form(kind='arrow', streamed=True), Form(kind='numpy', streamed=False), None)
    """
    try:
        node = ast.parse(annotation.strip("\"' "), mode="eval").body
    except SyntaxError:
        return None
    kind = _kind(node)
    if kind is not None:
        return Form(kind)
    path, arguments = _parts(node)
    piece = _kind(arguments[0]) if path.rpartition(".")[2] in _STREAMS and arguments else None
    return Form(piece, streamed=True) if piece not in (None, "dataset") else None


def expected(kinds: Iterable[Kind] = WRITTEN) -> str:
    """The annotations that will do, for a message."""
    return ", ".join(WRITTEN.get(kind, kind) for kind in kinds)


def _kind(node: ast.expr) -> Kind | None:
    if isinstance(node, ast.Name | ast.Attribute):
        return _NAMES.get(ast.unparse(node))
    path, arguments = _parts(node)
    is_mapping = path.rpartition(".")[2] in _MAPPINGS and len(arguments) == 2
    return "numpy" if is_mapping and _parts(arguments[1])[0] in _ARRAYS else None


def _parts(node: ast.expr) -> tuple[str, list[ast.expr]]:
    """`collections.abc.Iterator[X]` as its import path and [X]."""
    if not isinstance(node, ast.Subscript):
        return ast.unparse(node), []
    return ast.unparse(node.value), list(node.slice.elts) if isinstance(node.slice, ast.Tuple) else [node.slice]
