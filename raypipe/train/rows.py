"""The rows of one part of a table as a model takes them: float32 features and labels of 0 and 1, a row group at a time."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raypipe.bundle.matrix import Matrix, matrix
from raypipe.core.errors import DataError
from raypipe.data.fragment.fragment import Fragment, read_row_groups
from raypipe.data.types import value_type

if TYPE_CHECKING:
    from raypipe.core.store import Store


@dataclass(frozen=True)
class Group:
    """A row group of a fragment, and which of its rows belong to the part."""

    fragment: Fragment
    number: int
    num_rows: int
    """Rows of the part."""
    chosen: np.ndarray | None
    """One bit a row of the row group, packed; None where all belong."""


@dataclass(frozen=True)
class Part:
    """The training or the validation part: where its rows lie, and how they become numbers."""

    name: str
    store: Store
    groups: tuple[Group, ...]
    """Those with at least one row, in the order of the table."""
    features: tuple[str, ...]
    label: str
    positive: str
    """The label's value, as Arrow casts it to a string, that becomes 1."""
    takes_missing: bool
    """Whether NaN and infinities may be among the features."""

    @property
    def num_rows(self) -> int:
        return sum(group.num_rows for group in self.groups)

    @property
    def num_bytes(self) -> int:
        """Of the features in memory."""
        return self.num_rows * len(self.features) * 4

    def only(self, numbers: Sequence[int]) -> Part:
        """The part with these of its groups."""
        return replace(self, groups=tuple(self.groups[i] for i in numbers))

    def load(self) -> tuple[Matrix, np.ndarray]:
        """Features [rows, features] and labels [rows], both float32, in the order of the table: one matrix, filled group by group."""
        features_BF = np.empty((self.num_rows, len(self.features)), np.float32)
        label_B = np.empty(self.num_rows, np.float32)
        at = 0
        for group, table in self._tables():
            end = at + group.num_rows
            features_BF[at:end], label_B[at:end] = self._numbers(group, table)
            at = end
        return features_BF, label_B

    def _tables(self) -> Iterator[tuple[Group, pa.Table]]:
        """Each group with its row group, every fragment opened once."""
        for _, groups in itertools.groupby(self.groups, key=lambda g: g.fragment.path):
            wanted = {group.number: group for group in groups}
            fragment = next(iter(wanted.values())).fragment
            tables = read_row_groups(self.store, fragment, [*self.features, self.label])
            yield from ((wanted[i], table) for i, table in enumerate(itertools.islice(tables, max(wanted) + 1)) if i in wanted)

    def _numbers(self, group: Group, table: pa.Table) -> tuple[Matrix, np.ndarray]:
        if group.chosen is not None:
            table = table.filter(pa.array(np.unpackbits(group.chosen, count=table.num_rows).astype(bool)))
        features_BF = matrix(table, self.features)
        if not self.takes_missing and not np.isfinite(features_BF).all():
            names = [n for n, column in zip(self.features, features_BF.T, strict=True) if not np.isfinite(column).all()]
            raise DataError(f"features {_list(names)} hold values that are no finite float32 ({group.fragment.path}): clip or impute them.")
        label = table.column(self.label).cast(pa.string())
        return features_BF, pc.equal(label, self.positive).to_numpy().astype(np.float32)  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Survey:
    """What a first pass over the label and the columns of the split tells."""

    groups: dict[str, list[Group]]
    """By part."""
    values: dict[str, list[object]]
    """By part, the label's distinct values, at most MANY_VALUES."""
    null_labels: dict[str, int]
    missing: dict[str, int]
    """Feature -> rows of both parts without a value, of those features that have any."""


PARTS = ("train", "validation")
MANY_VALUES = 1_000


def survey(store: Store, fragments: Sequence[Fragment], split: object, label: str, complete: Sequence[str] = ()) -> Survey:
    """Which rows belong to which part, which values the label has, and how many rows lack a feature of `complete`."""
    from raypipe.data.split import columns, part_of

    found = Survey({p: [] for p in PARTS}, {p: [] for p in PARTS}, dict.fromkeys(PARTS, 0), {})
    for fragment in fragments:
        # The catalog's statistics spare the reading of columns that have a value everywhere.
        suspects = [n for n in complete if any(fragment.stats.get(n, {"nulls": 1}).get(k) for k in ("nulls", "nans"))]
        wanted = list(dict.fromkeys([label, *columns(split), *suspects]))
        for number, table in enumerate(read_row_groups(store, fragment, wanted)):
            parts: Any = part_of(split, table)
            for part in PARTS:
                chosen = parts.indices.to_numpy() == parts.dictionary.index(part).as_py()
                if num_rows := int(chosen.sum()):
                    bits = None if num_rows == table.num_rows else np.packbits(chosen)
                    found.groups[part].append(Group(fragment, number, num_rows, bits))
                    _note(found, part, table.filter(pa.array(chosen)), label, suspects)
    return found


def _note(found: Survey, part: str, rows: pa.Table, label: str, suspects: Sequence[str]) -> None:
    values, known = _plain(rows.column(label)), found.values[part]
    found.null_labels[part] += _num_missing(values)
    if len(known) <= MANY_VALUES:
        known += [v for v in values.unique().to_pylist()[: MANY_VALUES + 2] if v is not None and v == v and v not in known]
    for name in suspects:
        if missing := _num_missing(rows.column(name)):
            found.missing[name] = found.missing.get(name, 0) + missing


def _num_missing(column: pa.ChunkedArray) -> int:
    return int(column.is_null(nan_is_null=True).to_numpy().sum())


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(value_type(column.type))


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
