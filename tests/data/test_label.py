"""The label: an SQL expression over one row; rows without one are dropped and counted."""

import os
import subprocess
import sys

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.label import columns_read, label_rows

ROWS = pa.table(
    {
        "arr_delay": pa.array([1, 20, None, 16]),
        "carrier": pa.array(["AA", None, "UA", "AA"]).dictionary_encode(),
        "x": [1.0, float("nan"), 2.0, 3.0],
        "at": pa.array([0, 1, 2, 3], pa.timestamp("s", "America/New_York")),
    }
)


def test_the_label_comes_last_and_rows_without_one_go():
    kept, note = label_rows("late", "arr_delay > 15")(ROWS)
    assert kept.column_names == [*ROWS.column_names, "late"]
    assert kept["late"].to_pylist() == [False, True, True]
    assert kept["arr_delay"].to_pylist() == [1, 20, 16]
    assert note == {"dropped": 1}


def test_other_columns_keep_their_types():
    kept, _ = label_rows("late", "arr_delay > 15")(ROWS)
    assert kept.drop_columns(["late"]).schema == ROWS.schema


@pytest.mark.parametrize(
    ("sql", "labels", "type"),
    [
        ("x", [1.0, 2.0, 3.0], pa.float64()),
        ("upper(carrier)", ["AA", "UA", "AA"], pa.string()),
        ("CASE WHEN arr_delay > 15 AND carrier = 'AA' THEN 'late' ELSE 'fine' END", ["fine", "fine", "fine", "late"], pa.string()),
        ("carrier in ('AA', 'Len') OR coalesce(arr_delay, 0) between 1 and 15", [True, False, True], pa.bool_()),
        ("arr_delay IS NULL", [False, False, True, False], pa.bool_()),
    ],
)
def test_expressions(sql, labels, type):
    kept, _ = label_rows("label", sql)(ROWS)
    assert (kept["label"].to_pylist(), kept["label"].type) == (labels, type)


def test_a_column_of_that_name_is_replaced():
    kept, _ = label_rows("x", "x > 1.5")(ROWS)
    assert kept.column_names == ["arr_delay", "carrier", "at", "x"]
    assert kept["x"].to_pylist() == [False, True, True]


def test_the_columns_that_it_reads_are_known_before():
    assert columns_read('"x" > 1 and arr_delay > 15') == ["arr_delay", "x"]


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
    ],
)
def test_what_is_no_expression_over_a_row_is_refused(sql, text):
    with pytest.raises(DataError, match=text):
        columns_read(sql)


def test_what_the_rows_do_not_allow_is_told():
    with pytest.raises(DataError, match=r"label 'late': no column 'arr_dela'\. Did you mean 'arr_delay'\?"):
        label_rows("late", "arr_dela > 15")(ROWS)
    with pytest.raises(DataError, match=r"label 'late': 'arr_delay \+ carrier' fails: arithmetic on dtypes"):
        label_rows("late", "arr_delay + carrier")(ROWS)


def test_polars_runs_on_one_thread_where_raypipe_imports_it():
    code = "from raypipe.data.label import columns_read; columns_read('a > 1'); import polars; print(polars.thread_pool_size())"
    environment = {key: value for key, value in os.environ.items() if key != "POLARS_MAX_THREADS"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "1"
