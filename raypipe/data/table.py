"""A table: a named dataset of immutable fragments, one snapshot of which is what a step makes and the next one reads."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from raypipe.core.artifact import File, Json, Table
from raypipe.core.canonical import canonical
from raypipe.core.errors import DataError, nearest
from raypipe.core.step import DIGEST, Commit, Look, Made
from raypipe.data.fragment.conform import bare_schema, numbered
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.fragment.together import read_fragments
from raypipe.data.lake import schemas
from raypipe.data.lake import snapshot as snapshots_
from raypipe.data.lake.commit import Change, chained, commit
from raypipe.data.lake.snapshot import Mode, Snapshot
from raypipe.data.types import type_name

if TYPE_CHECKING:
    import ray.data
    from sqlalchemy import Connection

    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store
    from raypipe.data.where.where import Conditions, Predicate


@dataclass(frozen=True)
class TableSchema:
    """What travels with every table, as `Artifact.schema`, from each step to the next."""

    arrow: pa.Schema
    """Exact types; metadata of the schema as a whole (pandas') is left behind."""
    known_afterwards: tuple[str, ...] = ()
    """Columns whose value is known only after the moment of prediction."""
    split: dict[str, Json] | None = None
    """The split rule."""
    label: str | None = None
    features: tuple[str, ...] | None = None
    """The model's inputs, once a Transform has made them."""

    def to_json(self) -> dict[str, Json]:
        """Readable, with the exact schema beside it as Arrow's own bytes."""
        exact = base64.b64encode(self.arrow.remove_metadata().serialize().to_pybytes()).decode()
        return {**self.meaning(), "columns": [{"name": f.name, "type": type_name(f.type)} for f in self.arrow], "arrow": exact}

    @classmethod
    def from_json(cls, value: Json) -> TableSchema:
        features = value["features"]
        return cls(
            arrow=pa.ipc.read_schema(pa.py_buffer(base64.b64decode(value["arrow"]))),
            known_afterwards=tuple(value["known_afterwards"]),
            split=value["split"],
            label=value["label"],
            features=None if features is None else tuple(features),
        )

    def meaning(self) -> dict[str, Json]:
        """What the digest of a table covers: Arrow's bytes may change with its version, these do not."""
        return {
            "columns": [{"name": f.name, "type": str(f.type), "nullable": f.nullable} for f in self.arrow],
            "known_afterwards": sorted(self.known_afterwards),
            "split": self.split,
            "label": self.label,
            "features": None if self.features is None else list(self.features),
        }


# --- reading


def fragments(ledger: Ledger, table: Table) -> list[Fragment]:
    """Of that snapshot, in the order of its rows. DataError where raypipe did not write it, or another program has changed it."""
    with ledger.reading() as connection:
        found = snapshots_.find(connection, ledger.project, table.name, table.snapshot)
        return snapshots_.data_files(connection, found)


def read(
    ledger: Ledger,
    store: Store,
    table: Table,
    columns: Sequence[str] | None = None,
    part: str | None = None,
    where: Conditions | None = None,
) -> pa.Table:
    """The whole table in this process; `part` (train, validation, test) takes the rows of that part by the table's split rule.

    `where` (`"region = 'eu' and at >= '2026-01-01T00:00:00Z'"`) takes the rows that meet it: files and row groups that cannot hold one are
    not read.
    """
    schema = TableSchema.from_json(table.schema)
    chosen = matching(ledger, table, where)
    if part is None:
        return read_fragments(store, chosen.fragments, _chosen(table, schema, columns), chosen.where)
    from raypipe.data.split import PARTS, mask
    from raypipe.data.split import columns as rule_columns

    if part not in PARTS:
        raise DataError(f"table {table.name}: there is no part {part!r}.{nearest(part, PARTS)}")
    if schema.split is None:
        raise DataError(f"table {table.name}: has no split rule, so that it has no part {part!r}; put a Split step before")
    wanted = list(schema.arrow.names if columns is None else columns)
    needed = [*wanted, *(name for name in rule_columns(schema.split) if name not in wanted)]
    whole = read_fragments(store, chosen.fragments, _chosen(table, schema, needed), chosen.where)
    return whole.filter(mask(schema.split, whole, part)).select(wanted)


@dataclass(frozen=True)
class Matching:
    """The fragments that can hold rows that meet a condition, and the condition for what is in them."""

    fragments: list[Fragment]
    where: Predicate | None


def matching(ledger: Ledger, table: Table, where: Conditions | None) -> Matching:
    """By the catalog's statistics and partitions. DataError for a condition that cannot be read or does not fit its column."""
    found = fragments(ledger, table)
    if not where:
        return Matching(found, None)
    from raypipe.data.lake.prune import pruned
    from raypipe.data.where.where import predicate

    chosen = predicate(where, TableSchema.from_json(table.schema).arrow)
    return Matching(pruned(found, chosen), chosen)


def _chosen(table: Table, schema: TableSchema, columns: Sequence[str] | None) -> pa.Schema:
    if columns is None:
        return schema.arrow
    if missing := [name for name in columns if name not in schema.arrow.names]:
        raise DataError(f"table {table.name}: has no column {missing[0]!r}.{nearest(missing[0], schema.arrow.names)}")
    return pa.schema([schema.arrow.field(name) for name in columns])


def to_dataset(
    store: Store, fragments: Sequence[Fragment], columns: Sequence[str] | None = None, where: Predicate | None = None
) -> ray.data.Dataset:
    """A Dataset with a block a row group, read by tasks that verify page checksums; `count()` reads no file."""
    from raypipe.data.dataset import dataset

    return dataset(store, fragments, columns, where)


# --- what there is


def latest(ledger: Ledger, name: str) -> Snapshot | None:
    """The newest snapshot: what an append goes on from. DataError where another program has changed the table since."""
    with ledger.reading() as connection:
        return snapshots_.latest(connection, ledger.project, name)


def snapshots(ledger: Ledger, name: str) -> list[Snapshot]:
    """Newest first. DataError with the nearest name where there is no such table."""
    with ledger.reading() as connection:
        found = snapshots_.snapshots(connection, ledger.project, name)
        if not found:
            there = [snapshot.name for snapshot in snapshots_.newest(connection, ledger.project)]
            raise DataError(f"there is no table {name!r}.{nearest(name, there)}")
    return found


def names(ledger: Ledger) -> dict[str, Snapshot]:
    """Every table of the project, with its newest snapshot."""
    with ledger.reading() as connection:
        return {snapshot.name: snapshot for snapshot in snapshots_.newest(connection, ledger.project)}


def told_by(connection: Connection, snapshot: Snapshot, artifact: Table) -> Table:
    """The artifact that made a snapshot, as it says what that is. Of a table that it made beside its own (NAME~quarantine) it says nothing:
    the catalog does."""
    schema = artifact.schema
    if artifact.name != snapshot.name:
        schema = TableSchema(bare_schema(schemas.of(connection, snapshot))).to_json()
    return replace(artifact, schema=schema, figures={**artifact.figures, "table": snapshot.name, "snapshot": snapshot.id})


# --- making


def made(
    work: Look,
    name: str,
    schema: TableSchema,
    fragments: Sequence[Fragment],
    *,
    mode: Literal["append", "overwrite"],
    before: Snapshot | None = None,
    figures: dict[str, Json] | None = None,
    commits: Sequence[Commit] = (),
) -> Made[Table]:
    """A step's table, to be published: files in the order of its rows, and a commit that writes them to the catalog.

    `mode="append"` adds `fragments` to the snapshot `before`, which is `latest(...)` as it was when the work began (None: a new table), and
    is refused when that is no longer the newest. `commits` run after the catalog's, in the same transaction: `snapshot.latest` finds there
    what it wrote. The figures get `table`, `snapshot`, `num_rows`, `num_fragments`.
    """
    assert before is None or mode == "append", "only an append goes on from a snapshot"
    added = [replace(fragment, id=None, place=None) for fragment in fragments]
    change = change_of(work, name, schema, mode, before, fragments=added, digests=[f.sha256 for f in added], exact=True)
    return changed(change, schema, figures, commits)


def change_of(work: Look, name: str, schema: TableSchema, mode: Mode, before: Snapshot | None, **what: Any) -> Change:
    """A change of the table of that name by the step that `work` is about; `what` are further fields of Change."""
    run = getattr(work, "run", "")
    numbered_schema = what.pop("numbered", None) or _numbered(work, schema, before)
    return Change(
        project=work.project,
        name=name,
        root=work.store.root,
        schema=numbered_schema,
        mode=mode,
        before=before,
        message=f"{mode} by {work.pipeline}.{work.step}",
        about={"run": run} if run else {},
        **what,
    )


def changed(change: Change, schema: TableSchema, figures: dict[str, Json] | None = None, commits: Sequence[Commit] = ()) -> Made[Table]:
    """The table as the change leaves it, to be published. Where others may commit meanwhile, its digest is known only then."""
    start = change.chain if change.chain is not None else change.before.chain if change.before else ""
    written = (*change.fragments, *(f.deletes for f in change.fragments), *(deletes for _, deletes in change.deletes))
    return Made(
        digest=_digest([schema.meaning(), chained(start, change.digests)]),
        files=tuple(File(part.path, part.size, part.sha256) for part in written if part),
        schema=schema.to_json(),
        figures=figures or {},
        commits=(_publishing(change, schema), *commits),
    )


def restated(ledger: Ledger, table: Table, schema: TableSchema, figures: dict[str, Json] | None = None) -> Made[Table]:
    """The same snapshot with something else said of it (a split rule, a label): no rows are written."""
    with ledger.reading() as connection:
        chain = snapshots_.find(connection, ledger.project, table.name, table.snapshot).chain
    kept = {key: table.figures[key] for key in ("table", "snapshot", "num_rows", "num_fragments") if key in table.figures}
    return Made(digest=_digest([schema.meaning(), chain]), files=table.files, schema=schema.to_json(), figures={**(figures or {}), **kept})


def _publishing(change: Change, schema: TableSchema) -> Commit:
    def publish(connection: Connection, artifact: str) -> dict[str, Json]:
        snapshot = commit(connection, change, artifact)
        figures = {"table": snapshot.name, "snapshot": snapshot.id, "num_rows": snapshot.num_rows, "num_fragments": snapshot.num_files}
        return figures if change.exact else {**figures, DIGEST: _digest([schema.meaning(), snapshot.chain])}

    return publish


def _numbered(work: Look, schema: TableSchema, before: Snapshot | None) -> pa.Schema:
    """The columns with the field ids that they have in the table, where they are the table's."""
    if before is not None:
        with work.ledger.reading() as connection:
            now = schemas.of(connection, before)
        if bare_schema(now).equals(schema.arrow):
            return now
    return numbered(schema.arrow)


def _digest(value: Any) -> str:
    return hashlib.sha256(canonical(value).encode()).hexdigest()
