"""Categories and words hashed into columns."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.transform.chain import Chain
from raypipe.data.transform.hashing import HashEncode, TextHash


def learn(entry, rows):
    return Chain({"e": entry}).fit(rows.schema, lambda stage: [stage(rows)])


def column(values, type=None):
    return pa.table({"a": list(range(len(values))), "x": pa.array(values, type), "z": list(range(len(values)))})


def test_a_category_has_one_column_wherever_it_comes_from():
    rows = column(["AA", "UA", None, "AA"])
    found = learn(HashEncode(["x"], 4), rows).apply(rows)
    assert found.column_names == ["a", "x#0", "x#1", "x#2", "x#3", "z"]
    lines = list(zip(*(found[f"x#{i}"].to_pylist() for i in range(4)), strict=True))
    assert lines[0] == lines[3] != lines[2] == (0, 0, 0, 0)
    assert sorted(map(abs, lines[0])) == [0, 0, 0, 1]
    assert found.schema.field("x#0").type == pa.int8()


def test_buckets_take_what_was_never_seen_and_keep_missing_apart():
    chain = learn(HashEncode(["x"], 3, "bucket"), column([1]))
    found = chain.apply(column([7, None, 7, -9]))["x"].to_pylist()
    assert found[1] == -1
    assert found[0] == found[2]
    assert set(found) <= {-1, 0, 1, 2}


def test_a_salt_moves_categories_and_signs_are_optional():
    rows = column([str(i) for i in range(50)])
    first, second = (learn(HashEncode(["x"], 8, "bucket", salt=salt), rows).apply(rows)["x"].to_pylist() for salt in ("", "s"))
    assert first != second
    found = learn(HashEncode(["x"], 8, signed=False), rows).apply(rows)
    assert {v for i in range(8) for v in found[f"x#{i}"].to_pylist()} == {0, 1}


def test_words_are_counted_in_lower_case():
    rows = column(["Late, late again", "again late LATE", "", None, "--"])
    found = learn(TextHash(["x"], 16, signed=False), rows).apply(rows)
    lines = list(zip(*(found[f"x#{i}"].to_pylist() for i in range(16)), strict=True))
    assert lines[0] == lines[1]
    assert sum(lines[0]) == 3.0
    assert set(lines[2]) == set(lines[3]) == set(lines[4]) == {0.0}
    shares = learn(TextHash(["x"], 16, "share", signed=False), rows).apply(rows)
    assert sum(shares[f"x#{i}"][0].as_py() for i in range(16)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (HashEncode(["x"]), "column 'x' is float64, expected string, integer or bool"),
        (TextHash(["x"]), "column 'x' is float64, expected string"),
        (HashEncode(["y"]), "no column 'y'"),
        (HashEncode(["x"], 0), "num_columns is 0, expected 1 to 4,096"),
        (HashEncode(["x"], gives="both"), "gives is 'both', expected columns or bucket"),  # type: ignore[arg-type]
        (TextHash(["x"], 2, "tfidf"), "weight is 'tfidf', expected count or share"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_hashed_is_refused(entry, text):
    with pytest.raises(DataError, match=f"transform.e: {text}"):
        learn(entry, column([1.5]))


def test_names_that_are_there_already_are_refused():
    rows = pa.table({"x": ["a"], "x#0": [1]})
    with pytest.raises(DataError, match="two columns would be named 'x#0'"):
        learn(HashEncode(["x"], 2), rows)
