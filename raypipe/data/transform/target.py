"""A fitted transform that puts the mean of the label in the place of a category."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.data.names import column_problems
from raypipe.data.transform import categories, hashes, numbers
from raypipe.data.transform.entry import LABEL, Frame, Row, replace_types, require_type
from raypipe.data.types import is_number, type_name

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TargetEncode:
    """The mean of the label among the training rows of the same category, drawn towards the mean of all, as float32, in place.

    `(sum + smoothing * prior) / (count + smoothing)`, where prior is the mean of the label; a category that was not seen in training,
    and a missing one, are the prior. Rows without a label are left out of the fit.

    A row must not be told its own label. With `key`, rows fall into `folds` by a hash of the key, and a row gets the means of the other
    folds, be it a training row, a row of a test part or a request: there is one rule for all of them, so batch and endpoint agree bit for
    bit, and no training row's own label is in its features. The price is that a request, too, gets means of (folds - 1) / folds of the
    training part, and that the same category has as many values, near each other, as there are folds. The other way, means of all
    rows for requests and of other folds for training rows, would make features of the endpoint differ from those that were learnt
    from. Without `key` a training row's own label has a weight of 1 / (count + smoothing) in its feature, and a note says so.
    """

    revision: ClassVar[int] = 1
    needs_label: ClassVar[bool] = True

    columns: list[str]
    """Columns of strings, integers or bool."""
    key: list[str] | None = None
    """Columns whose values tell rows apart: an id, or a few features together; a request must bring them. Rows that are alike in all of
    them share a fold. Where they are no features, Drop them behind."""
    folds: int = 5
    """With `key`: how many folds."""
    smoothing: float = 20.0
    """As many rows of the prior as are added to each category."""

    def problems(self) -> list[str]:
        found = column_problems(self.columns) + ([] if self.key is None else column_problems(self.key, "key"))
        if isinstance(self.folds, bool) or not isinstance(self.folds, int) or not 2 <= self.folds <= 100:
            found.append(f"folds is {self.folds!r}, expected 2 to 100")
        if isinstance(self.smoothing, bool) or not isinstance(self.smoothing, int | float) or not 0 <= self.smoothing < math.inf:
            found.append(f"smoothing is {self.smoothing!r}, expected a finite number, 0 or more")
        if self.key is not None and not found and set(self.key) <= set(self.columns):
            found.append("key names only columns that are encoded: all rows of a category would share a fold, and get the prior")
        return found

    def learns(self) -> bool:
        return True

    def reads(self) -> Sequence[str]:
        return list(dict.fromkeys([*self.columns, *(self.key or ())]))

    def schema_after(self, schema: pa.Schema, fitted: Json) -> pa.Schema:
        require_type(schema, self.columns, categories.is_category, "string, integer or bool")
        # What is not there is told by `check`, which may know a part of the columns only.
        keys = [name for name in self.key or () if name in schema.names]
        require_type(schema, keys, hashes.is_hashed, "string, number, bool or time")
        return replace_types(schema, dict.fromkeys(self.columns, pa.float32()))

    def partial(self, frame: Frame) -> Json:
        """For each column its `values`, and the `counts` and `sums` of their labels in each fold; of all, under `folds`."""
        import numpy as np

        label_B, known_B = _labels(frame[LABEL])
        fold_B = self._folds(frame)
        rows = {name: array.filter(pa.array(known_B)) for name, array in frame.items() if name in self.columns}
        label_B, fold_B = label_B[known_B], fold_B[known_B]
        num_folds = self._num_folds()
        total = {"counts": np.bincount(fold_B, minlength=num_folds), "sums": np.bincount(fold_B, label_B, minlength=num_folds)}
        found = {name: _sums(array, label_B, fold_B, num_folds) for name, array in rows.items()}
        for name, state in found.items():
            categories.refuse_many(name, len(state["values"]))
        return {"folds": {key: array.tolist() for key, array in total.items()}, "columns": found}

    def merge(self, states: Sequence[Json]) -> Json:
        total = {key: _added(state["folds"][key] for state in states) for key in ("counts", "sums")}
        found = {name: _merged([state["columns"][name] for state in states]) for name in self.columns}
        for name, state in found.items():
            categories.refuse_many(name, len(state["values"]))
        return {"folds": total, "columns": found}

    def fit(self, state: Json) -> Json:
        """For each column its `categories`, sorted, and for each fold their `means`, the prior last."""
        folds = range(self._num_folds())
        counts, sums = state["folds"]["counts"], state["folds"]["sums"]
        for fold in folds:
            if not self._without(fold, counts):
                what = "no row has a label" if not sum(counts) else f"all rows with a label have one fold by key {self.key}"
                raise DataError(f"{what} in the training part")
        priors = [self._without(fold, sums) / self._without(fold, counts) for fold in folds]
        if not all(map(math.isfinite, priors)):
            raise DataError("the label has infinite values, or too large ones, in the training part")
        return {name: self._means(state["columns"][name], priors) for name in self.columns}

    def _means(self, state: Json, priors: Sequence[float]) -> Json:
        per_fold = [[*(self._mean(s, n, fold, prior) for s, n in _pairs(state)), prior] for fold, prior in enumerate(priors)]
        return {"categories": state["values"], "means": per_fold}

    def _mean(self, sums: Sequence[float], counts: Sequence[int], fold: int, prior: float) -> float:
        weight = self._without(fold, counts) + self.smoothing
        return (self._without(fold, sums) + self.smoothing * prior) / weight if weight else prior

    def _without(self, fold: int, parts: Sequence[Any]) -> Any:
        """The sum over the other folds; without a key, over all there are."""
        return sum(part for i, part in enumerate(parts) if i != fold or self.key is None)

    def notes(self, fitted: Json) -> list[str]:
        if self.key is not None:
            return []
        return ["without key the label of a training row is part of its own feature: give key, or keep smoothing large"]

    def apply(self, frame: Frame, fitted: Json) -> Frame:
        import numpy as np

        fold_B = self._folds(frame)

        def encoded(name: str) -> pa.Array:
            means = np.array(fitted[name]["means"], np.float64).astype(np.float32)
            # The code of what is not among the categories is -1: the last of the means, the prior.
            return pa.array(means[fold_B, categories.codes(frame[name], fitted[name]["categories"])])

        return frame | {name: encoded(name) for name in self.columns}

    def one(self, schema: pa.Schema, fitted: Json) -> Callable[[Row], Row]:
        places = {name: {category: i for i, category in enumerate(fitted[name]["categories"])} for name in self.columns}
        means = {name: [list(map(numbers.float32, fold)) for fold in fitted[name]["means"]] for name in self.columns}
        key = self.key or []
        bits = [hashes.bits_of(schema.field(name).type) for name in key]

        def encoded(row: Row) -> Row:
            fold = hashes.row_hash([row[name] for name in key], bits) % self.folds if key else 0
            return {name: means[name][fold][found.get(row[name], -1)] for name, found in places.items()}

        return encoded

    def _num_folds(self) -> int:
        return 1 if self.key is None else self.folds

    def _folds(self, frame: Frame) -> np.ndarray:
        """The fold of each row, int64 [rows]."""
        import numpy as np

        if self.key is None:
            return np.zeros(len(frame[self.columns[0]]), np.int64)
        return (hashes.row_hashes([frame[name] for name in self.key]) % np.uint64(self.folds)).astype(np.int64)


def _labels(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The label as float64, and where there is one."""
    import numpy as np

    if not is_number(array.type) and not pa.types.is_null(array.type):
        raise DataError(f"the label is {type_name(array.type)}, its mean needs a number or bool: make one of it (raypipe.Label)")
    found, nulls = numbers.values(array)
    return found, ~np.isnan(found) if nulls is None else ~(np.isnan(found) | nulls)


