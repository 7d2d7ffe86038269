"""Ingesting: what is new in a source read, checked and written in one pass, and committed with the progress that says so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from raypipe.core.artifact import File, Json, Table
from raypipe.core.errors import DataError
from raypipe.core.step import Commit, Made, Work
from raypipe.data.contract.against import NOTHING, Against
from raypipe.data.contract.breaches import breaches_commits, breaches_target
from raypipe.data.contract.breaches import table_of as breaches_of
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.judgement import New as Judged
from raypipe.data.contract.judgement import Stays, judged
from raypipe.data.contract.references import against
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.ingest import progress, quarantine
from raypipe.data.ingest.held import Held, held, refuse_gone
from raypipe.data.ingest.intake import Intake, Numbered, Taken
from raypipe.data.ingest.policy import Policy
from raypipe.data.ingest.progress import Rows, Step, TakenFile
from raypipe.data.ingest.replaced import after_strike, strike_rows
from raypipe.data.lake.current import operation
from raypipe.data.lake.evolve import NewColumns, grown
from raypipe.data.lake.partition import Layout
from raypipe.data.lake.strike import Struck
from raypipe.data.lake.target import Target, target
from raypipe.data.map import Workers, map_fragments
from raypipe.data.reconcile import reconciled
from raypipe.data.source.files import FilePiece
from raypipe.data.source.piece import Bad, Batch, Limit, New, Piece, Source
from raypipe.data.table import TableSchema, change_of, changed, latest

NUM_PROBLEMS = 30
"""Lines of problems that are told of one batch."""
NOTHING_STRUCK = Struck([], [], 0)


@dataclass(frozen=True)
class Order:
    """What is to be taken from where into which table."""

    source: Source
    table: str
    contract: Contract | None = None
    policy: Policy = Policy()
    limit: Limit | None = None
    layout: Layout | None = None
    """How the table's files are parted and sorted from now on; None: as they are."""
    new_columns: NewColumns = NewColumns()
    """What the rows may change about the table's columns."""
    checks_files: bool = True
    """Whether it is looked first whether the store has lost files of the table."""
    profile: bool = False
    """Whether the fragments are profiled as they are written."""


@dataclass(frozen=True)
class Intaken:
    """A batch, to be published."""

    made: Made[Table]
    new: New
    """What it takes, with the position that reading it told."""


def ingest(work: Work, source: Source, contract: Contract | None, table: str, policy: Policy | None = None, **how: Any) -> Made[Table]:
    """Takes what the table does not hold yet, each record exactly once; with other settings than before all of it, anew.

    DataError, and nothing is kept, for a piece that cannot be read or does not fit, a file that changed or vanished since it was taken,
    rows that break the contract: every one of them, by name, but for what `policy` lets pass. `how`: further fields of Order.
    """
    return take(work, Order(source, table, contract, policy or Policy(), **how)).made


def take(work: Work, order: Order) -> Intaken:
    """A batch of what is new, of at most the order's limit."""
    key = progress.ingest_key(order.source, order.contract, work.sample)
    base = held(work, order.table, key, checks_files=order.checks_files)
    if base.former is not None:
        refuse_gone(work, order.source, order.table, base.former)
    new = order.source.new(work, base.progress, order.limit)
    order.policy.refuse(new)
    for line in (new.told, *order.policy.told(new)):
        work.report(line)
    if new.whole and new.pieces:
        base = base.emptied()
    fresh, again = order.policy.pieces(new)
    to = _target(work, order, base, [*fresh, *again])
    beside = breaches_target(work, order.table, to.bare, anew=base.snapshot is None) if _keeps_out(work, order, base) else None
    others = against(work, order.contract) if order.contract else NOTHING
    keeps_bad = order.policy.on_bad == "quarantine"
    kernel = Intake(work.store, work.path, order.source, to, order.contract, work.sample, keeps_bad, beside, others)
    numbered = [Numbered(n, piece) for n, piece in enumerate([*fresh, *again])]
    on = Workers(waits=not all(isinstance(piece, FilePiece) and piece.is_local for piece in [*fresh, *again]))
    taken = map_fragments(kernel, numbered, inline=work.inline, on=on)
    batch = _Batch(work, order, key, base, to, beside, others, taken, [piece.name for piece in again])
    return batch.made(_settled(order.source, new, taken))


