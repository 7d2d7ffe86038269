"""What a function does wrong is told with its line, the file and the row."""

import pickle

import pyarrow as pa
import pytest

from raypipe.data.function.callee import Callee
from raypipe.data.function.fault import FunctionError, Rows, placed

ROWS = pa.table({"a": range(1_000_000), "b": ["x" * 60] * 1_000_000})


def bad_at(row):
    def function(table):
        values = table["a"].to_numpy()
        if row in values:
            raise ZeroDivisionError("no such rate")
        return table

    return function


@pytest.mark.parametrize("row", [0, 1, 499_999, 731_204, 999_999])
def test_the_one_row_in_a_million(row: int):
    with pytest.raises(FunctionError) as caught, placed("part-00003.parquet", range(1, 1_000_001)):
        Callee("m.f", bad_at(row))(ROWS)
    text = str(caught.value)
    assert text.startswith("function m.f raised ZeroDivisionError: no such rate (line ")
    assert 'test_fault.py: raise ZeroDivisionError("no such rate")). ' in text
    assert text.endswith(f"In row {row + 1:,} of part-00003.parquet: a={row}, b='{'x' * 38}…")


def test_it_costs_about_two_calls_on_the_whole():
    sizes = []

    def function(table):
        sizes.append(table.num_rows)
        return bad_at(731_204)(table)

    with pytest.raises(FunctionError):
        Callee("m.f", function)(ROWS)
    assert sum(sizes) < 3.1 * ROWS.num_rows
    assert len(sizes) < 45


def test_rows_that_raise_only_together():
    def function(table):
        if table.num_rows > 100_000:
            raise MemoryError("too many")
        return table

    with pytest.raises(FunctionError, match=r"MemoryError: too many .* In rows 1 to 125,000$"):
        Callee("m.f", function)(ROWS)


def test_the_rows_of_a_file_where_others_were_left_out():
    numbers = [12, 14, 15]
    with pytest.raises(FunctionError, match=r"In row 14 of f\.parquet: a=1"), placed("f.parquet", numbers):
        Callee("m.f", bad_at(1))(ROWS.slice(0, 3))
    with pytest.raises(FunctionError, match=r"In rows 12 to 15 of f\.parquet$"), placed("f.parquet", numbers):
        raise FunctionError("wrong.", Rows(1, 3))


def test_a_constructor_that_raises():
    class Model:
        def __init__(self, path):
            raise FileNotFoundError(path)

    with pytest.raises(
        FunctionError, match=r"the constructor of class m\.Model \(path='w\.bin'\) raised FileNotFoundError: w\.bin \(line "
    ):
        Callee("m.Model", Model, {"path": "w.bin"})(ROWS)


def test_a_class_is_built_once():
    built = []

    class Model:
        def __init__(self):
            built.append(self)

        def __call__(self, table):
            return table

    callee = Callee("m.Model", Model)
    callee(ROWS)
    callee(ROWS)
    assert len(built) == 1


def test_it_travels_between_processes():
    error = FunctionError("wrong", Rows(1, 2, "f", "a=1"))
    error.transient, error.trace = True, "Traceback"
    found = pickle.loads(pickle.dumps(error))
    assert str(found) == str(error) == "wrong. In rows 1 to 2 of f: a=1"
    assert (found.rows, found.transient, found.trace) == (error.rows, True, "Traceback")
