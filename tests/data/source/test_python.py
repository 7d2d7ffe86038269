"""Functions of the user's as sources: the cursor is the progress, and what they do wrong is told with their name and line."""

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from raypipe.code.closure import closure
from raypipe.code.recorded import UserCode, record
from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.ingest.progress import ingest_key
from raypipe.data.source.piece import NOTHING, Batch, Limit, Progress
from raypipe.data.source.python import PythonSource

CODE = """
import pyarrow as pa

NUM = 5  # rows that there are

def new_rows(cursor, step=2):
    start = cursor or 0
    for first in range(start, NUM, step):
        end = min(first + step, NUM)
        yield pa.table({"x": list(range(first, end))}), end

def newest(step=2):
    return NUM

def all_rows(step=2):
    return pa.table({"x": [step]})

def frames(cursor):
    import ray.data
    if cursor is None:
        yield ray.data.range(10, override_num_blocks=2), "done"

def broken(cursor):
    yield pa.table({"x": [1]}), 1
    raise KeyError("nothing there")

def no_cursor(cursor):
    yield pa.table({"x": [1]})

def same_cursor(cursor):
    yield pa.table({"x": [1]}), cursor

def bad_cursor(cursor):
    yield pa.table({"x": [1]}), {1, 2}

def no_table(cursor):
    yield [1], 1
"""


@pytest.fixture
def code(tmp_path):
    (tmp_path / "flights.py").write_text(CODE)

    def load(name):
        found = closure(f"flights.{name}", (tmp_path,))
        assert found is not None
        return UserCode(f"flights.{name}", {}, record(found))

    return load


def new(source, tmp_path, position=None, limit=None) -> Any:
    nothing: Any = None
    return source.new(Look("p", tmp_path, "p", "source", nothing, nothing), Progress(position) if position else NOTHING, limit)


def taken(source, found):
    batches = [b for piece in found.pieces for b in source.batches(piece, {})]
    assert all(isinstance(b, Batch) for b in batches)
    settled = source.settle(found, [b.mark for b in batches if b.mark is not None])
    return [x for b in batches for x in b.rows["x" if "x" in b.rows.column_names else "id"].to_pylist()], settled


def told(source, tmp_path, position=None):
    with pytest.raises(DataError) as error:
        taken(source, new(source, tmp_path, position))
    return str(error.value)


def test_a_generator_goes_on_from_its_cursor(code, tmp_path):
    source = PythonSource(code("new_rows"))
    rows, settled = taken(source, new(source, tmp_path))
    assert (rows, settled.after) == ([0, 1, 2, 3, 4], {"cursor": 5})
    again = new(source, tmp_path, settled.after)
    assert (again.pieces, again.state, again.after) == ([], {"cursor": 5}, {"cursor": 5})
    assert taken(source, new(source, tmp_path, {"cursor": 3}))[0] == [3, 4]
    assert taken(PythonSource(code("new_rows"), {"step": 5}), new(source, tmp_path))[0] == [0, 1, 2, 3, 4]


def test_a_limit_stops_behind_a_cursor(code, tmp_path):
    source = PythonSource(code("new_rows"))
    rows, settled = taken(source, new(source, tmp_path, limit=Limit(num_rows=3)))
    assert (rows, settled.after) == ([0, 1, 2, 3], {"cursor": 4})


def test_the_newest_cursor_spares_the_first_batch(code, tmp_path):
    source = PythonSource(code("broken"), latest=code("newest"))
    assert new(source, tmp_path, {"cursor": 5}).pieces == []
    assert (len(new(source, tmp_path, {"cursor": 4}).pieces), new(source, tmp_path).state) == (1, {"cursor": 5})


def test_a_function_is_taken_once(code, tmp_path):
    source = PythonSource(code("all_rows"), {"step": 7})
    rows, settled = taken(source, new(source, tmp_path))
    assert (rows, settled.after) == ([7], {"whole": True})
    assert new(source, tmp_path, settled.after).pieces == []


def test_comments_take_nothing_anew_and_code_does(code, tmp_path):
    source = PythonSource(code("new_rows"))
    key = ingest_key(source, None, 1.0)
    assert ingest_key(replace(source, arguments={"step": 3}), None, 1.0) != key
    (tmp_path / "flights.py").write_text(CODE.replace("# rows that there are", "# other words"))
    assert ingest_key(PythonSource(code("new_rows")), None, 1.0) == key
    (tmp_path / "flights.py").write_text(CODE.replace("NUM = 5", "NUM = 6"))
    assert ingest_key(PythonSource(code("new_rows")), None, 1.0) != key


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("broken", "flights.broken: KeyError: 'nothing there' (flights.py, line 25)"),
        ("no_cursor", "flights.no_cursor: yielded Table, expected a pair: a pyarrow.Table and the cursor behind it"),
        ("same_cursor", "flights.same_cursor: yielded rows with the cursor that it was at, null: they would come twice"),
        ("bad_cursor", "flights.bad_cursor: its cursor is a set, expected a JSON value"),
        ("no_table", "flights.no_table: gave list, expected a pyarrow.Table or a ray.data.Dataset"),
    ],
)
def test_what_it_does_wrong_is_told(code, tmp_path, name, text):
    assert told(PythonSource(code(name)), tmp_path).startswith(text)


def test_bad_settings_are_told(code):
    wrong: Any = "flights.new_rows"
    assert PythonSource(wrong).problems() == ["function is 'flights.new_rows', expected {_target_: module.function}"]
    assert PythonSource(replace(code("new_rows"), settings={"step": 1})).problems() == [
        "function has arguments beside _target_: write them under arguments"
    ]
    assert "arguments names 'cursor'" in PythonSource(code("new_rows"), {"cursor": 1}).problems()[0]


def test_datasets_of_ray(code, tmp_path, ray_cluster):
    source = PythonSource(code("frames"), latest=code("newest"))
    rows, settled = taken(source, new(source, tmp_path))
    assert (rows, settled.after) == (list(range(10)), {"cursor": "done"})
    assert pa.int64() == next(iter(source.batches(new(source, tmp_path).pieces[0], {}))).rows.schema.field("id").type
