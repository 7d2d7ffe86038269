"""Columns whose values may not come twice, over all fragments of a table."""

import pyarrow as pa
import pytest

from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.findings import words
from raypipe.data.contract.unique import keys, repeated
from raypipe.data.fragment.fragment import write_fragment


def found(store, column, *parts):
    fragments = [write_fragment(store, f"t/{number}.parquet", pa.table({"id": part})) for number, part in enumerate(parts)]
    names = {f.path: f"{number}.csv" for number, f in enumerate(fragments)}
    (finding,) = repeated(store, Contract({"id": column}), fragments, names, inline=True)
    return finding


def test_a_value_in_two_files_is_told_with_the_second(store):
    finding = found(store, Column("string", unique=True), pa.array(["a", "b", None]), pa.array(["c", "b", None, "b"]))
    assert words(finding) == "column 'id': 2 of 7 rows with a value that came before (first: 1.csv: 'b')"


@pytest.mark.parametrize(
    "values",
    [
        pa.array([1, 2, 2**62]),
        pa.array(["1", "2"]),
        pa.array([0.5, -0.5]),
        pa.array([1, 2], pa.timestamp("us")),
        pa.array([1, 2], pa.date32()),
    ],
    ids=lambda values: str(values.type),
)
def test_values_that_come_once_are_let_be(store, values):
    assert found(store, Column("string", unique=True), values.slice(0, 1), values.slice(1), pa.nulls(3, values.type))["figure"] == 0
    assert found(store, Column("string", unique=True), values, values)["figure"] == len(values)


def test_zero_has_no_sign():
    assert len(set(keys(pa.chunked_array([[0.0, -0.0]])).tolist())) == 1


def test_a_contract_without_unique_columns_reads_nothing(store):
    assert repeated(store, Contract({"id": Column("string")}), [], {}, inline=True) == []
