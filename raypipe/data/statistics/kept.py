"""The profiles of a table's files: each kept in a small file beside its fragment, computed once, and merged for any question."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.errors import DataError, StoreError
from raypipe.data.fragment.conform import columns_digest, field_id, numbered, stacked
from raypipe.data.fragment.fragment import Fragment, read_coded, read_row_groups
from raypipe.data.map import map_fragments
from raypipe.data.statistics.column import ColumnProfile
from raypipe.data.statistics.encoded import Kept, from_bytes, to_bytes
from raypipe.data.statistics.profile import Profile, merge
from raypipe.data.types import type_name

if TYPE_CHECKING:
    from raypipe.core.store import Store

SUFFIX = ".profile"
ROWS_AT_ONCE = 500_000
"""Of a larger fragment so many rows are measured at a time, and merged."""
Report = Callable[[str], None]


def profile_path(path: str) -> str:
    """`a/part-0.parquet` -> `a/part-0.profile`: where the profile of that file lies."""
    return path.removesuffix(".parquet") + SUFFIX


def write_profile(store: Store, fragment: Fragment, rows: pa.Table | Profile, schema: pa.Schema | None = None) -> Profile:
    """Measures the rows that were written to the fragment and keeps what was found beside it; `rows` may be the merged profile of its
    pieces. `schema`: its columns with the field ids of the table, as `write_fragment` takes it."""
    profile = rows if isinstance(rows, Profile) else Profile.of(rows)
    if schema is None and not isinstance(rows, Profile):
        schema = numbered(rows.schema)
    _keep(store, fragment, Kept(profile, _content(fragment), fragment.columns, _ids(schema), True))
    return profile


def profile_of(
    store: Store,
    parts: Sequence[Fragment],
    *,
    inline: bool,
    columns: Sequence[str] | None = None,
    report: Report | None = None,
) -> Profile:
    """Of all their rows that are not deleted. A file whose profile is kept is not read; the others are, a task a file (here with `inline`),
    and theirs is kept then. `columns`: only these; by default all of the fragment's, as the snapshot has them.

    A kept profile that is damaged, of another version, or of another content than the fragment's is computed anew, and `report` is told.
    DataError for a column that is not there.
    """
    profiles: list[Profile | None] = [_kept(store, fragment, columns, report or _silent) for fragment in parts]
    missing = [n for n, found in enumerate(profiles) if found is None]
    kernel = _Measuring(store, columns)
    for number, made in zip(missing, map_fragments(kernel, [parts[n] for n in missing], inline=inline), strict=True):
        profiles[number] = made
    return merge([found for found in profiles if found is not None])


@dataclass(frozen=True)
class _Measuring:
    """Reads what is not kept yet of a fragment, measures it, and keeps it with the rest. It travels to a task."""

    store: Store
    columns: Sequence[str] | None

    def __call__(self, fragment: Fragment) -> Profile:
        now, kept = fragment.as_now, _found(self.store, fragment, _silent)
        there = {} if kept is None else _as_now(kept, fragment)
        wanted = self.columns if self.columns is not None else now.names if now else None
        made = _measured(self.store, fragment, None if wanted is None else [name for name in wanted if name not in there])
        whole = Profile(made.num_rows, {**made.columns, **{name: column for name, column in there.items() if name not in made.columns}})
        is_whole = wanted is None or (now is not None and set(now.names) <= set(whole.columns)) or (kept is not None and kept.is_whole)
        ids = _ids(now) or ({} if kept is None else kept.ids)
        _keep(self.store, fragment, Kept(whole, _content(fragment), _columns_now(fragment), ids, is_whole))
        return whole if wanted is None else Profile(made.num_rows, {name: whole[name] for name in wanted})


def _measured(store: Store, fragment: Fragment, columns: Sequence[str] | None) -> Profile:
    if fragment.num_rows <= 2 * ROWS_AT_ONCE:
        rows, schema = read_coded(store, fragment, columns)
        return Profile.of(rows, schema=schema)
    found, waiting = [], []
    for rows in read_row_groups(store, fragment, columns):
        waiting.append(rows)
        if sum(piece.num_rows for piece in waiting) >= ROWS_AT_ONCE:
            found.append(Profile.of(stacked(waiting)))
            waiting = []
    return merge([*found, *([Profile.of(stacked(waiting))] if waiting else [])])


def _kept(store: Store, fragment: Fragment, columns: Sequence[str] | None, report: Report) -> Profile | None:
    """None where it is not kept, or not all of it."""
    kept = _found(store, fragment, report)
    if kept is None or (columns is None and not kept.is_whole):
        return None
    there, now = _as_now(kept, fragment), fragment.as_now
    wanted = columns if columns is not None else now.names if now else list(there)
    if any(name not in there for name in wanted):
        return None
    return Profile(kept.profile.num_rows, {name: there[name] for name in wanted})


def _found(store: Store, fragment: Fragment, report: Report) -> Kept | None:
    """What is kept for these very rows; what else lies there is told, and no use."""
    path = _path(fragment)
    try:
        kept = from_bytes(store.read(path))
    except StoreError:
        return None
    except DataError as error:
        report(f"{path}: is {error}; computed anew")
        return None
    if kept.of != _content(fragment) or kept.profile.num_rows != fragment.num_live:
        report(f"{path}: is the profile of another file ({kept.of[:12]}, expected {_content(fragment)[:12]}); computed anew")
        return None
    return kept


def _as_now(kept: Kept, fragment: Fragment) -> dict[str, ColumnProfile]:
    """Its columns by the names that the snapshot has for them; of those whose type has changed since nothing is known."""
    if kept.columns == _columns_now(fragment):
        return kept.profile.columns
    if fragment.as_now is None:
        return {}
    by_id = {number: kept.profile.columns[name] for name, number in kept.ids.items() if name in kept.profile.columns}
    same = {column.name: by_id[field_id(column)] for column in fragment.as_now if field_id(column) in by_id}
    types = {column.name: type_name(column.type) for column in fragment.as_now}
    return {name: replace(column, name=name) for name, column in same.items() if column.type == types[name]}


def _keep(store: Store, fragment: Fragment, kept: Kept) -> None:
    store.write(_path(fragment), to_bytes(kept))


def _path(fragment: Fragment) -> str:
    """A delete file says which rows are left: their profile lies beside it."""
    return profile_path(fragment.deletes.path if fragment.deletes else fragment.path)


def _content(fragment: Fragment) -> str:
    return fragment.sha256 + (f"-{fragment.deletes.sha256}" if fragment.deletes else "")


def _columns_now(fragment: Fragment) -> str:
    return columns_digest(fragment.as_now) if fragment.as_now else fragment.columns


def _ids(schema: pa.Schema | None) -> dict[str, int]:
    return {column.name: field_id(column) for column in schema} if schema else {}


def _silent(text: str) -> None: ...