@dataclass(frozen=True)
class _Batch:
    """What was read of a batch, on its way to be published."""

    work: Work
    order: Order
    key: str
    base: Held
    to: Target
    breaches: Target | None
    others: Against
    all_taken: Sequence[Taken]
    again: Sequence[str]
    """The names of the files whose rows are replaced."""

    def made(self, new: New) -> Intaken:
        taken, poison = self._parted()
        parts = [fragment for t in taken for fragment in t.fragments]
        if taken:
            self.work.report(_counted(self.order.table, taken))
        struck_rows = [self._rows_of(name) for name in self.again]
        struck = strike_rows(self.work, self.base.fragments, struck_rows) if struck_rows else NOTHING_STRUCK
        figures = _figures(taken, poison, struck) | self._judged(taken, struck)
        _refuse_no_rows(self.work, self.base, new, parts)
        kept_out, beside = quarantine.commits(self.work, self.order.table, [f for t in taken for f in t.quarantined], poison)
        breaches = [fragment for t in taken for fragment in t.breaches]
        for line in _quarantined(figures, self.order.table):
            self.work.report(line)
        files = [*_files(taken, poison, self.all_taken), *_doubles(new)]
        anew = self.base.snapshot is None
        step = Step(self.key, self.base.committed, new.after, files, anew, struck_rows, self.base.is_moved)
        commits = [*beside, *self._beside(breaches), progress.record(self.work.project, self.order.table, step)]
        made = self._changed(parts, struck, figures, commits)
        return Intaken(replace(made, files=(*made.files, *(File(f.path, f.size, f.sha256) for f in (*kept_out, *breaches)))), new)

    def _beside(self, breaches: Sequence[Fragment]) -> Sequence[Commit]:
        if self.breaches is None:
            return ()
        anew = self.base.snapshot is None
        return breaches_commits(self.work, self.order.table, self.breaches, breaches, anew=anew, replaced=self.again)

    def _parted(self) -> tuple[list[Taken], list[Bad]]:
        """What was taken, and the files that go to quarantine. DataError with all that is wrong with the others."""
        keeps = self.order.policy.on_bad == "quarantine"
        poison = [t for t in self.all_taken if t.is_poison and keeps]
        told = [line for t in self.all_taken if not (t.is_poison and keeps) for line in (*t.problems, *_bad(t, keeps))]
        if told:
            more = [f"... and {len(told) - NUM_PROBLEMS:,} more"] if len(told) > NUM_PROBLEMS else []
            raise DataError("\n".join([*told[:NUM_PROBLEMS], *more]))
        return [t for t in self.all_taken if not t.problems], [Bad(t.piece.name, "\n".join(t.problems)) for t in poison]

    def _rows_of(self, name: str) -> Rows:
        committed = self.base.committed
        assert committed is not None, "only a file that was taken can have changed"
        file = committed.files[name]
        if file.first_row < 0 or self.base.is_moved:
            raise DataError(
                f"{name}: its content has changed since it was taken, and table {self.order.table} was changed by others too, so that its "
                "rows cannot be told from theirs any more. Put the file back as it was, or take everything into another table."
            )
        return Rows(file.first_row, file.num_rows)

    def _judged(self, taken: Sequence[Taken], struck: Struck) -> dict[str, Json]:
        before = None if struck.num_rows or self.base.is_moved else self.base.table
        stays = Stays(self.base.num_rows - struck.num_rows, lambda: after_strike(self.base.fragments, struck), before)
        if self.order.contract is None:
            return {}
        names = {f.path: t.piece.name for t in taken for f in t.fragments}
        refused = [t.refused for t in taken if t.refused]
        new = Judged([t.findings for t in taken], [f for t in taken for f in t.fragments], names, refused)
        return judged(self.work, self.order.contract, stays, new, self.others, table=self.order.table)

    def _changed(self, parts: Sequence[Any], struck: Struck, figures: dict[str, Json], commits: Sequence[Any]) -> Made[Table]:
        contract = self.order.contract
        schema = TableSchema(self.to.bare, contract.known_afterwards if contract else ())
        said = [operation("replace", sorted(self.again))] if struck.num_rows else []
        what = {"ended": struck.ended, "deletes": struck.deletes, "digests": [*said, *(f.sha256 for f in parts)], "exact": True}
        before = self.base.snapshot
        mode = "overwrite" if before is None else "upsert" if struck.num_rows else "append"
        what |= self.to.commit(self.order.table, before)
        return changed(change_of(self.work, self.order.table, schema, mode, before, fragments=parts, **what), schema, figures, commits)


