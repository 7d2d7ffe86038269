"""The rules by which a table's columns may change."""

import datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.fragment.conform import bare_schema, by_name, constant, default_of, field_id, numbered, parsed
from raypipe.data.lake.evolve import Alter, NewColumns, altered, between, for_append, last_id, stats_as, widens

NOW = numbered(
    pa.schema(
        [
            pa.field("n", pa.int32()),
            pa.field("s", pa.string(), metadata={b"unit": b"m"}),
            pa.field("l", pa.list_(pa.struct([("a", pa.int8())]))),
            pa.field("k", pa.int64(), nullable=False),
        ]
    )
)


def ids(schema):
    return {f.name: field_id(f) for f in schema}


def refused(call, *args, **kwargs):
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    return str(caught.value).splitlines()


def test_ids_count_children_after_their_parent():
    assert ids(NOW) == {"n": 1, "s": 2, "l": 3, "k": 6}
    assert last_id(NOW) == 6
    assert NOW.field("s").metadata[b"unit"] == b"m"
    assert bare_schema(numbered(NOW)).equals(bare_schema(NOW), check_metadata=True)


def test_everything_at_once():
    change = Alter(
        add={"score": "float32", "when": "date32"},
        default={"score": 0.5},
        widen={"n": "int64"},
        rename={"s": "text"},
        drop=["l"],
        order=["k", "score"],
    )
    found = altered(NOW, change)
    assert ids(found.after) == {"k": 6, "score": 7, "n": 1, "text": 2, "when": 8}
    assert bare_schema(found.after) == pa.schema(
        [
            pa.field("k", pa.int64(), nullable=False), ("score", pa.float32()), ("n", pa.int64()),
            ("text", pa.string()), ("when", pa.date32()),
        ]
    )  # fmt: skip
    assert found.after.field("text").metadata[b"unit"] == b"m"
    assert found.did == (
        "drop 'l'",
        "add 'score' float32, 0.5 in the rows before",
        "widen 'n' from int32 to int64",
        "rename 's' to 'text'",
        "add 'when' date32",
        "order k, score, n, text, when",
    )
    assert found.renamed == {"s": "text"}


def test_an_id_is_used_once():
    without = altered(NOW, Alter(drop=["k"])).after
    assert ids(altered(without, Alter(add={"k": "int64"})).after)["k"] == 7
    again = altered(NOW, Alter(add={"k": "int8"}, drop=["k"])).after
    assert ids(again)["k"] == 7


def test_a_default_goes_along_when_its_column_is_renamed_and_widened():
    first = altered(NOW, Alter(add={"c": "int8"}, default={"c": 7})).after
    later = altered(first, Alter(rename={"c": "count"}, widen={"c": "int64"})).after
    assert default_of(later.field("count")) == pa.scalar(7, pa.int64())


def test_two_columns_can_swap_their_names():
    found = altered(NOW, Alter(rename={"n": "k", "k": "n"}))
    assert ids(found.after) == {"k": 1, "s": 2, "l": 3, "n": 6}


def test_nothing_changes_nothing():
    found = between(NOW, bare_schema(NOW))
    assert found.did == ()
    assert found.after.equals(NOW, check_metadata=True)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (Alter(add={"n": "int8"}), "add n: the table has that column"),
        (Alter(add={"x": "int7"}), "column 'x': 'int7' is no type. Did you mean 'int"),
        (Alter(widen={"nn": "int64"}), "widen nn: the table has no such column. Did you mean 'n'?"),
        (Alter(widen={"k": "int32"}), "column 'k': is int64 and cannot become int32 without loss or without writing every file anew"),
        (Alter(widen={"n": "string"}), "column 'n': is int32 and cannot become string without loss or without writing every file anew"),
        (Alter(widen={"n": "float64"}), "column 'n': is int32 and cannot become float64"),
        (Alter(widen={"l": "list<int8>"}), "column 'l': is list<struct<a: int8>> and cannot become list<int8>: what is inside"),
        (Alter(rename={"x": "y"}), "rename x: the table has no such column."),
        (Alter(rename={"n": "s"}), "column 's': two columns would have that name"),
        (Alter(drop=["x"]), "drop x: the table has no such column."),
        (Alter(drop=["n"], rename={"n": "m"}), "column 'n': is to be renamed and dropped at once; say one of both"),
        (Alter(drop=["n", "s", "l", "k"]), "a table has at least one column: the last one cannot be dropped"),
        (Alter(default={"x": 1}), "default x: the new columns have none of that name."),
        (Alter(default={"n": 1}), "default n: the table has that column, with values of its own; a default is for a column that is added"),
        (Alter(add={"x": "int8"}, default={"x": 300}), "column 'x': the default 300 is no int8: Value 300 too large to fit"),
        (Alter(add={"x": "int8"}, default={"x": True}), "column 'x': the default True is no int8: it is a bool"),
        (Alter(add={"x": "list<int8>"}, default={"x": [1]}), "column 'x': a default of list<int8> can only be null; numbers, bool, text, "),
        (Alter(order=["z"]), "order: the table has no column 'z'."),
    ],
)  # fmt: skip
def test_what_is_refused(change, told):
    assert [line for line in refused(altered, NOW, change) if line.startswith(told)]


