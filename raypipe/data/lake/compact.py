"""Compaction: small files become one, and delete files are folded into the data, without a row changing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import Table
from raypipe.core.step import Made, Work
from raypipe.data.fragment.fragment import Fragment, read_fragment, write_fragment
from raypipe.data.lake import schemas
from raypipe.data.lake.current import change_made, operation, require
from raypipe.data.map import map_fragments
from raypipe.data.reconcile import reconciled
from raypipe.data.rows import FRAGMENT_ROWS, fragment_path
from raypipe.data.table import TableSchema

if TYPE_CHECKING:
    from raypipe.core.store import Store

FRAGMENT_BYTES = 256 << 20
"""A file is full at this size, whatever its rows: what compaction makes fits into memory several times over."""


def compact(work: Work, name: str, min_deleted: float = 0.0, keep_order: bool = True, said: TableSchema | None = None) -> Made[Table]:
    """Neighbours that are less than half full are joined, up to FRAGMENT_ROWS rows or FRAGMENT_BYTES; files of which at least the share
    `min_deleted` is deleted are rewritten without those rows.

    Every row keeps its place, so that the table's digest stays as it is, and what was computed from it stands. Without `keep_order` files
    of one partition are joined wherever they lie (a partitioned table that is appended to has them in turns): where rows change their
    places by that, the digest changes. Earlier snapshots keep their files. Others may append meanwhile. `said` is what a step knows of
    the table beyond its columns. Figures: `files_before`, `files_after`, `rows_rewritten`.
    """
    now = require(work.ledger, name)
    groups = _groups(now.fragments, min_deleted, keep_order)
    with work.ledger.reading() as connection:
        schema = schemas.of(connection, now.snapshot)
    new = map_fragments(_Join(work.store, work.path, schema), groups, inline=work.inline)
    old = [fragment for group in groups for fragment in group.fragments]
    figures = {
        "files_before": len(now.fragments),
        "files_after": len(now.fragments) - len(old) + len(new),
        "rows_rewritten": sum(fragment.num_rows for fragment in new),
    }
    work.report(f"{len(old):,} files become {len(new):,}; {len(now.fragments) - len(old):,} stay as they are")
    moved = [operation("moved", *(f.sha256 for f in new))] if _moved(now.fragments, groups) else []
    what = {"fragments": new, "ended": old, "numbered": schema, "digests": moved}
    return change_made(work, name, "compact", now, now.said(said), figures, **what)


@dataclass(frozen=True)
class _Group:
    """Neighbours that become one file."""

    number: int
    fragments: list[Fragment]

    @property
    def size(self) -> int:
        return sum(fragment.size for fragment in self.fragments)

    @property
    def path(self) -> str:
        return self.fragments[0].path

    @property
    def num_live(self) -> int:
        return sum(fragment.num_live for fragment in self.fragments)


def _groups(fragments: Sequence[Fragment], min_deleted: float, keep_order: bool) -> list[_Group]:
    """In the order of the rows. A group takes in the next small file of its partition up to a full one; a file that is not small is one
    alone, or is left as it is. Every group that is followed by a small file is half full at least: it will not be joined again."""
    groups: list[_Group] = []
    last: dict[object, _Group] = {}
    for fragment in fragments:
        beside = None if keep_order else fragment.partition
        if beside in last and _joins(last[beside], fragment):
            last[beside].fragments.append(fragment)
            continue
        groups.append(_Group(len(groups), [fragment]))
        if keep_order or _is_small(fragment):
            last[beside] = groups[-1]
    return [group for group in groups if len(group.fragments) > 1 or _share_deleted(group.fragments[0]) > min_deleted]


def _moved(fragments: Sequence[Fragment], groups: Sequence[_Group]) -> bool:
    """Whether a group joins files that are no neighbours."""
    place = {fragment.path: number for number, fragment in enumerate(fragments)}
    places = [[place[fragment.path] for fragment in group.fragments] for group in groups]
    return any(last - first != len(found) - 1 for found in places for first, last in [(found[0], found[-1])])


def _joins(group: _Group, fragment: Fragment) -> bool:
    first = group.fragments[0]
    if not (_is_small(first) and _is_small(fragment) and first.partition == fragment.partition):
        return False
    return group.num_live + fragment.num_live <= FRAGMENT_ROWS and group.size + fragment.size <= FRAGMENT_BYTES


def _is_small(fragment: Fragment) -> bool:
    return fragment.num_live < FRAGMENT_ROWS / 2 and fragment.size < FRAGMENT_BYTES / 2


def _share_deleted(fragment: Fragment) -> float:
    return fragment.num_deleted / fragment.num_rows if fragment.num_rows else 0.0


@dataclass(frozen=True)
class _Join:
    """A group -> one file of its rows, in the place of its first."""

    store: Store
    path: str
    schema: pa.Schema

    def __call__(self, group: _Group) -> Fragment:
        rows = pa.concat_tables([read_fragment(self.store, fragment) for fragment in group.fragments])
        made = write_fragment(self.store, fragment_path(self.path, group.number), rows, self.schema)
        reconciled(group.path, group.num_live, made.num_rows)
        return replace(made, place=group.fragments[0].place, partition=group.fragments[0].partition)