def _target(work: Work, order: Order, base: Held, pieces: Sequence[Piece]) -> Target:
    """The columns of the table: the contract's; what it leaves open, those of the table as it is, or of the first piece that tells.

    Where columns may be added or widened, those of every piece that tells: its first rows are read for that.
    """
    stated = order.contract.types() if order.contract else {}
    types = stated | {f.name: f.type for f in base.columns or () if f.name not in stated}
    if not (order.contract and order.contract.exact):
        is_new, allow = base.columns is None, order.new_columns
        every = allow.add or allow.widen
        for schema in itertools.islice(_schemas(order, pieces, stated), None if every else int(is_new)):
            types = grown(types, schema, NewColumns(add=True) if is_new and not every else allow)
    columns = pa.schema([pa.field(name, type_) for name, type_ in types.items()])
    made = target(work.ledger, base.snapshot, columns, layout=order.layout, new_columns=order.new_columns)
    return replace(made, profiles=order.profile)


def _schemas(order: Order, pieces: Sequence[Piece], stated: dict[str, pa.DataType]) -> Iterator[pa.Schema]:
    """Of the pieces that can be read."""
    for piece in pieces:
        try:
            first = next(iter(order.source.batches(piece, stated)))
        except DataError:
            if order.policy.on_bad == "fail" or piece is pieces[-1]:
                raise
            continue
        yield (first.rows if isinstance(first, Batch) else first).schema


def _settled(source: Source, new: New, taken: Sequence[Taken]) -> New:
    """With the position that only reading could tell."""
    settle = getattr(source, "settle", None)
    return settle(new, [mark for t in taken for mark in t.marks]) if settle else new


def _keeps_out(work: Work, order: Order, base: Held) -> bool:
    """Whether there is something to say of the table of breaches: of one that is made anew, that it has no rows any more."""
    may = order.contract is not None and order.contract.keeps_out
    return may or (base.snapshot is None and latest(work.ledger, breaches_of(order.table)) is not None)


def _bad(taken: Taken, keeps: bool) -> list[str]:
    if keeps:
        return []
    more = [f"... and {taken.num_bad - len(taken.bad):,} more records of {taken.piece.name}"] if taken.num_bad > len(taken.bad) else []
    return [f"{bad.position}: {bad.reason}" for bad in taken.bad] + more


def _figures(taken: Sequence[Taken], poison: Sequence[Bad], struck: Struck) -> dict[str, Json]:
    return {
        "new_pieces": len(taken),
        "rows_read": sum(t.num_read for t in taken),
        "rows_sampled": sum(t.num_sampled for t in taken),
        "rows_dropped": sum(t.num_dropped for t in taken),
        "rows_quarantined": sum(t.num_breaches for t in taken),
        "rows_replaced": struck.num_rows,
        "records_quarantined": sum(t.num_bad for t in taken),
        "files_quarantined": len(poison),
    }


def _counted(table: str, taken: Sequence[Taken]) -> str:
    """What became of the rows of all pieces, in words."""
    out = {
        "not_sampled": sum(t.num_read - t.num_sampled for t in taken),
        "dropped": sum(t.num_dropped for t in taken),
        "quarantined": sum(t.num_breaches for t in taken),
    }
    return reconciled(f"table {table}", sum(t.num_read for t in taken), sum(t.num_kept for t in taken), **out)


def _quarantined(figures: dict[str, Json], table: str) -> list[str]:
    found = {"records": figures["records_quarantined"], "files": figures["files_quarantined"]}
    told = " and ".join(f"{num:,} {what}" for what, num in found.items() if num)
    lines = [f"{told} could not be read: they are in quarantine, in table {quarantine.table_of(table)}, with the reasons"] if told else []
    if num := figures["rows_quarantined"]:
        lines.append(f"{num:,} rows break the contract: they are in table {breaches_of(table)}, with the reasons")
    return lines


def _files(taken: Sequence[Taken], poison: Sequence[Bad], everything: Sequence[Taken]) -> list[TakenFile]:
    """What becomes of each file, in the order of their rows."""
    found = [TakenFile(t.piece.file, t.num_kept) for t in taken if isinstance(t.piece, FilePiece)]
    reasons = {bad.position: bad.reason for bad in poison}
    pieces = [t.piece for t in everything if t.piece.name in reasons]
    return found + [TakenFile(piece.file, reason=reasons[piece.name]) for piece in pieces if isinstance(piece, FilePiece)]


def _doubles(new: New) -> list[TakenFile]:
    left_out = [piece for piece in new.pieces if isinstance(piece, FilePiece) and piece.name in new.doubles]
    return [TakenFile(piece.file, reason=f"has the same content as {new.doubles[piece.name]}") for piece in left_out]


def _refuse_no_rows(work: Work, base: Held, new: New, parts: Sequence[Any]) -> None:
    if not parts and base.snapshot is None:
        where = f"a sample of {work.sample:g} of its rows" if work.sample < 1 else "what is left of its rows"
        name = new.pieces[0].name if len(new.pieces) == 1 else "the source"
        raise DataError(f"{name}: {where} is empty: there is nothing to make a table of")
