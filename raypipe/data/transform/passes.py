"""The passes of a transform over a table: over the training part to learn, then one over everything to apply, judge and write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.step import Work
from raypipe.data.contract.judgement import New, Stays, judged
from raypipe.data.fragment.fragment import Fragment
from raypipe.data.function.fault import placed
from raypipe.data.increment import Increment, Whole
from raypipe.data.map import map_fragments
from raypipe.data.rows import Item, Written, gather
from raypipe.data.split import columns, mask
from raypipe.data.transform.kernel import Apply, Done, spans
from raypipe.data.transform.where import Where, of_part

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.transform.chain import Stage

NUM_EXAMPLES = 8
PIECE_ROWS = 4_096


@dataclass(frozen=True)
class Training:
    """A kernel: a fragment -> the states of one stage, of its training rows. It travels to a task."""

    store: Store
    stage: Stage
    split: Json
    """None: every row is for training."""
    where: Where | None
    part: Where | None
    """What leaves row groups without a training row unread."""

    def __call__(self, fragment: Fragment) -> list[Json]:
        """A state for each piece of it that has a training row."""
        wanted = list(dict.fromkeys([*self.stage.columns, *(columns(self.split) if self.split else ())]))
        states = []
        for span in spans(self.store, fragment, wanted, self.where, self.part):
            if self.split is not None:
                span = span.only(np.asarray(mask(self.split, span.rows, "train")))
            with placed(fragment.path, span.count):
                states.append(self.stage(span.rows))
        return [state for state in states if state is not None]


@dataclass(frozen=True)
class Transformed:
    """What the table is after the last pass."""

    whole: Whole
    """Its notes add up, see `kernel.Done`; `beside` are the digests of the files of rows that the contract kept out of a fragment."""
    breaches: list[Fragment]
    """Of what was computed, as are those that follow."""
    refused: list[Fragment]

    def sum(self, what: str) -> int:
        return sum(note[what] for note in self.whole.notes)


def reached(parts: Sequence[Fragment], *conditions: Where | None) -> list[Fragment]:
    """Those that can hold a row that meets all conditions, by their statistics: the others need no task."""
    return [part for part in parts if all(where is None or where.may_hold(part.stats, part.num_rows) for where in conditions)]


def learn(work: Work, kernel: Training | Any, parts: Sequence[Fragment]) -> list[Json]:
    """The states of a stage, in the order of the fragments."""
    work.alive()
    return [state for states in map_fragments(kernel, parts, inline=work.inline) for state in states]


def transform(work: Work, kernel: Apply, new: Increment) -> Transformed:
    """A fragment out for each that is new, in order, and what is carried over."""
    work.alive()
    done: list[Done] = []

    def compute(parts: list[Fragment]) -> Written:
        items = [Item(number, fragment) for number, fragment in enumerate(parts)]
        done.extend(map_fragments(kernel, items, inline=work.inline))
        return gather([(d.fragment, d.schema, d.note | ({"beside": [f.sha256 for f in d.breaches]} if d.breaches else {})) for d in done])

    return Transformed(new.whole(compute), [f for d in done for f in d.breaches], [d.refused for d in done if d.refused])


def judge(work: Work, kernel: Apply, made: Transformed, table: str) -> dict[str, Json]:
    """The contract's figures over the whole table; none without one. DataError where the table may not be."""
    if kernel.contract is None:
        return {}
    before, earlier = made.whole.increment.before, made.whole.increment.earlier
    pairs = made.whole.computed if before else made.whole.pairs
    names = {f.path: fragment.path for fragment, became in pairs for f in became.fragments}
    findings = [became.note["findings"] for _, became in pairs]
    new = New(findings, [f for _, became in pairs for f in became.fragments], names, made.refused)
    stays = Stays(before.num_rows, lambda: made.whole.increment.standing(work.ledger), earlier) if before else Stays()
    return judged(work, kernel.contract, stays, new, kernel.against, table=table)


def examples(store: Store, parts: Sequence[Fragment], inputs: pa.Schema, split: Json, where: Where | None, schema: pa.Schema) -> bytes:
    """The first rows of the validation part, as they are before the transform, as an Arrow file; of any part where that has none.

    `schema` is the whole table's. Few row groups are read, since the first that has such a row has them all as a rule.
    """
    part = of_part(split, schema, "validation")
    wanted = list(dict.fromkeys([*inputs.names, *(columns(split) if split else ())]))
    others = inputs.empty_table()
    for fragment in parts:
        for span in spans(store, fragment, wanted, where, part):
            for start in range(0, span.rows.num_rows, PIECE_ROWS):
                rows = span.rows.slice(start, PIECE_ROWS)
                found = rows if split is None else rows.filter(mask(split, rows, "validation"))
                if found.num_rows:
                    return _to_bytes(found.select(inputs.names).slice(0, NUM_EXAMPLES))
                others = others if others.num_rows else rows.select(inputs.names).slice(0, NUM_EXAMPLES)
    return _to_bytes(others)


def _to_bytes(rows: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()
