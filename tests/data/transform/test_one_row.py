"""The way of one row: what entries do without arrays, and where arrays are needed all the same."""

from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.dates import CyclicDate
from raypipe.data.transform.entry import Drop
from raypipe.data.transform.function import Function
from raypipe.data.transform.scaling import Standardize

ROWS = pa.table(
    {
        "x": [1.0, 3.0],
        "t": [datetime(2024, 1, 1), datetime(2024, 1, 2, 12)],
        "deep": [{"a": [1]}, {"a": []}],
        "cost": pa.array(["1.10", "2.20"]).cast(pa.decimal128(5, 2)),
    }
)


def fit(entries):
    return Chain(entries).fit(ROWS.schema, lambda stage: [stage(ROWS)])


def test_columns_that_nobody_touches_go_round():
    chain = fit({"scale": Standardize(["x"])})
    alone = chain.apply(ROWS.slice(1))
    assert alone.equals(chain.apply(ROWS).slice(1))
    assert alone["cost"][0].as_py() == ROWS["cost"][1].as_py()


def test_a_function_and_what_has_no_short_way_stand_between():
    def double(table):
        return table.set_column(0, "x", pc.multiply(table["x"], 2.0)).append_column("y", table["x"])  # type: ignore[attr-defined]

    entries = {
        "few": Drop(["deep"]),
        "scale": Standardize(["x"]),
        "double": Function("m.double", function=double),
        "hour": CyclicDate(["t"], ["hour"]),
        "again": Standardize(["x", "t.hour.cos"]),
    }
    chain = fit(entries)
    for row in range(2):
        assert chain.apply(ROWS.slice(row, 1)).equals(chain.apply(ROWS).slice(row, 1))


def test_a_function_that_fails_on_a_row_is_named_with_its_entry():
    def fail(table):
        if table["x"][0].as_py() == 3.0:
            raise ValueError("no")
        return table

    rows = ROWS.select(["x"])
    chain = Chain({"f": Function("m.fail", function=fail)}).fit(rows.schema, lambda stage: [stage(rows.slice(0, 1))])
    with pytest.raises(DataError, match=r"transform\.f: function m\.fail raised ValueError: no"):
        chain.apply(rows.slice(1))


def test_numbers_of_any_width_pass_exactly():
    least = {"a": -(2**63), "b": 2**64 - 1, "c": 1 / 3, "d": 2**53 + 1, "e": -128, "f": 0.5}
    types = {"a": pa.int64(), "b": pa.uint64(), "c": pa.float64(), "d": pa.int64(), "e": pa.int8(), "f": pa.float32()}
    for row in (least, dict.fromkeys(least), dict.fromkeys(least, 1)):
        rows = pa.table({name: pa.array([row[name]], type) for name, type in types.items()})
        made = FittedChain({}, {}, rows.schema).apply(rows)
        made.validate(full=True)
        assert made.equals(rows)


def test_a_row_in_an_empty_chunk_and_in_a_slice_is_found():
    chain = fit({"scale": Standardize(["x"])})
    chunked = pa.concat_tables([ROWS.slice(0, 0), ROWS.slice(1, 1), ROWS.slice(0, 0)])
    assert chain.apply(chunked).equals(chain.apply(ROWS).slice(1))
