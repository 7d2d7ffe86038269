"""Ingesting: what is new in a source read, checked and written in one pass, and committed with the progress that says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import File, Json, Table
from raypipe.core.errors import DataError
from raypipe.core.step import Made, Work
from raypipe.data import progress
from raypipe.data.contract import Contract
from raypipe.data.findings import Place, breaches, examine, merge, words
from raypipe.data.fragment import Fragment, read_fragment
from raypipe.data.intake import Intake, Numbered, Taken
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.map import map_fragments
from raypipe.data.progress import Committed, TakenFile
from raypipe.data.source.files import FilePiece
from raypipe.data.source.piece import NOTHING, Batch, Limit, New, Progress, Source
from raypipe.data.table import TableSchema, fragments, latest, made

if TYPE_CHECKING:
    from raypipe.core.store import Store

NUM_PROBLEMS = 30
"""Lines of problems that are told of one batch."""


def ingest(work: Work, source: Source, contract: Contract | None, table: str, limit: Limit | None = None) -> Made[Table]:
    """Takes what the table does not hold yet, each record exactly once; with other settings than before all of it, anew.

    DataError, and nothing is kept, for a piece that cannot be read or does not fit, a file that changed or vanished since it was taken,
    rows that break the contract: every one of them, by name.
    """
    key = progress.ingest_key(source, contract, work.sample)
    base = _base(work, table, key)
    new = source.new(work, base.progress, limit)
    _refuse_changed(new)
    work.report(new.told)
    types = _types(work, source, contract, base, new)
    kernel = Intake(work.store, work.path, source, types, contract, work.sample)
    taken = map_fragments(kernel, [Numbered(n, piece) for n, piece in enumerate(new.pieces)], inline=work.inline)
    _refuse_problems(taken)
    parts = [fragment for t in taken for fragment in t.fragments]
    figures = _figures(taken) | _judged(work, contract, base, taken)
    _refuse_no_rows(work, base, new, parts)
    new = _settled(source, new, taken)
    files = [TakenFile(t.piece.file, t.num_kept) for t in taken if isinstance(t.piece, FilePiece)]
    schema = TableSchema(pa.schema(list(types.items())), contract.known_afterwards if contract else ())
    return made(
        work,
        table,
        schema,
        parts,
        mode="append" if base.snapshot else "overwrite",
        before=base.snapshot,
        figures=figures,
        commits=[progress.record(work.project, table, key, base.committed, new.after, files, anew=base.snapshot is None)],
    )


def findings_of(work: Work, contract: Contract, table: Table) -> dict[str, Json]:
    """`passed`, `rules` (every rule with its figure), `rows`, `summary` (lines): of the pass that wrote the table, or of another one where
    this contract was not the one that it was written under. DataError with every rule that is broken and fails."""
    written = table.figures.get("contract")
    if written and written["digest"] == contract.digest():
        rules = written["rules"]
    else:
        parts = fragments(work.ledger, table)
        rules = merge(map_fragments(_Examine(work.store, contract), parts, inline=work.inline))
        rules = [*rules, *_unique(work, contract, parts, {})]
    _refuse_breaches(work, contract, rules, table.num_rows)
    broken = [words(rule) for rule in rules if rule["figure"]]
    return {"passed": True, "rules": rules, "rows": table.num_rows, "summary": broken or [f"{len(rules)} rules, none broken"]}


@dataclass(frozen=True)
class _Base:
    """What the table holds already of this source, taken in this way; nothing where it is made anew."""

    snapshot: Snapshot | None = None
    progress: Progress = NOTHING
    fragments: Sequence[Fragment] = ()
    table: Table | None = None
    committed: Committed | None = None
    """The progress that a commit moves on, of whatever key."""


def _base(work: Work, table: str, key: str) -> _Base:
    before = progress.committed(work.ledger, table)
    if before is None or before.key != key:
        return _Base(committed=before)
    found = latest(work.ledger, table)
    artifact = work.ledger.artifact(before.artifact)
    if found is None or not isinstance(artifact, Table):
        return _Base(committed=before)
    if found.chain != before.chain:
        work.report(f"table {table} was written by another step since: all of its source is read anew")
        return _Base(committed=before)
    parts = fragments(work.ledger, _at(artifact, found))
    lost = [f.path for f in parts if not work.store.holds(File(f.path, f.size, f.sha256))]
    if lost:
        work.report(f"{len(lost):,} fragments of table {table} are not in the store any more: all of its source is read anew")
        return _Base(committed=before)
    return _Base(found, before.progress, parts, artifact, before)


def _at(artifact: Table, snapshot: Snapshot) -> Table:
    return replace(artifact, figures={**artifact.figures, "table": snapshot.name, "snapshot": snapshot.id})


def _refuse_changed(new: New) -> None:
    advice = "Put it back as it was and bring what is new as a new file, or take everything anew into another table (setting `table`)."
    told = [f"{piece.name}: its rows were taken, and its content has changed since. {advice}" for piece in new.changed]
    for name, other in new.gone.items():
        where = f"; {other} has its content" if other else ""
        told.append(f"{name}: its rows were taken, and it is not there any more{where}. {advice}")
    told += [
        f"{name}: has the same content as {other}, so that its rows would be taken twice. Remove one of them."
        for name, other in new.doubles.items()
        if other not in new.gone
    ]
    if told:
        raise DataError("\n".join(told))


def _types(work: Work, source: Source, contract: Contract | None, base: _Base, new: New) -> dict[str, pa.DataType]:
    """The columns of the table: the contract's; what it leaves open, those of the table as it is, or of the first piece."""
    stated = contract.types() if contract else {}
    if contract and contract.exact:
        return stated
    if base.table is not None:
        schema = TableSchema.from_json(base.table.schema).arrow
    elif new.pieces:
        first = next(iter(source.batches(new.pieces[0], stated)))
        schema = (first.rows if isinstance(first, Batch) else first).schema
    else:
        return stated
    return stated | {f.name: f.type for f in schema if f.name not in stated}


