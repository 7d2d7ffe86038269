"""A table dealt by ranges and sorted range by range is the table sorted at once; rows are dealt alike wherever they lie."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.shuffle.order import order
from raypipe.data.shuffle.places import AT, places
from raypipe.data.shuffle.sort import Ordering, Scatter, bounds
from tests.data.shuffle.tables import NAMES, pieces, rows, tables


@settings(max_examples=60)
@given(data=st.data())
def test_ranges_in_a_row_are_the_order(data):
    table = data.draw(tables(max_rows=20))
    words = st.sampled_from(["", " desc", " nulls first", " desc nulls first"])
    names = data.draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
    asked = Ordering(tuple(order(name + data.draw(words)) for name in names))
    whole = table.take(asked.places(table))
    placed = [piece.append_column(AT, places(i, piece.num_rows)) for i, piece in enumerate(data.draw(pieces(table)))]
    cuts = bounds(asked, pa.concat_tables(placed), data.draw(st.integers(1, 5)))
    scatter = Scatter(None, "", asked, cuts)  # type: ignore[arg-type]
    ranges: list[list[pa.Table]] = [[] for _ in range(cuts.num_rows + 1)]
    for piece in placed:
        ordered = piece.take(asked.places(piece))
        buckets = scatter._buckets(ordered, ordered[AT])  # type: ignore[arg-type]
        for number, found in enumerate(ranges):
            found.append(ordered.filter(pa.array(buckets == number)))
    made = [pa.concat_tables(found) for found in ranges]
    assert rows(pa.concat_tables([part.take(asked.places(part)) for part in made]).drop_columns([AT])) == rows(whole)
