"""The same figures for each value of some columns: a model that is good on the whole may be bad for one carrier."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, nearest
from raypipe.evaluate.metrics import Scores

MISSING = "(missing)"
"""The slice of the rows whose value is null."""

MAX_VALUES = 1_000
"""A column with more distinct values is refused: its slices would be rows, not groups."""


@dataclass(frozen=True)
class Sliced:
    """The scores of all rows, and of those with each value of each column."""

    whole: Scores
    by: Mapping[str, Mapping[str, Scores]] = field(default_factory=dict)
    """Column, then value as text, then the scores of the rows that have it."""

    @classmethod
    def partial(cls, table: pa.Table, label: np.ndarray, probability: np.ndarray, columns: Sequence[str] = ()) -> Sliced:
        """The state of one fragment, whose rows are those of `label` and `probability`; `table` has at least `columns`."""
        label, probability = np.asarray(label), np.asarray(probability)
        by = {name: _by_value(name, _column(table, name), label, probability) for name in columns}
        return cls(Scores.partial(label, probability), by)

    @classmethod
    def merge(cls, states: Iterable[Sliced]) -> Sliced:
        """The state of all rows of fragments that were sliced by the same columns."""
        states = list(states)
        columns = list(dict.fromkeys(name for state in states for name in state.by))
        by = {name: _merge_column(name, [state.by.get(name, {}) for state in states]) for name in columns}
        return cls(Scores.merge(state.whole for state in states), by)

    def figures(self, threshold: float = 0.5, *, min_rows: int = 30) -> dict[str, Json]:
        """Those of `Scores.figures` for all rows, and in `slices` the same less `calibration` by column and value.

        A slice of fewer than `min_rows` rows has `rows` and nothing else: its figures would be noise.
        """
        figures = self.whole.figures(threshold)
        figures["slices"] = {column: _slices(values, threshold, min_rows) for column, values in self.by.items()}
        return figures


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    if name not in table.column_names:
        raise DataError(f"evaluate.slices: the test table has no column '{name}'.{nearest(name, table.column_names)}")
    return table[name]


def _by_value(name: str, column: pa.ChunkedArray, label: np.ndarray, probability: np.ndarray) -> dict[str, Scores]:
    text = pc.fill_null(pc.cast(column, pa.string()), MISSING).combine_chunks().dictionary_encode()
    values = text.dictionary.to_pylist()
    _bound(name, len(values))
    codes = text.indices.to_numpy()
    order = np.argsort(codes, kind="stable")
    ends = np.cumsum(np.bincount(codes, minlength=len(values)))
    places = np.split(order, ends[:-1]) if values else []
    return {value: Scores.partial(label[at], probability[at]) for value, at in zip(values, places, strict=True)}


def _merge_column(name: str, states: Sequence[Mapping[str, Scores]]) -> dict[str, Scores]:
    values = sorted({value for state in states for value in state})
    _bound(name, len(values))
    return {value: Scores.merge(state[value] for state in states if value in state) for value in values}


def _bound(name: str, num_values: int) -> None:
    if num_values > MAX_VALUES:
        raise DataError(f"evaluate.slices: column '{name}' has more than {MAX_VALUES} distinct values; slice by a column of few values")


def _slices(values: Mapping[str, Scores], threshold: float, min_rows: int) -> dict[str, Json]:
    return {value: _slice(scores, threshold, min_rows) for value, scores in values.items()}


def _slice(scores: Scores, threshold: float, min_rows: int) -> dict[str, Json]:
    num_rows = int(scores.rows.sum())
    if num_rows < min_rows:
        return {"rows": num_rows}
    return {name: value for name, value in scores.figures(threshold).items() if name != "calibration"}