def test_every_problem_is_told_at_once():
    wanted = pa.schema([("n", pa.string()), ("s2", pa.string()), pa.field("k", pa.int64(), nullable=False), ("l", pa.list_(pa.int8()))])
    lines = refused(between, NOW, wanted, default={"s2": 3})
    assert [line.split(":")[0] for line in lines] == ["column 's'", "column 's2'", "column 'n'", "column 'l'"]
    assert "Did you mean 's2'? Say that it is dropped (drop: [s]) or what it is called now (rename: {s: ...})" in lines[0]


def test_nulls():
    nullable = pa.schema([f.with_nullable(True) for f in bare_schema(NOW)])
    assert between(NOW, nullable).did == ("allow nulls in 'k'",)
    strict = pa.schema([f.with_nullable(False) for f in bare_schema(NOW)])
    assert "column 'n': it may hold nulls and cannot be made not null" in refused(between, NOW, strict)[0]
    new = pa.schema([*bare_schema(NOW), pa.field("x", pa.int8(), nullable=False)])
    assert "it takes no nulls, so that the rows before need a default" in refused(between, NOW, new)[0]
    assert between(NOW, new, default={"x": 0}).after.field("x").nullable is False


@pytest.mark.parametrize(("old", "new", "wide"), [
    (pa.int8(), pa.int16(), True), (pa.int32(), pa.int64(), True), (pa.int64(), pa.int32(), False), (pa.int8(), pa.int8(), False),
    (pa.uint8(), pa.uint64(), True), (pa.uint8(), pa.int16(), True), (pa.uint8(), pa.int8(), False), (pa.int8(), pa.uint16(), False),
    (pa.uint64(), pa.int64(), False), (pa.float16(), pa.float64(), True), (pa.float32(), pa.float64(), True),
    (pa.float64(), pa.float32(), False), (pa.int8(), pa.float64(), False),
    (pa.decimal128(5, 2), pa.decimal128(9, 2), True), (pa.decimal32(5, 2), pa.decimal128(9, 2), True),
    (pa.decimal128(5, 2), pa.decimal128(9, 3), False), (pa.decimal128(9, 2), pa.decimal128(5, 2), False),
    (pa.decimal128(38, 2), pa.decimal256(50, 2), False), (pa.decimal256(50, 2), pa.decimal256(60, 2), True),
    (pa.null(), pa.string(), True), (pa.null(), pa.list_(pa.int8()), False), (pa.date32(), pa.timestamp("us"), False),
    (pa.string(), pa.large_string(), False), (pa.timestamp("us"), pa.timestamp("ns"), False),
])  # fmt: skip
def test_widening(old, new, wide):
    assert widens(old, new) is wide


