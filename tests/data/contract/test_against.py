"""Values that must be those of another table: which are not there, by keys in files."""

import numpy as np
import pyarrow as pa
import pytest

from raypipe.data.contract.against import Against, Values
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.examine import examine
from raypipe.data.contract.findings import words
from raypipe.data.contract.hashed import keys
from raypipe.data.contract.reasons import Place


def look(contract, rows, others):
    table = pa.table(rows)
    return examine(contract, table, Place("a.csv", np.arange(1, table.num_rows + 1)), others)


@pytest.fixture
def airports(store):
    def against(*parts):
        for n, part in enumerate(parts):
            store.write(f"keys-{n}", np.unique(keys(pa.chunked_array([part]))).astype("<u8").tobytes())
        return Against(store, {"x": Values("airports", 7, "faa", tuple(f"keys-{n}" for n in range(len(parts))))})

    return against


@pytest.mark.parametrize(
    ("parts", "values"),
    [
        ([pa.array(["JFK"]), pa.array(["EWR", "LGA"])], pa.array(["EWR", "ORD", None, "JFK"])),
        ([pa.array([1, 2]), pa.array([], pa.int64())], pa.array([2, 9, None, 1], pa.int32())),
        ([pa.array([0.5, 2.0])], pa.array([2.0, 0.25, float("nan"), 0.5])),
        ([pa.array(["a", "b"])], pa.array(["a", "c", None, "b"]).dictionary_encode()),
    ],
)
def test_a_value_that_another_table_lacks(airports, parts, values):
    contract = Contract({"x": Column("string", references={"table": "airports", "column": "faa"}, on_breach="quarantine")})  # type: ignore[arg-type]
    seen = look(contract, {"x": values}, airports(*parts))
    assert seen.mask.tolist() == [True, False, True, True]
    assert words(seen.findings[0]).startswith("column 'x': 1 of 4 rows not in airports@7.faa (first: a.csv row 2: ")


def test_an_empty_table_references_nothing(airports):
    contract = Contract({"x": Column("string", references={"table": "airports"})})  # type: ignore[arg-type]
    assert look(contract, {"x": ["a", None]}, airports()).findings[0]["figure"] == 1
