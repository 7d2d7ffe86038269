"""The keys of a fragment's values in a small file beside it: what must come once is not read again when more comes in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json
from raypipe.core.errors import StoreError
from raypipe.data.contract.hashed import keys_of_rows
from raypipe.data.fragment.conform import columns_digest
from raypipe.data.fragment.fragment import Fragment, read_row_groups
from raypipe.data.statistics.numbers import grouped

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store

FORMAT = 1
SUFFIX = ".keys"
DIGEST_BYTES = 64
"""A file begins with the sha256 of what follows, as text: a line of JSON, then the keys of one set of columns after the other."""
MOST_SUSPECTS = 4_096
"""Keys that come twice and are proved by their values; where there are more, a range is not proved."""


@dataclass(frozen=True)
class Repeats:
    num: int
    """Rows whose key came before."""
    keys: tuple[int, ...]
    """The keys that come more than once, the first MOST_SUSPECTS."""


@dataclass(frozen=True)
class Keys:
    """The sorted different keys of some columns of a fragment, and where they lie: bytes from `start` of the file."""

    keys: np.ndarray
    repeats: Repeats
    path: str
    start: int


def keys_path(path: str) -> str:
    """`a/part-0.parquet` -> `a/part-0.keys`: where the keys of that file lie."""
    return path.removesuffix(".parquet") + SUFFIX


def keys_of(store: Store, fragment: Fragment, columns: Sequence[str]) -> Keys:
    """As they are kept; computed and kept where they are not, or are damaged, or are those of other rows."""
    if (found := _found(store, fragment).get(tuple(columns))) is not None:
        return found
    import numpy as np

    pieces = [keys_of_rows(rows)[1] for rows in read_row_groups(store, fragment, columns)]
    _keep(store, fragment, tuple(columns), *once(np.concatenate([np.zeros(0, np.uint64), *pieces])))
    return _found(store, fragment)[tuple(columns)]


def once(found: np.ndarray) -> tuple[np.ndarray, Repeats]:
    """The different keys, sorted, and what came more than once."""
    each = grouped(found)
    return each.values, Repeats(len(found) - len(each.values), tuple(each.values[each.counts > 1][:MOST_SUSPECTS].tolist()))


def _found(store: Store, fragment: Fragment) -> dict[tuple[str, ...], Keys]:
    import numpy as np

    path = _path(fragment)
    try:
        data = store.read(path)
    except StoreError:
        return {}
    digest, rest = data[:DIGEST_BYTES], data[DIGEST_BYTES:]
    if hashlib.sha256(rest).hexdigest().encode() != digest:
        return {}
    line, _, _ = rest.partition(b"\n")
    header = json.loads(line)
    if (header["format"], header["of"]) != (FORMAT, _content(fragment)):
        return {}
    made, start = {}, DIGEST_BYTES + len(line) + 1
    for part in header["sets"]:
        keys = np.frombuffer(data, "<u8", part["num"], start)
        made[tuple(part["columns"])] = Keys(keys, Repeats(part["repeats"], tuple(part["repeated"])), path, start)
        start += part["num"] * 8
    return made


def _keep(store: Store, fragment: Fragment, columns: tuple[str, ...], keys: np.ndarray, repeats: Repeats) -> None:
    path = _path(fragment)
    sets = _found(store, fragment) | {columns: Keys(keys, repeats, path, 0)}
    told: list[Json] = [
        {"columns": list(names), "num": len(k.keys), "repeats": k.repeats.num, "repeated": list(k.repeats.keys)}
        for names, k in sets.items()
    ]
    header = json.dumps({"format": FORMAT, "of": _content(fragment), "sets": told}).encode()
    rest = b"\n".join([header, b"".join(k.keys.astype("<u8").tobytes() for k in sets.values())])
    store.write(path, hashlib.sha256(rest).hexdigest().encode() + rest)


def _path(fragment: Fragment) -> str:
    """A delete file says which rows are left: their keys lie beside it."""
    return keys_path(fragment.deletes.path if fragment.deletes else fragment.path)


def _content(fragment: Fragment) -> str:
    """Its rows, and the columns as the snapshot has them."""
    columns = columns_digest(fragment.as_now) if fragment.as_now else fragment.columns
    return f"{fragment.sha256} {fragment.deletes.sha256 if fragment.deletes else ''} {columns}"
