"""The stages of a shuffle: fragments are dealt to buckets by tasks, neighbouring buckets are worked on by tasks, which write fragments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import Fragment, write_fragment
from raypipe.data.map import map_fragments
from raypipe.data.rows import FRAGMENT_ROWS, Item
from raypipe.data.shuffle.engine import select
from raypipe.data.shuffle.exchange import SMALL_BYTES, Dealt, clear, estimated_bytes, num_buckets, partitions, runs

if TYPE_CHECKING:
    import numpy as np

    from raypipe.core.store import Store


@dataclass(frozen=True)
class Portion:
    """Neighbouring buckets of all files that belong together."""

    number: int
    dealt: tuple[Dealt, ...]
    size: int

    @property
    def path(self) -> str:
        return self.dealt[0].path


@dataclass(frozen=True)
class Part:
    """What one task wrote: fragments of at most 500,000 rows, none of them empty, and what is to be known of them."""

    fragments: list[Fragment]
    schema: pa.Schema
    note: Any = None


def is_small(fragments: Sequence[Fragment], schema: pa.Schema) -> bool:
    """Whether one task does it all: by what the rows take in memory and by the bytes of the files, whichever is more."""
    return max(estimated_bytes(fragments, schema), sum(f.size for f in fragments)) <= SMALL_BYTES


def buckets_for(fragments: Sequence[Fragment], schema: pa.Schema) -> int:
    return num_buckets(estimated_bytes(fragments, schema))


def exchange(work: Work) -> str:
    """The folder of what is dealt, in the attempt's own."""
    return f"{work.path}/exchange"


def over_fragments(work: Work, kernel: Callable[[Any], Any], fragments: Sequence[Fragment]) -> list[Any]:
    """The kernel of each numbered fragment."""
    work.alive()
    return map_fragments(kernel, [Item(number, fragment) for number, fragment in enumerate(fragments)], inline=work.inline)


def over_buckets(work: Work, kernel: Callable[[Portion], Any], dealt: Sequence[Dealt], by: Sequence[str], most_bytes: int) -> list[Any]:
    """The kernel of each portion. DataError where one bucket is more than a task may hold, naming the value that most of its rows have."""
    work.alive()
    refuse_heavy(work, dealt, by, most_bytes)
    return map_fragments(kernel, portions(dealt), inline=work.inline)


def portions(dealt: Sequence[Dealt]) -> list[Portion]:
    return [
        Portion(number, tuple(part.of(first, last) for part in dealt), int(sum(part.sizes[first:last].sum() for part in dealt)))
        for number, (first, last) in enumerate(partitions(_sizes(dealt)))
    ]


def refuse_heavy(work: Work, dealt: Sequence[Dealt], by: Sequence[str], most_bytes: int) -> None:
    """DataError where one bucket is more than a task may hold, naming the value that most of its rows have."""
    sizes = _sizes(dealt)
    heaviest = int(sizes.argmax())
    if sizes[heaviest] > most_bytes:
        bucket = Portion(heaviest, tuple(part.of(heaviest, heaviest + 1) for part in dealt), int(sizes[heaviest]))
        told = map_fragments(Heaviest(work.store, tuple(by)), [bucket], inline=work.inline)[0]
        raise DataError(f"{work.step}: {told}, more than the {most_bytes:,} that one task may hold (max_key_bytes). {_REMEDY}")


def _sizes(dealt: Sequence[Dealt]) -> np.ndarray:
    return sum((part.sizes for part in dealt[1:]), dealt[0].sizes)


_REMEDY = "Leave such rows out before, add a column to the key, or raise the bound where the machines have the memory."


def done(work: Work, *dealt: Sequence[Dealt]) -> None:
    """What was dealt is deleted: its rows lie in fragments now."""
    for files in dealt:
        clear(work.store, files)


def write_part(store: Store, path: str, number: int, rows: pa.Table, note: Any = None) -> Part:
    starts = range(0, rows.num_rows, FRAGMENT_ROWS)
    written = [
        write_fragment(store, f"{path}/part-{number:05d}-{i:03d}.parquet", rows.slice(at, FRAGMENT_ROWS)) for i, at in enumerate(starts)
    ]
    return Part(written, rows.schema, note)


def joined(work: Work, parts: Sequence[Part]) -> Part:
    """All that was written, in order; one empty fragment where there is no row. Notes as a list."""
    schema = parts[0].schema
    assert all(part.schema.equals(schema) for part in parts), "each task writes the same columns"
    fragments = [fragment for part in parts for fragment in part.fragments]
    if not fragments:
        fragments = [write_fragment(work.store, f"{work.path}/part-00000-000.parquet", schema.empty_table())]
    return Part(fragments, schema, [part.note for part in parts])


@dataclass(frozen=True)
class Heaviest:
    """A bucket that is too large -> what most of its rows have in common, in words. It holds one run of rows at a time."""

    store: Store
    by: tuple[str, ...]

    def __call__(self, bucket: Portion) -> str:
        keys = ", ".join(f"k{i}" for i in range(len(self.by))) or "0 as k0"
        found: pa.Table | None = None
        for part in bucket.dealt:
            for rows in runs(self.store, part):
                counted = select(f"select {keys}, count(*)::bigint as n from rows group by all", {"rows": rows}, "counting keys")
                every = counted if found is None else pa.concat_tables([found, counted], promote_options="permissive")
                found = select(f"select {keys}, sum(n)::bigint as n from rows group by all", {"rows": every}, "counting keys")
        assert found is not None, "a bucket of bytes has rows"
        most = found.sort_by([("n", "descending")]).slice(0, 1).to_pylist()[0]
        value = ", ".join(f"{name} = {most[f'k{i}']!r}" for i, name in enumerate(self.by))
        return f"the rows that must come together take {bucket.size:,} bytes, most of them ({most['n']:,} rows) with {value}"