def _settled(source: Source, new: New, taken: Sequence[Taken]) -> New:
    """With the position that only reading could tell."""
    settle = getattr(source, "settle", None)
    return settle(new, [mark for t in taken for mark in t.marks]) if settle else new


def _refuse_problems(taken: Sequence[Taken]) -> None:
    told = [line for t in taken for line in (*t.problems, *(f"{bad.position}: {bad.reason}" for bad in t.bad))]
    if told:
        more = [f"... and {len(told) - NUM_PROBLEMS:,} more"] if len(told) > NUM_PROBLEMS else []
        raise DataError("\n".join([*told[:NUM_PROBLEMS], *more]))


def _figures(taken: Sequence[Taken]) -> dict[str, Json]:
    return {
        "new_pieces": len(taken),
        "rows_read": sum(t.num_read for t in taken),
        "rows_sampled": sum(t.num_sampled for t in taken),
        "rows_dropped": sum(t.num_sampled - t.num_kept for t in taken),
    }


def _judged(work: Work, contract: Contract | None, base: _Base, taken: Sequence[Taken]) -> dict[str, Json]:
    """The contract's figures over the whole table, where all of it was taken under this contract. DataError where it is broken."""
    if contract is None:
        return {}
    new = [fragment for t in taken for fragment in t.fragments]
    names = {fragment.path: t.piece.name for t in taken for fragment in t.fragments}
    found = [*merge([t.findings for t in taken]), *_unique(work, contract, [*base.fragments, *new], names)]
    _refuse_breaches(work, contract, found, sum(f.num_rows for f in (*base.fragments, *new)))
    for what, done in (("drop", "dropped"), ("warn", "kept")):
        for text in breaches(found, what):
            work.report(f"{text}: {done}")
    if base.table is None:
        return {"contract": {"digest": contract.digest(), "rules": found}}
    before = base.table.figures.get("contract")
    if not before or before["digest"] != contract.digest():
        return {}
    earlier = [rule for rule in before["rules"] if rule["rule"] != "unique"]
    return {"contract": {"digest": contract.digest(), "rules": merge([earlier, found])}}


def _unique(work: Work, contract: Contract, parts: Sequence[Fragment], names: Mapping[str, str]) -> list[Json]:
    if not any(column.unique for column in contract.columns.values()):
        return []
    from raypipe.data.unique import repeated

    told = {fragment.path: names.get(fragment.path, "rows taken before") for fragment in parts}
    return repeated(work.store, contract, parts, told, work.inline)


def _refuse_breaches(work: Work, contract: Contract, rules: Sequence[Json], num_rows: int) -> None:
    told = breaches(rules, "fail")
    # A sample of a table need not be as large as the table.
    if num_rows < (contract.min_rows if work.sample >= 1 else min(contract.min_rows, 1)):
        told.append(f"the table has {num_rows:,} rows, the contract asks for at least {contract.min_rows:,}")
    if told:
        raise DataError("\n".join(told))


def _refuse_no_rows(work: Work, base: _Base, new: New, parts: Sequence[Fragment]) -> None:
    if not parts and base.snapshot is None:
        where = f"a sample of {work.sample:g} of its rows" if work.sample < 1 else "what is left of its rows"
        name = new.pieces[0].name if len(new.pieces) == 1 else "the source"
        raise DataError(f"{name}: {where} is empty: there is nothing to make a table of")


@dataclass(frozen=True)
class _Examine:
    """A fragment -> what a contract finds in it. It travels to a task."""

    store: Store
    contract: Contract

    def __call__(self, fragment: Fragment) -> list[Json]:
        import numpy as np

        rows = self.contract.fit(read_fragment(self.store, fragment))
        return examine(self.contract, rows, Place(fragment.path, np.arange(1, rows.num_rows + 1)))[2]
