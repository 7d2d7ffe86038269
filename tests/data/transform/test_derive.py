"""Columns made by expressions over a row."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.transform.chain import Chain, FittedChain
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.entry import Select
from raypipe.data.transform.flow import check, columns_after, marked
from raypipe.data.transform.scaling import Standardize

ROWS = pa.table({"x": [1.0, None, 3.0], "n": [2, 4, 6], "c": pa.array(["a", "b", "a"]).dictionary_encode()})


def fit(**entries) -> FittedChain:
    return Chain(entries).fit(ROWS.schema, lambda stage: [stage(ROWS.select(stage.columns))])


def test_new_columns_come_last_and_others_are_replaced_in_place():
    chain = fit(more=Derive({"ratio": "x / n", "x": "x * 2", "is_a": "c = 'a'"}))
    made = chain.apply(ROWS)
    assert made.to_pydict() == {
        "x": [2.0, None, 6.0],
        "n": [2, 4, 6],
        "c": ["a", "b", "a"],
        "ratio": [0.5, None, 0.5],
        "is_a": [True, False, True],
    }
    assert FittedChain.from_json(chain.to_json()).apply(ROWS).equals(made)


def test_a_column_that_is_only_replaced_need_not_be_in_a_request():
    chain = fit(replaced=Derive({"x": "n * 1.5"}), few=Select(["x"]))
    assert chain.inputs.names == ["n"]
    assert chain.apply(pa.table({"n": [2]})).to_pydict() == {"x": [3.0]}


def test_what_is_learnt_reads_what_it_needs_through_expressions():
    read = []

    def partials(stage):
        read.append(stage.columns)
        return [stage(ROWS.select(stage.columns))]

    Chain({"a": Derive({"ratio": "x / n"}), "b": Derive({"unused": "upper(c)"}), "c": Standardize(["ratio"])}).fit(ROWS.schema, partials)
    assert read == [("x", "n")]


def test_names_types_and_marks_are_known_before_anything_runs():
    before = Columns(("x", "n", "c"), {"x": "float64", "n": "int64", "c": "string"}, frozenset({"n"}))
    entries = {"more": Derive({"ratio": "x / n", "upper": "upper(c)", "n": "x + 1"})}
    after = columns_after(entries, before)
    assert after.names == ("x", "n", "c", "ratio", "upper")
    assert after.types == {"x": "float64", "n": "float64", "c": "string", "ratio": "float64", "upper": "string"}
    assert marked(entries, before, after.names or ()) == ["ratio"]


def test_what_is_wrong_is_told_before_anything_runs():
    columns = Columns(("x", "n", "c"), {"x": "float64", "n": "int64", "c": "string"}, frozenset({"n"}), label="y")

    def told(**derived):
        return [p.what for p in check({"d": Derive(derived)}, columns, "t") if p.where == "t.d"]

    assert told(a="x +") == ["columns.a: 'x +' is no SQL expression over a row: unable to parse 'x +' as Expr"]
    assert told(a="x + m") == ["no column 'm'. Valid: c, n, x."]
    (text,) = told(a="x + c")
    assert text.startswith("column 'a': 'x + c' fails: arithmetic on")
    assert told(a="x / n") == ["'n' is known only afterwards (by the contract): it cannot be an input of the model."]
    assert Derive({}).problems() == ["columns is empty, expected at least one name with its expression"]
    assert Derive({"a": 3}).problems() == ["columns.a: found 3, expected an SQL expression as text"]  # type: ignore[dict-item]


def test_other_rows_are_not_looked_at():
    with pytest.raises(DataError, match="reads more than its own row"):
        fit(bad=Derive({"a": "x - avg(x)"}))
