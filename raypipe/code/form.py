"""The form in which a function of the user's takes rows and gives them back, as its annotations say it."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal

from raypipe.code.module import dotted

if TYPE_CHECKING:
    from raypipe.code.shape import Shape

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
_LIBRARIES: dict[Kind, tuple[str, ...]] = {
    "arrow": ("pyarrow",),
    "numpy": ("pyarrow", "numpy"),
    "pandas": ("pyarrow", "pandas", "numpy"),
    "polars": ("pyarrow", "polars"),
    "lazy": ("pyarrow", "polars"),
    "dataset": ("ray", "pyarrow"),
}


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
    name, arguments, _ = _parts(node)
    piece = _kind(arguments[0]) if name in _STREAMS and arguments else None
    return Form(piece, streamed=True) if piece not in (None, "dataset") else None


def expected(kinds: Iterable[Kind] = WRITTEN) -> str:
    """The annotations that will do, for a message."""
    return ", ".join(WRITTEN.get(kind, kind) for kind in kinds)


def libraries(shape: Shape) -> list[str]:
    """Distributions that turn a table into what the function's annotations name, and back."""
    annotations = [shape.takes, shape.gives, *(p.resolved for p in shape.parameters)]
    forms = [form for annotation in annotations if annotation and (form := form_of(annotation))]
    return sorted({name for form in forms for name in _LIBRARIES[form.kind]})


def _kind(node: ast.expr) -> Kind | None:
    chain = dotted(node)
    if chain:
        return _NAMES.get(".".join(chain))
    name, arguments, _ = _parts(node)
    if name in _MAPPINGS and len(arguments) == 2 and ".".join(_parts(arguments[1])[2]) in _ARRAYS:
        return "numpy"
    return None


def _parts(node: ast.expr) -> tuple[str, list[ast.expr], tuple[str, ...]]:
    """`collections.abc.Iterator[X]` as ("Iterator", [X], the whole name)."""
    if isinstance(node, ast.Subscript):
        arguments = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        chain = dotted(node.value) or ("",)
        return chain[-1], list(arguments), chain
    chain = dotted(node) or ("",)
    return chain[-1], [], chain
