"""An increment: what of a row-wise step's input is new since an earlier artifact of the step, and what of that artifact is carried over.

A row-wise step makes each fragment of its output from one fragment of its input, so that a fragment that was its input before need not be
worked on again. With the artifact lies a small file that says of each fragment of the input what it was (a digest of its bytes, its
deleted rows and its columns as they were read), which fragments it became, by their digests, and what the step noted of it. An earlier
artifact will do where

- its identity differs in nothing but the digest of the input: same settings, code, versions and other inputs;
- what the step says that its rows depend on beyond that (columns, a fitted chain) is the same;
- the files that are carried over are in the catalog and in the store.

Where the input only grew, and the step's table is as that artifact left it, the commit is an append: digests of tables are chained, so that
it is the digest that a full computation would have. Otherwise the table is overwritten by a snapshot that names old files beside new ones,
in the order of the input, which has that digest as well.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, cast

import pyarrow as pa
from sqlalchemy import Connection, select

from raypipe.core import schema as ledger_schema
from raypipe.core.artifact import Artifact, File, Json, Table
from raypipe.core.canonical import canonical
from raypipe.core.errors import Conflict, DataError, StoreError
from raypipe.core.step import Commit, Look, Made, Work
from raypipe.data.became import Became, Record, digest, read, write
from raypipe.data.fragment.conform import columns_digest, numbered
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake import catalog
from raypipe.data.lake import snapshot as snapshots
from raypipe.data.lake.commit import chained
from raypipe.data.lake.snapshot import Snapshot
from raypipe.data.rows import Written, gather
from raypipe.data.table import TableSchema, fragments, made

if TYPE_CHECKING:
    from raypipe.core.ledger import Ledger
    from raypipe.core.store import Store

ARTIFACTS = 8
"""Earlier artifacts of the step that are looked at, the newest first: one that a run on a sample made may stand before the one wanted."""


@dataclass(frozen=True)
class Increment:
    """The input of a row-wise step, and what of it need not be worked on."""

    inputs: Sequence[Fragment]
    """All of its fragments, in order."""
    depends: str
    """Digest of what the rows depend on beyond the step's identity."""
    carried: Mapping[int, Became] = field(default_factory=dict)
    """By the place of the input's fragment: what it had become."""
    earlier: Table | None = None
    """The artifact that it is carried over from."""
    before: Snapshot | None = None
    """What new fragments are appended to; None where the table is overwritten."""
    num_gone: int = 0
    """Fragments of the earlier input that are none of this one."""
    num_again: int = 0
    """Fragments that were input before, and are worked on again: what they became is lost, or some of it lies in the table beside."""
    why: str = ""
    """Why nothing is carried over though the step has run before."""

    @cached_property
    def new(self) -> list[Fragment]:
        """What is to be worked on, in order."""
        return [fragment for place, fragment in enumerate(self.inputs) if place not in self.carried]

    @property
    def share(self) -> float:
        """Of the rows that there are, those that are to be worked on."""
        return sum(f.num_live for f in self.new) / (sum(f.num_live for f in self.inputs) or 1)

    def __str__(self) -> str:
        """`3 of 300 fragments are new: 1.0 % of the rows computed, the others carried over`; empty where the step has not run before."""
        if not self.carried:
            return f"all {len(self.inputs):,} fragments are computed: {self.why}" if self.why else ""
        gone = f" and {self.num_gone:,} gone" if self.num_gone else ""
        again = f", {self.num_again:,} made again" if self.num_again else ""
        told = f"{len(self.new) - self.num_again:,} of {len(self.inputs):,} fragments are new{gone}{again}"
        return f"{told}: {100 * self.share:.1f} % of the rows computed, the others carried over"

    def standing(self, ledger: Ledger) -> list[Fragment]:
        """The fragments of the table that is appended to."""
        assert self.before is not None
        with ledger.reading() as connection:
            return snapshots.data_files(connection, self.before)

    def whole(self, work: Callable[[list[Fragment]], Written]) -> Whole:
        """`work` on what is new, one entry of its result for each fragment, and the rest beside it. DataError where the columns differ."""
        before = TableSchema.from_json(self.earlier.schema).arrow if self.earlier else None
        if not self.new:
            assert before is not None, "a table without a fragment"
            return Whole(self, self.carried, before)
        written = work(self.new)
        if before is not None:
            first = written.fragments[0]
            gather([(first, before, None), (first, written.schema, None)])
        made = zip(self._new_places(), written.fragments, written.notes, strict=True)
        return Whole(self, {**self.carried, **{place: Became([f.sha256], note, [f]) for place, f, note in made}}, written.schema)

    def _new_places(self) -> list[int]:
        return [place for place in range(len(self.inputs)) if place not in self.carried]


