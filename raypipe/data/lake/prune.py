"""Pruning: the files of a table that can hold rows that meet conditions, by the catalog alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pyarrow as pa

from raypipe.data.fragment.fragment import Fragment
from raypipe.data.lake.partition import Key, layout, texts
from raypipe.data.where.where import Predicate, Test


def pruned(fragments: Sequence[Fragment], where: Predicate) -> list[Fragment]:
    """Those that statistics and partitions do not rule out, in their order. A file with a row that meets `where` is never left out."""

    @cache
    def among(key: str, number: int) -> frozenset[str | None]:
        return _values(key, where.tests[number])

    def may_match(fragment: Fragment) -> bool:
        known = dict(fragment.partition)
        exact = [(key, number) for key in known for number, test in enumerate(where.tests) if _is_about(key, test)]
        return all(known[key] in among(key, number) for key, number in exact) and where.may_match(fragment.stats, fragment.num_rows)

    return [fragment for fragment in fragments if may_match(fragment)]


@cache
def _key(text: str) -> Key:
    return layout([text]).partition_by[0]


def _is_about(key: str, test: Test) -> bool:
    """Whether the condition says what the partition's value must be."""
    return test.op in ("=", "in") and _key(key).column == test.column


def _values(key: str, test: Test) -> frozenset[str | None]:
    """The partition's values of the rows that meet a condition; null meets none."""
    found = texts(pa.chunked_array([test.values]), _key(key))
    return frozenset(found.drop_null().to_pylist())
