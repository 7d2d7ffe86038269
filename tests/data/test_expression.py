"""SQL expressions over one row: what they read, what they refuse, and one row like many."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.data.expression import Expression, computed

ROWS = pa.table(
    {
        "arr_delay": pa.array([1, 20, None, 16]),
        "carrier": pa.array(["AA", None, "UA", "AA"]).dictionary_encode(),
        "x": [1.0, float("nan"), 2.0, 3.0],
    }
)


def test_the_columns_that_it_reads_are_known_before():
    assert Expression('"x" > 1 and arr_delay > 15').columns == ["arr_delay", "x"]


@pytest.mark.parametrize(
    ("sql", "text"),
    [
        ("arr_delay >", "'arr_delay >' is no SQL expression over a row: unable to parse"),
        ("select 1", "is no SQL expression over a row"),
        ("arr_delay > avg(arr_delay)", "reads more than its own row"),
        ("row_number() over (order by x)", "reads more than its own row"),
        ("corr(arr_delay, x) > 0", "reads more than its own row"),
        ("arr_delay > quantile_cont(arr_delay, 0.5)", "reads more than its own row"),
        ("1 > 0", "reads no column"),
        ("count(*)", "reads more than its own row"),
        ("unnest(lists)", "reads more than its own row"),
        ("now() > at", "'now() > at': now gives another value at each run: keep the time in a column"),
        ("at < CURRENT_DATE", "CURRENT_DATE gives another value at each run"),
    ],
)
def test_what_is_no_expression_over_a_row_is_refused(sql, text):
    (problem,) = Expression(sql).problems()
    assert text in problem
    with pytest.raises(DataError):
        _ = Expression(sql).columns


def test_words_for_the_time_may_be_columns_and_texts():
    assert Expression("\"current_date\" = 'now()'").columns == ["current_date"]


def test_nan_is_no_value_before_and_behind():
    assert Expression("x + 1").of(ROWS).to_pylist() == [2.0, None, 3.0, 4.0]
    assert Expression("x / (arr_delay - arr_delay)").of(ROWS.slice(0, 1)).to_pylist() == [float("inf")]
    assert Expression("(x - x) / (x - x)").of(ROWS).to_pylist() == [None] * 4


def test_a_condition_is_never_null():
    assert Expression("arr_delay > 15").holds(ROWS).to_pylist() == [False, True, False, True]
    with pytest.raises(DataError, match="'arr_delay' is no condition: it is int64, expected true or false"):
        Expression("arr_delay").holds(ROWS)


def test_the_type_is_known_without_rows():
    assert Expression("arr_delay / 2").type_in(ROWS.schema) == pa.float64()
    assert Expression("upper(carrier)").type_in(ROWS.schema) == pa.string()
    with pytest.raises(DataError, match=r"'arr_delay \+ carrier' fails: arithmetic"):
        Expression("arr_delay + carrier").type_in(ROWS.schema)


def test_several_at_once_and_every_missing_column_told():
    made = computed({"a": Expression("x * 2"), "b": Expression("arr_delay IS NULL")}, ROWS)
    assert {name: column.to_pylist() for name, column in made.items()} == {"a": [2.0, None, 4.0, 6.0], "b": [False, False, True, False]}
    with pytest.raises(DataError, match=r"no column 'arr_dela'\. Did you mean 'arr_delay'\?\nno column 'y'"):
        computed({"a": Expression("arr_dela * 2"), "b": Expression("y + 1")}, ROWS)


FLOATS = st.one_of(st.none(), st.floats(width=64))


@pytest.mark.parametrize(
    "sql", ["a / 3", "a / b", "a * b + 60", "a / 3.7 * 2", "i / 7", "power(abs(a), 0.3)", "exp(a)", "ln(abs(a))", "round(a, 2)"]
)
@given(rows=st.lists(st.tuples(FLOATS, FLOATS, st.integers(-(2**31), 2**31)), min_size=1, max_size=12))
def test_a_row_alone_gets_the_bits_of_a_batch(sql, rows):
    table = pa.table({name: pa.array(column, type) for name, column, type in zip("abi", zip(*rows, strict=True), TYPES, strict=True)})
    whole = Expression(sql).of(table)
    chunks = pa.concat_tables([table.slice(i, 1) for i in range(table.num_rows)])
    alone = [Expression(sql).of(table.slice(i, 1))[0].as_py() for i in range(table.num_rows)]
    assert repr(alone) == repr(whole.to_pylist()) == repr(Expression(sql).of(chunks).to_pylist())


TYPES = (pa.float64(), pa.float64(), pa.int64())


def test_polars_runs_on_one_thread_where_raypipe_imports_it():
    code = "from raypipe.data.expression import Expression; Expression('a > 1').problems(); import polars; print(polars.thread_pool_size())"
    environment = {key: value for key, value in os.environ.items() if key != "POLARS_MAX_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"


@pytest.mark.parametrize(
    ("sql", "column", "text"),
    [
        ("x + x", pa.array([1], pa.decimal256(50, 2)), "'x' fails: operator does not support primitive"),
        ("x is null", pa.array([0], pa.timestamp("us", "+05:30")), "'x' fails: .*unable to parse time zone: '\\+05:30'"),
        ("x is null", pa.array([(1, 2, 3)], pa.month_day_nano_interval()), "'x' fails: .*month_day_nano_interval"),
    ],
)
def test_where_polars_panics_its_words_are_told(sql, column, text):
    with pytest.raises(DataError, match=text):
        Expression(sql).of(pa.table({"x": column}))


def test_an_integer_that_a_case_chooses_has_the_type_of_all_its_choices():
    expression = Expression("case when b then 0 else 3000000000 end")
    assert [expression.of(pa.table({"b": b})).type for b in ([True], [True, True], [True, False])] == [pa.int64()] * 3
    assert expression.of(pa.table({"b": [True]})).to_pylist() == [0]


def test_a_value_whose_type_hangs_on_the_rows_is_refused():
    times = pa.table({"x": pa.array([0, None], pa.timestamp("us"))})
    told = "is int64 for these rows, and timestamp\\[us\\] by the types of its columns: cast what it chooses between to one type"
    with pytest.raises(DataError, match=told):
        Expression("case when x is null then 0 else x end").of(times)