def test_an_append_is_refused_unless_it_is_allowed():
    rows = pa.schema([("k", pa.int32()), ("n", pa.int64()), ("x", pa.int8()), ("l", pa.list_(pa.int8()))])
    assert refused(for_append, NOW, rows, NewColumns()) == [
        "column 'n': found int64, expected int32; cast it, or allow the wider of the two (widen_columns: true)",
        "column 's': the table has it (string), and the rows do not; allow it to be filled with its default or null "
        "(fill_columns: true), or "
        "add it to the rows",
        "column 'l': found list<int8>, expected list<struct<a: int8>>; cast it, or make a column of another name",
        "column 'k': found int32, expected int64; cast it, or allow the wider of the two (widen_columns: true)",
        "column 'x': found int8, and the table has no such column. Valid: k, l, n, s. "
        "Allow it (add_columns: true), or leave the column out",
    ]
    found = for_append(NOW, rows.remove(3), NewColumns(add=True, widen=True, fill=True))
    assert found.did == ("widen 'n' from int32 to int64", "allow nulls in 'k'", "add 'x' int8")
    assert found.after.names == ["n", "s", "l", "k", "x"]
    assert for_append(NOW, bare_schema(NOW), NewColumns()).did == ()


def test_rows_are_put_into_the_tables_columns():
    after = altered(NOW, Alter(add={"c": "int8", "d": "dictionary<string, int8>"}, default={"c": 7, "d": "x"}, widen={"n": "int64"})).after
    rows = by_name(pa.table({"k": [1, 2], "n": pa.array([5, None], pa.int32())}), after)
    assert rows.to_pydict() == {"n": [5, None], "s": [None, None], "l": [None, None], "k": [1, 2], "c": [7, 7], "d": ["x", "x"]}
    assert rows.schema == after


@pytest.mark.parametrize(
    ("value", "type_", "text"),
    [
        (7, pa.int8(), "7"),
        (2**64 - 1, pa.uint64(), str(2**64 - 1)),
        (1, pa.float64(), "1.0"),
        (0.1, pa.float32(), "0.10000000149011612"),
        (1.5, pa.float16(), "1.5"),
        (True, pa.bool_(), "true"),
        ("it's", pa.string(), "it's"),
        ("NULL", pa.large_string(), "NULL"),
        ("", pa.dictionary(pa.int8(), pa.string()), ""),
        (1.5, pa.decimal128(5, 2), "1.50"),
        (Decimal("-2"), pa.decimal256(50, 2), "-2.00"),
        ("2020-01-02", pa.date32(), "2020-01-02"),
        (datetime.date(2020, 1, 2), pa.date64(), "2020-01-02"),
        ("2020-01-02 03:04:05.000000001", pa.timestamp("ns"), "2020-01-02 03:04:05.000000001"),
        ("2020-01-02T03:04:05+02:00", pa.timestamp("s", "Europe/Berlin"), "2020-01-02 01:04:05+00"),
    ],
)
def test_constants_survive_as_text(value, type_, text):
    assert constant(value, type_) == text
    plain = type_.value_type if pa.types.is_dictionary(type_) else type_
    back = parsed(text, plain)
    assert back.type == plain
    assert constant(back.as_py() if not pa.types.is_timestamp(plain) else text, type_) == text


def test_statistics_by_the_names_of_today():
    after = altered(
        NOW, Alter(add={"c": "int8", "z": "string"}, default={"c": 7}, rename={"n": "m"}, drop=["s"], widen={"n": "int64"})
    ).after
    stats = {name: {"nulls": 1, "nans": 0, "min": 2, "max": 3} for name in NOW.names}
    assert stats_as(stats, NOW, after, 5) == {
        "m": stats["n"], "l": stats["l"], "k": stats["k"],
        "c": {"nulls": 0, "nans": 0, "min": 7, "max": 7}, "z": {"nulls": 5, "nans": 0, "min": None, "max": None},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("value", "type_", "bound", "nans"),
    [
        ("é" * 300, "string", None, 0),
        ("nan", "float64", None, 5),
        ("2020-01-02T03:00:00Z", "timestamp[us, tz=Asia/Tokyo]", "2020-01-02 03:00:00.000000Z", 0),
    ],
)
def test_statistics_of_a_default(value, type_, bound, nans):
    after = altered(NOW, Alter(add={"c": type_}, default={"c": value})).after
    found = stats_as({name: {} for name in NOW.names}, NOW, after, 5)["c"]
    assert found == {"nulls": 0, "nans": nans, "min": bound, "max": bound}
