"""Windows of the step's partition and order are those that DuckDB computes where both are written out."""

from __future__ import annotations

import duckdb
from hypothesis import given, settings
from hypothesis import strategies as st

from raypipe.data.shuffle.order import order
from raypipe.data.shuffle.places import by_place, places
from raypipe.data.shuffle.window import inside, windowed, windows
from tests.data.shuffle.tables import rows, tables

MAKE = {
    "before": "lag(row) over ()",
    "place": "row_number() over ()",
    "rank": "dense_rank() over ()",
    "sum": 'sum("count") over (rows between 2 preceding and current row)',
    "peers": "count(*) over ()",
    "without": "min(money) over (rows between unbounded preceding and unbounded following exclude current row)",
    "filled": "last_value(flag ignore nulls) over (rows unbounded preceding)",
}
TOLD_APART = ("before", "place", "sum", "without", "filled")


@settings(max_examples=15)
@given(
    table=tables(),
    by=st.lists(st.sampled_from(["text", "number", "flag"]), max_size=2, unique=True),
    orders=st.lists(
        st.sampled_from(["at", "money desc", "number desc nulls first", "count nulls first"]), min_size=1, max_size=2, unique=True
    ),
)
def test_windows_are_those_of_duckdb(table, by, orders):
    asked = windows(table.schema, by, [order(text) for text in orders], MAKE)
    made = by_place(windowed(asked, inside(asked, table, places(0, table.num_rows))))
    keys = [f'"{name}"' for name in by]
    partition = f"partition by {', '.join(keys)}" if by else ""
    sorts = ", ".join(o.sql(f'"{o.column}"') for o in map(order, orders))
    columns = []
    for name, sql in MAKE.items():
        head, _, frame = sql.partition("over (")
        columns.append(f"{head} over ({partition} order by {sorts}{', row' if name in TOLD_APART else ''} {frame}")
    columns = [f"({sql})::bigint" if sql.startswith("sum") else sql for sql in columns]
    with duckdb.connect(config={"threads": "1"}) as connection:
        relation = connection.register("given", table).sql(f"select {', '.join(columns)} from given order by row")
        expected = rows(relation.to_arrow_table().rename_columns(list(MAKE)))
    assert rows(made.drop_columns(["raypipe_at"])) == expected
