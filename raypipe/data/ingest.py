"""Ingesting: new files read, checked and written in one pass, and committed with the progress that says they were taken."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import Connection, delete, insert, select

from raypipe.core import schema as ledger_schema
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError
from raypipe.core.step import Look, Made, Work
from raypipe.data.contract import Contract, merge, words
from raypipe.data.fragment import Fragment, read_fragment, write_fragment
from raypipe.data.map import map_fragments
from raypipe.data.rows import FRAGMENT_ROWS
from raypipe.data.snapshot import Snapshot
from raypipe.data.source import Source, SourceFile, list_files, read_batches, state

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

taken_files = ledger_schema.ingested_files


@dataclass(frozen=True)
class _Taken:
    """What became of one file: its fragments, its rows, and what the contract found."""

    file: SourceFile
    fragments: tuple[Fragment, ...]
    schema: pa.Schema
    num_read: int
    num_sampled: int
    num_dropped: int
    findings: list[Json]


def source_state(look: Look, source: Source, table: str) -> Json:
    """What a plan compares: a digest over the files' paths, sizes and content, and how many there are."""
    files = list_files(source, look.project_path, {f.path: f for _, f in _progress(look.ledger, table)})
    return {"files": len(files), "state": state(files)}


def ingest(work: Work, source: Source, contract: Contract | None, table: str) -> Made[Table]:
    """Takes the files that the table does not hold yet. DataError with every file and row that the contract refuses; nothing is kept then."""
    from raypipe.data.table import TableSchema, latest, made

    key = _key(source, contract, work.sample)
    before = [f for k, f in _progress(work.ledger, table) if k == key]
    files = list_files(source, work.project_path, {f.path: f for f in before})
    _refuse_changed(before, files)
    new = [f for f in files if f.path not in {b.path for b in before}]
    work.report(f"{len(new)} new of {len(files)} files")
    kernel = _Take(work.store, work.path, source, contract, work.project_path, work.sample)
    taken = map_fragments(kernel, list(enumerate(new)), inline=work.inline)
    appends = latest(work.ledger, table) if before else None
    figures = _reconciled(taken, contract, appends)
    _refuse_breaches(work, contract, figures, taken, before, table)
    arrow = _common_schema(taken) if taken else _schema_before(work.ledger, appends)
    return made(
        work,
        table,
        TableSchema(arrow, contract.known_afterwards if contract else ()),
        [fragment for t in taken for fragment in t.fragments],
        mode="append" if appends else "overwrite",
        before=appends,
        figures=figures,
        commits=[_commit_progress(work.project, table, key, taken, appends)],
    )


def findings_of(work: Work, contract: Contract, table: Table) -> dict[str, Json]:
    """The report on a table: of the pass that wrote it, or of one more where the contract has changed since."""
    from raypipe.data.table import fragments

    written = table.figures.get("contract")
    if written and written["digest"] == contract.digest():
        rules = written["rules"]
    else:
        parts = fragments(work.ledger, table)
        rules = merge(map_fragments(_Check(work.store, contract), parts, inline=work.inline))
        rules = [*rules, *_repeated(work.store, contract, parts)]
    failed = [r for r in rules if r["on_breach"] == "fail"]
    summary = [words(r, table.num_rows) for r in rules] or [f"{len(contract.columns)} columns, no rule broken"]
    return {"passed": not failed and table.num_rows >= contract.min_rows, "rules": rules, "rows": table.num_rows, "summary": summary}


@dataclass(frozen=True)
class _Take:
    """One file -> its fragments. It travels to a task."""

    store: Store
    path: str
    source: Source
    contract: Contract | None
    project_path: Path
    sample: float

    def __call__(self, item: tuple[int, SourceFile]) -> _Taken:
        number, file = item
        writer = _Writer(self.store, f"{self.path}/file-{number:05d}")
        num_read = num_sampled = 0
        findings: list[list[Json]] = []
        for rows in read_batches(self.source, self.project_path, file, self.contract.types() if self.contract else {}):
            rows, first_row = self._fitted(rows, file), num_read
            num_read += rows.num_rows
            rows = _sampled(rows, file.path, first_row, self.sample)
            num_sampled += rows.num_rows
            if self.contract:
                rows, found = self.contract.check(rows, file.path, first_row)
                findings.append(found)
            writer.add(rows)
        fragments, arrow, num_kept = writer.end()
        return _Taken(file, fragments, arrow, num_read, num_sampled, num_sampled - num_kept, merge(findings))

    def _fitted(self, rows: pa.Table, file: SourceFile) -> pa.Table:
        try:
            return self.contract.fit(rows) if self.contract else rows
        except DataError as error:
            raise DataError("\n".join(f"{file.path}: {line}" for line in str(error).splitlines())) from None


