"""Columns in which no value may come twice: found over a whole table by 8-byte keys of its values, then proved by the values."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import NUM_EXAMPLES, finding_of_unique
from raypipe.data.fragment.fragment import Fragment, read_fragment
from raypipe.data.map import map_fragments
from raypipe.data.types import is_text

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store


def repeated(store: Store, contract: Contract, fragments: Sequence[Fragment], names: Mapping[str, str], inline: bool) -> list[Json]:
    """A finding for each column that the contract wants unique, over all the fragments of a table.

    `names` says under which name a fragment is told (the file that it was made of). One read of those columns; a second one only where
    keys come twice. The driver holds 8 bytes a row and column.
    """
    columns = [name for name, column in contract.columns.items() if column.unique]
    if not columns:
        return []
    states = map_fragments(_Keys(store, columns), fragments, inline=inline)
    suspects = {name: _twice([state[name] for state in states]) for name in columns}
    values = map_fragments(_Values(store, suspects), fragments, inline=inline) if any(map(len, suspects.values())) else []
    num_rows = sum(fragment.num_live for fragment in fragments)
    return [
        _finding(name, contract, num_rows, [(names[f.path], v[name]) for f, v in zip(fragments, values, strict=False)]) for name in columns
    ]


@dataclass(frozen=True)
class _Keys:
    """A fragment -> the keys of each column's values, base64 of little-endian uint64. It travels to a task."""

    store: Store
    columns: Sequence[str]

    def __call__(self, fragment: Fragment) -> dict[str, str]:
        table = read_fragment(self.store, fragment, list(self.columns))
        return {name: base64.b64encode(keys(table.column(name)).astype("<u8").tobytes()).decode("ascii") for name in self.columns}


@dataclass(frozen=True)
class _Values:
    """A fragment -> those of its values whose keys are suspect."""

    store: Store
    suspects: Mapping[str, Any]

    def __call__(self, fragment: Fragment) -> dict[str, list[Any]]:
        import numpy as np

        table = read_fragment(self.store, fragment, list(self.suspects))
        columns = {name: table.column(name).drop_null() for name in self.suspects}
        return {name: c.filter(pa.array(np.isin(keys(c), self.suspects[name]))).to_pylist() for name, c in columns.items()}


def keys(column: pa.ChunkedArray) -> np.ndarray:
    """A uint64 for each value that is not null: equal values have equal keys; unequal ones do not, but for one chance in 2^64."""
    import numpy as np

    values = column.drop_null()
    if pa.types.is_temporal(values.type) and not pa.types.is_interval(values.type):
        values = values.cast(pa.int32() if values.type.bit_width == 32 else pa.int64())
    if pa.types.is_integer(values.type):
        return values.cast(pa.uint64() if pa.types.is_unsigned_integer(values.type) else pa.int64()).to_numpy().view(np.uint64)
    if pa.types.is_floating(values.type):
        # 0.0 added: -0.0 and 0.0 are equal.
        return (values.cast(pa.float64()).to_numpy() + 0.0).view(np.uint64)
    texts: Any = (values if is_text(values.type) else values.cast(pa.string())).combine_chunks().dictionary_encode()
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts.dictionary.to_pylist())
    return np.frombuffer(digests, "<u8")[texts.indices.to_numpy()]


def _twice(states: Sequence[str]) -> np.ndarray:
    import numpy as np

    found, counts = np.unique(np.concatenate([np.frombuffer(base64.b64decode(state), "<u8") for state in states]), return_counts=True)
    return found[counts > 1]


def _finding(name: str, contract: Contract, num_rows: int, parts: Sequence[tuple[str, Mapping[str, Any] | list[Any]]]) -> Json:
    seen: set[Any] = set()
    figure, examples = 0, []
    for file, values in parts:
        for value in values:
            figure += value in seen
            if value in seen and len(examples) < NUM_EXAMPLES:
                examples.append({"file": file, "row": None, "value": value if isinstance(value, bool | int) else repr(value)})
            seen.add(value)
    return finding_of_unique(name, contract.columns[name], num_rows, figure, examples)