@dataclass(frozen=True)
class Whole:
    """What the whole input became, new or carried over: a full computation has the same."""

    increment: Increment
    became: Mapping[int, Became]
    """By the place of the input's fragment."""
    schema: pa.Schema

    @property
    def notes(self) -> list[Json]:
        """Of each fragment of the input, in order."""
        return [became.note for became in self._in_order]

    @cached_property
    def _in_order(self) -> list[Became]:
        return [self.became[place] for place in range(len(self.increment.inputs))]

    @property
    def num_rows(self) -> int:
        """Of the output."""
        before = self.increment.before
        return sum(f.num_live for b in self.became.values() for f in b.fragments) + (before.num_rows if before else 0)

    @property
    def computed(self) -> list[tuple[Fragment, Became]]:
        """What was new, each with what it became."""
        return [(f, b) for place, (f, b) in enumerate(self.pairs) if place not in self.increment.carried]

    @property
    def pairs(self) -> list[tuple[Fragment, Became]]:
        """Each fragment of the input with what it became."""
        return list(zip(self.increment.inputs, self._in_order, strict=True))

    def made(
        self, work: Work, name: str, schema: TableSchema, figures: dict[str, Json] | None = None, commits: Sequence[Commit] = ()
    ) -> Made[Table]:
        """The step's table, to be published: an append where that does, else an overwrite that keeps files.

        The figures get `fragments_computed` and `rows_computed` of the input."""
        about = {"fragments_computed": len(self.increment.new), "rows_computed": sum(f.num_live for f in self.increment.new)}
        figures = {**(figures or {}), **about}
        added = [fragment for became in self._in_order for fragment in became.fragments]
        if (before := self.increment.before) is not None:
            result = made(work, name, schema, added, mode="append", before=before, figures=figures, commits=commits)
        else:
            there = _still_there(work.project, self.increment.earlier)
            result = made(work, name, schema, added, mode="overwrite", figures=figures, commits=(*commits, *there))
        return replace(result, files=(*result.files, self._record(work)))

    def _record(self, work: Work) -> File:
        return write(work.store, work.path, self.increment.depends, self.pairs)


def increment(
    work: Work, table: Table, depends: Json = None, but: Sequence[str] = ("inputs.table",), beside: str | None = None
) -> Increment:
    """What of `table` is new since an earlier artifact of the step that runs; everything, where it is asked for anew.

    `depends`: what the step's rows depend on beyond its identity and the columns of its input. `but`: what of the identity, by dotted
    names, may have been another: the input's digest, and what `depends` covers. `beside`: a table beside the step's own, of what it keeps
    out; the note of a fragment of which something is there has the digests of those files as `beside`.
    """
    columns = TableSchema.from_json(table.schema).meaning()["columns"]
    parts = fragments(work.ledger, table)
    start = Increment(parts, hashlib.sha256(canonical([columns, depends]).encode()).hexdigest())
    best = start
    for artifact, _ in () if work.anew else earlier(work, but):
        found = _since(work, start, artifact, beside)
        if len(found.carried) > len(best.carried) or not (best.carried or best.why):
            best = found
        if len(best.carried) * 2 > len(parts):
            break
    return best


def foreseen(look: Look, table: Table, but: Sequence[str] = ("inputs.table",)) -> str:
    """`3 of 300 fragments are new`, for a plan; empty where none is as it was, or that is not known."""
    parts = fragments(look.ledger, table)
    for artifact, _ in earlier(look, but):
        with contextlib.suppress(DataError, StoreError):
            new, _ = unseen(look.store, artifact, parts)
            if len(new) < len(parts):
                return f"{len(new):,} of {len(parts):,} fragments are new"
    return ""


def earlier(look: Look, but: Sequence[str], limit: int = ARTIFACTS) -> Iterator[tuple[Table, Json]]:
    """Artifacts of the step whose identity differs in nothing but that, each with its identity, the newest first."""
    if not look.identity or "uncached" in look.identity:
        return
    a = ledger_schema.artifacts
    same = (a.c.project == look.project, a.c.pipeline == look.pipeline, a.c.step == look.step, a.c.kind == "Table")
    with look.ledger.reading() as connection:
        rows = connection.execute(select(a.c.id, a.c.identity).where(*same).order_by(a.c.number.desc()).limit(limit)).all()
    now = _less(look.identity, but)
    for row in rows:
        if row.identity and _less(row.identity, but) == now:
            yield cast(Table, look.ledger.artifact(row.id)), row.identity


def unseen(store: Store, artifact: Artifact, parts: Sequence[Fragment]) -> tuple[list[Fragment], int]:
    """Those of the fragments that were no input of the artifact, and how many of its inputs are not among them. DataError or StoreError
    where that is not known."""
    there = read(store, artifact).places()
    new = [fragment for fragment in parts if not _taken(there, fragment)]
    return new, sum(map(len, there.values()))