class _Writer:
    """Collects rows and writes a fragment whenever there are enough: memory is bounded by one."""

    def __init__(self, store: Store, path: str):
        self.store, self.path = store, path
        self.waiting: list[pa.Table] = []
        self.fragments: list[Fragment] = []

    def add(self, rows: pa.Table) -> None:
        self.waiting.append(rows)
        if sum(t.num_rows for t in self.waiting) >= FRAGMENT_ROWS:
            self._flush()

    def end(self) -> tuple[tuple[Fragment, ...], pa.Schema, int]:
        self.schema = self.waiting[0].schema if self.waiting else self.schema
        if self.waiting:
            self._flush()
        return tuple(self.fragments), self.schema, sum(f.num_rows for f in self.fragments)

    def _flush(self) -> None:
        table = pa.concat_tables(self.waiting)
        self.schema = table.schema
        self.waiting = []
        self.fragments.append(write_fragment(self.store, f"{self.path}-{len(self.fragments):03d}.parquet", table))


@dataclass(frozen=True)
class _Check:
    """A fragment -> what another contract finds in it."""

    store: Store
    contract: Contract

    def __call__(self, fragment: Fragment) -> list[Json]:
        rows = self.contract.fit(read_fragment(self.store, fragment))
        return self.contract.check(rows, fragment.path, 0)[1]


def _sampled(rows: pa.Table, path: str, first_row: int, share: float) -> pa.Table:
    """The rows whose hash of file and number lies below the share: the same ones each time."""
    if share >= 1:
        return rows
    import numpy as np

    # The finaliser of splitmix64 (Steele, Lea and Flood 2014) over row number and file.
    x = np.arange(first_row, first_row + rows.num_rows, dtype=np.uint64) + np.uint64(zlib.crc32(path.encode()) << 32)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return rows.filter(pa.array((x ^ (x >> np.uint64(31))) < np.uint64(int(share * 2**64))))


def _refuse_changed(before: Sequence[SourceFile], files: Sequence[SourceFile]) -> None:
    now = {f.path: f for f in files}
    gone = [f.path for f in before if f.path not in now]
    changed = [f.path for f in before if f.path in now and now[f.path].sha256 != f.sha256]
    advice = "The table keeps what it took: restore the file, or take everything anew under another `table`."
    problems = [f"{p}: was taken, and is not there any more. {advice}" for p in gone]
    problems += [f"{p}: was taken, and its content has changed since. {advice}" for p in changed]
    if problems:
        raise DataError("\n".join(problems))


def _reconciled(taken: Sequence[_Taken], contract: Contract | None, appends: Snapshot | None) -> dict[str, Json]:
    for t in taken:
        assert t.num_sampled == t.num_dropped + sum(f.num_rows for f in t.fragments), f"{t.file.path}: rows were lost"
    figures: dict[str, Json] = {
        "new_files": len(taken),
        "rows_read": sum(t.num_read for t in taken),
        "rows_sampled": sum(t.num_sampled for t in taken),
        "rows_dropped": sum(t.num_dropped for t in taken),
    }
    if contract:
        figures["contract"] = {"digest": contract.digest(), "rules": merge([t.findings for t in taken])}
    return figures


