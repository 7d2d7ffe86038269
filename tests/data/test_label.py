"""The label: an SQL expression over one row; rows without one are dropped and counted."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.label import LabelRows

ROWS = pa.table(
    {
        "arr_delay": pa.array([1, 20, None, 16]),
        "carrier": pa.array(["AA", None, "UA", "AA"]).dictionary_encode(),
        "x": [1.0, float("nan"), 2.0, 3.0],
        "at": pa.array([0, 1, 2, 3], pa.timestamp("s", "America/New_York")),
    }
)


def test_the_label_comes_last_and_rows_without_one_go():
    kept, note = LabelRows("late", "arr_delay > 15")(ROWS)
    assert kept.column_names == [*ROWS.column_names, "late"]
    assert kept["late"].to_pylist() == [False, True, True]
    assert kept["arr_delay"].to_pylist() == [1, 20, 16]
    assert note == {"dropped": 1}


def test_other_columns_keep_their_types():
    kept, _ = LabelRows("late", "arr_delay > 15")(ROWS)
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
    kept, _ = LabelRows("label", sql)(ROWS)
    assert (kept["label"].to_pylist(), kept["label"].type) == (labels, type)


def test_a_column_of_that_name_is_replaced():
    kept, _ = LabelRows("x", "x > 1.5")(ROWS)
    assert kept.column_names == ["arr_delay", "carrier", "at", "x"]
    assert kept["x"].to_pylist() == [False, True, True]


def test_what_the_rows_do_not_allow_is_told():
    with pytest.raises(DataError, match=r"label 'late': no column 'arr_dela'\. Did you mean 'arr_delay'\?"):
        LabelRows("late", "arr_dela > 15")(ROWS)
    with pytest.raises(DataError, match=r"label 'late': 'arr_delay \+ carrier' fails: arithmetic on dtypes"):
        LabelRows("late", "arr_delay + carrier")(ROWS)