def grown(work: Work, parts: Sequence[Fragment]) -> tuple[Table, list[Fragment]] | None:
    """The newest artifact of the step that runs of which every input is among these fragments, with those that are new: for a step that
    only counts rows. None where there is none, and all are to be looked at."""
    for artifact, _ in () if work.anew else earlier(work, ("inputs.table",)):
        with contextlib.suppress(DataError, StoreError):
            new, num_gone = unseen(work.store, artifact, parts)
            if not num_gone:
                return artifact, new
    return None


def seen(work: Work, parts: Sequence[Fragment]) -> File:
    """What such a step leaves among its artifact's files, for the next run."""
    return write(work.store, work.path, "", [(fragment, Became(())) for fragment in parts])


def _taken(there: dict[bytes, list[int]], fragment: Fragment) -> bool:
    places = there.get(digest(fragment))
    return bool(places) and places.pop(0) is not None


def _less(identity: Mapping[str, Json], names: Sequence[str]) -> str:
    """The identity without what dotted names say, in its canonical form."""
    left: dict[str, Json] = dict(identity)
    for name in names:
        first, _, rest = name.partition(".")
        value = left.get(first)
        left[first] = {k: v for k, v in value.items() if k != rest} if rest and isinstance(value, dict) else value if rest else None
    return canonical(left)


def _since(work: Work, start: Increment, artifact: Table, beside: str | None) -> Increment:
    """What is carried over from that artifact."""
    try:
        before = read(work.store, artifact)
        if before.depends != start.depends:
            return replace(start, why="its columns, or what is computed of them, changed")
        appended = _appended(work, start, artifact, before, beside)
        return _kept(work, start, artifact, before, beside) if appended is None else appended
    except (DataError, StoreError) as error:
        return replace(start, why=f"the earlier result cannot be carried over: {error}")


def _appended(work: Work, start: Increment, artifact: Table, before: Record, beside: str | None) -> Increment | None:
    """The increment where the input only grew, and the newest snapshot of the step's table is whole and has what the earlier input became.

    Where nothing is new, something else is (a split, say): then a snapshot is made that says so.
    """
    num = len(before.inputs)
    if len(start.inputs) <= num or [digest(f) for f in start.inputs[:num]] != before.inputs:
        return None
    if beside is not None and not _stands(work, beside, [d for note in before.all_notes() for d in note.get("beside", ())]):
        return None
    with work.ledger.reading() as connection:
        try:
            newest = snapshots.latest(connection, work.project, artifact.name)
        except DataError:  # another program has changed the table: it is started afresh
            return None
        columns = columns_digest(numbered(TableSchema.from_json(artifact.schema).arrow))
        if newest is None or newest.columns_digest != columns or newest.chain != chained("", before.outputs()):
            return None
        if not all(work.store.holds(file) for file in snapshots.files(connection, newest)):
            return None
    carried = {place: Became([o.hex() for o in before.output[place]], before.note(place)) for place in range(num)}
    return replace(start, carried=carried, earlier=artifact, before=newest)


def _stands(work: Work, table: str, digests: Sequence[str]) -> bool:
    """Whether a table has just those files."""
    with work.ledger.reading() as connection:
        newest = snapshots.latest(connection, work.project, table)
    return (newest.chain if newest else "") == chained("", digests)


def _kept(work: Work, start: Increment, artifact: Table, before: Record, beside: str | None) -> Increment:
    """The increment where files of the earlier snapshot are named anew. The table beside is written anew then: what has rows there is
    computed again."""
    places, files = before.places(), _by_digest(fragments(work.ledger, artifact))
    carried: dict[int, Became] = {}
    num_again = 0
    for place, fragment in enumerate(start.inputs):
        if then := places.get(digest(fragment)):
            at = then.pop(0)
            digests, note = [output.hex() for output in before.output[at]], before.note(at)
            found = [files[digest].pop(0) for digest in digests if files.get(digest)]
            is_whole = len(found) == len(digests) and all(work.store.holds(File(f.path, f.size, f.sha256)) for f in found)
            if is_whole and not (beside is not None and "beside" in note):
                carried[place] = Became(digests, note, found)
            else:
                num_again += 1
    if not carried:
        return replace(start, why=f"of {num_again:,} the result is lost" if num_again else "none of them is as it was")
    return replace(start, carried=carried, earlier=artifact, num_gone=sum(map(len, places.values())), num_again=num_again)


def _by_digest(parts: Sequence[Fragment]) -> dict[str, list[Fragment]]:
    """Files of the same bytes may be several: of rows that were dropped, all."""
    found: dict[str, list[Fragment]] = defaultdict(list)
    for fragment in parts:
        found[fragment.sha256].append(fragment)
    return found


def _still_there(project: str, artifact: Table | None) -> list[Commit]:
    """The files of an earlier snapshot are kept as long as it is: should it have expired meanwhile, they may be gone soon."""

    def commit(connection: Connection, made: str) -> None:
        assert artifact is not None
        catalog.lock(connection)
        try:
            snapshots.find(connection, project, artifact.name, artifact.snapshot)
        except DataError as error:
            raise Conflict(str(error)) from error

    return [commit] if artifact else []