def _refuse_breaches(work: Work, contract: Contract | None, figures: dict[str, Json], taken: Sequence[_Taken], before: Sequence[SourceFile], table: str) -> None:
    if contract is None:
        return
    from raypipe.data.table import snapshots

    earlier = _earlier_fragments(work.ledger, table) if before and snapshots(work.ledger, table) else []
    rules = figures["contract"]["rules"]
    rules += _repeated(work.store, contract, [*earlier, *(f for t in taken for f in t.fragments)])
    num_rows = figures["rows_sampled"]
    failed = [words(r, num_rows) for r in rules if r["on_breach"] == "fail"]
    kept = sum(f.num_rows for t in taken for f in t.fragments) + sum(f.num_rows for f in earlier)
    if kept < contract.min_rows:
        failed.append(f"{kept:,} rows are left, the contract asks for at least {contract.min_rows:,}.")
    if failed:
        raise DataError("\n".join(failed))
    for rule in rules:
        work.report(f"{words(rule, num_rows)}: {'dropped' if rule['on_breach'] == 'drop' else 'kept'}")


def _repeated(store: Store, contract: Contract, parts: Sequence[Fragment]) -> list[Json]:
    """Values of columns that must be unique and are not, over the whole snapshot; one column is in memory at a time."""
    import pyarrow.compute as pc

    found: list[Json] = []
    for name in (n for n, c in contract.columns.items() if c.unique):
        counts: Any = pc.value_counts(pa.chunked_array([c for p in parts for c in read_fragment(store, p, [name]).column(name).chunks]))  # type: ignore[attr-defined]
        twice = counts.filter(pc.greater(counts.field("counts"), 1))  # type: ignore[attr-defined]
        if len(twice):
            rows = sum(twice.field("counts").to_pylist())
            examples = [{"file": "the whole table", "row": "several", "value": str(v)} for v in twice.field("values")[:10].to_pylist()]
            found.append({"column": name, "rule": "with a value that comes twice", "rows": rows, "on_breach": "fail", "examples": examples})
    return found


def _earlier_fragments(ledger: Ledger, table: str) -> list[Fragment]:
    from raypipe.data.table import fragments, snapshots

    artifact = ledger.artifact(snapshots(ledger, table)[0].artifact)
    return fragments(ledger, artifact) if isinstance(artifact, Table) else []


def _schema_before(ledger: Ledger, appends: Snapshot | None) -> pa.Schema:
    from raypipe.data.table import TableSchema

    assert appends is not None, "a source without new files has been taken before"
    artifact = ledger.artifact(appends.artifact)
    assert artifact is not None
    return TableSchema.from_json(artifact.schema).arrow


def _common_schema(taken: Sequence[_Taken]) -> pa.Schema:
    from raypipe.data.rows import gather

    return gather([(replace(t.fragments[0], path=t.file.path) if t.fragments else Fragment(t.file.path, 0, 0, ""), t.schema.remove_metadata(), None) for t in taken]).schema


def _key(source: Source, contract: Contract | None, sample: float) -> str:
    """What the rows of a table were taken by: with another key everything is taken anew."""
    rows = {n: {"type": c.type, "known": c.known} | (asdict(c) if c.on_breach == "drop" else {}) for n, c in contract.columns.items()} if contract else None
    document = [type(source).__name__, asdict(source), rows, sample]  # type: ignore[call-overload]
    return hashlib.sha256(json.dumps(document, sort_keys=True, default=str).encode()).hexdigest()


def _progress(ledger: Ledger, table: str) -> Iterator[tuple[str, SourceFile]]:
    """(key, file) of everything that was taken into a table."""
    c = taken_files.c
    with ledger.reading() as connection:
        query = select(taken_files).where(c.project == ledger.project, c.table_name == table).order_by(c.path)
        rows = connection.execute(query).all()
    return ((r.ingest_key, SourceFile(r.path, r.size, r.mtime_ns, r.sha256)) for r in rows)


def _commit_progress(project: str, table: str, key: str, taken: Sequence[_Taken], appends: Snapshot | None) -> Any:
    """In the transaction that publishes the snapshot: the files are taken, each once."""

    def commit(connection: Connection, artifact_id: str) -> Mapping[str, Json] | None:
        from raypipe.data.snapshot import latest

        snapshot = latest(connection, project, table)
        assert snapshot is not None, "the catalog's commit comes first"
        if appends is None:
            connection.execute(delete(taken_files).where(taken_files.c.project == project, taken_files.c.table_name == table))
        for t in taken:
            row = {"project": project, "table_name": table, "ingest_key": key, "num_rows": sum(f.num_rows for f in t.fragments), "snapshot_id": snapshot.id}
            connection.execute(insert(taken_files).values(**row, **asdict(t.file)))
        return None

    return commit
