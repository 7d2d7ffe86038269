"""Entries that learn nothing: Select, Drop and functions of the user's."""

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.entry import Drop, Select
from raypipe.data.transform.function import Function

ROWS = pa.table({"a": [1.0, 2.0, 3.0], "b": [10, 20, 30], "c": ["x", "y", "z"]})


def fitted(entries, rows=ROWS):
    return Chain(entries).fit(rows.schema, lambda stage: [stage(rows)])


def double(table, by=2):
    return table.append_column("d", pc.multiply(table["b"], by))  # type: ignore[attr-defined]


class Times:
    def __init__(self, by):
        self.by = by

    def __call__(self, table):
        return double(table, self.by)


def test_select_keeps_and_orders():
    assert fitted({"keep": Select(["b", "a"])}).apply(ROWS).to_pydict() == {"b": [10, 20, 30], "a": [1.0, 2.0, 3.0]}


def test_drop_leaves_the_rest_in_order():
    assert fitted({"out": Drop(["b"])}).apply(ROWS).column_names == ["a", "c"]


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ([], "columns is empty"),
        ("a", r"expected a list: columns: \[a\]"),
        (["a", "a"], "names 'a' twice"),
        (3, "expected a list of column names"),
    ],
)
def test_bad_columns_are_told(columns, text):
    with pytest.raises(DataError, match=text):
        fitted({"keep": Select(columns)})


def test_a_functions_columns_are_all_taken():
    out = fitted({"d": Function("m.double", {"by": 3}, function=double)}).apply(ROWS)
    assert out.column_names == ["a", "b", "c", "d"]
    assert out["d"].to_pylist() == [30, 60, 90]


def test_a_class_is_built_with_its_settings_and_called():
    assert fitted({"d": Function("m.Times", {"by": 5}, function=Times)}).apply(ROWS)["d"].to_pylist() == [50, 100, 150]


def test_a_function_that_says_what_it_takes_leaves_the_others_alone():
    entry = Function("m.double", {}, ["b"], ["b", "d"], double)
    chain = fitted({"d": entry, "keep": Select(["d", "a"])})
    assert chain.apply(ROWS).to_pydict() == {"d": [20, 40, 60], "a": [1.0, 2.0, 3.0]}
    assert chain.inputs.names == ["a", "b"]


def centred(table):
    values = table["a"].to_numpy()
    return pa.table({"a": values - values.mean()})


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda t: t.slice(1), "function m.f returned 2 rows for 3: in a transform it must be row-wise"),
        (lambda t: t.to_pandas(), "function m.f returned DataFrame, expected a pyarrow.Table"),
        (lambda t: t["absent"], "function m.f raised KeyError: .*absent"),
        (lambda t: t.append_column("a", t["b"]), "function m.f returned column 'a' twice"),
        (centred, "function m.f is not row-wise: column 'a' of a row alone is"),
    ],
    ids=["rows", "type", "raises", "twice", "not row-wise"],
)
def test_what_a_function_must_not_do(function, text):
    with pytest.raises(DataError, match=f"transform.f: {text}"):
        fitted({"f": Function("m.f", function=function)})


def test_a_function_that_says_what_it_gives_is_held_to_it():
    with pytest.raises(DataError, match=r"returned columns .*it says that it gives"):
        fitted({"d": Function("m.double", {}, ["b"], ["e"], double)})


def test_a_fragment_of_nulls_yields_to_the_others_types():
    def guess(table):
        return pa.table({"n": pa.array([b if b > 15 else None for b in table["b"].to_pylist()])})

    parts = [ROWS.slice(0, 1), ROWS.slice(1)]
    chain = Chain({"n": Function("m.guess", function=guess)}).fit(ROWS.schema, lambda stage: [stage(part) for part in parts])
    assert chain.features.field("n").type == pa.int64()
    assert chain.apply(ROWS.slice(0, 1)).schema == chain.apply(ROWS).schema


def test_other_columns_than_when_fitted_are_refused():
    def wild(table):
        return table.rename_columns(["a", "b", "c"] if table.num_rows < 4 else ["a", "b", "e"])

    chain = fitted({"w": Function("m.wild", function=wild)})
    with pytest.raises(DataError, match="other columns than when the transform was fitted: 'c' is missing; 'e' is new"):
        chain.apply(pa.concat_tables([ROWS, ROWS]))
