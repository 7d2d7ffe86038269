"""Categories as columns, places and shares; unseen and missing ones."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.encoding import Frequency, OneHot, Ordinal

NAN = float("nan")


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def column(values, type=None):
    return pa.table({"x": pa.array(values, type)})


def test_one_hot_names_and_sorts_its_columns():
    rows = pa.table({"a": [1, 2], "carrier": ["UA", "AA"], "z": [True, None]})
    out = learn(OneHot(["carrier", "z"]), rows).apply(rows)
    assert out.to_pydict() == {"a": [1, 2], "carrier=AA": [0, 1], "carrier=UA": [1, 0], "z=true": [1, 0]}
    assert out.schema.field("carrier=AA").type == pa.uint8()


def test_unseen_rare_and_missing_categories_are_all_zeros():
    chain = learn(OneHot(["x"], min_count=2), column(["a", "a", "b"]))
    assert chain.apply(column(["a", "b", "new", None])).to_pydict() == {"x=a": [1, 0, 0, 0]}


@pytest.mark.parametrize("encode", [False, True])
def test_ordinal_and_frequency(encode):
    rows = column(["b", "a", "b", None])
    asked = column(["a", "b", "c", None])
    if encode:
        rows, asked = (t.set_column(0, "x", t["x"].dictionary_encode()) for t in (rows, asked))
    assert learn(Ordinal(["x"]), rows).apply(asked)["x"].to_pylist() == [0, 1, -1, -1]
    assert learn(Frequency(["x"]), rows).apply(asked)["x"].to_pylist() == [0.25, 0.5, 0.0, 0.0]


def test_two_columns_of_one_name_are_refused():
    rows = pa.table({"x": ["a"], "x=a": [1]})
    with pytest.raises(DataError, match="two columns would be named 'x=a'"):
        learn(OneHot(["x"]), rows)