def _sums(array: pa.Array, label_B: np.ndarray, fold_B: np.ndarray, num_folds: int) -> Json:
    import numpy as np

    known_B = array.is_valid().to_numpy(zero_copy_only=False)
    texts: Any = categories.decoded(array.filter(pa.array(known_B))).dictionary_encode()
    values = texts.dictionary.to_pylist()
    cell_B = texts.indices.to_numpy().astype(np.int64) * num_folds + fold_B[known_B]
    shape = (len(values), num_folds)
    counts = np.bincount(cell_B, minlength=len(values) * num_folds).reshape(shape)
    sums = np.bincount(cell_B, label_B[known_B], minlength=len(values) * num_folds).reshape(shape)
    return {"values": values, "counts": counts.tolist(), "sums": sums.tolist()}


def _merged(states: Sequence[Json]) -> Json:
    """The same of all rows behind the states, added in their order; values sorted."""
    total: dict[Any, tuple[list[float], list[int]]] = {}
    for state in states:
        for value, (sums, counts) in zip(state["values"], _pairs(state), strict=True):
            known = total.get(value)
            total[value] = (_added([known[0], sums]), _added([known[1], counts])) if known else (sums, counts)
    values = sorted(total)
    return {"values": values, "sums": [total[v][0] for v in values], "counts": [total[v][1] for v in values]}


def _pairs(state: Json) -> list[tuple[list[float], list[int]]]:
    return list(zip(state["sums"], state["counts"], strict=True))


def _added(rows: Any) -> list[Any]:
    return [sum(column) for column in zip(*rows, strict=True)]
