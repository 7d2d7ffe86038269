"""Columns of a table that change while its files stay: what raypipe and DuckDB read of every snapshot."""

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from raypipe.core.errors import Conflict, DataError
from raypipe.data.fragment.together import read_batches
from raypipe.data.lake.alter import alter
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.evolve import Alter, NewColumns
from raypipe.data.lake.partition import layout
from raypipe.data.lake.restore import restore
from raypipe.data.lake.target import target
from raypipe.data.lake.upsert import append, upsert
from raypipe.data.table import TableSchema, fragments, latest

ROWS = pa.table(
    {"n": pa.array([1, 2, None], pa.int8()), "s": ["a", None, "c"], "l": [[1], None, [2, 3]], "d": pa.array([1.5, None, 2.0], pa.float32())}
)


def put(lake, rows, how=append, *more, **settings):
    def act(work):
        to = target(work.ledger, latest(work.ledger, "t"), rows.schema, **settings)
        return how(work, "t", TableSchema(to.bare), to.write(work.store, work.path, "rows", rows), *more, to)

    return lake.act(act)


def altered(lake, **change):
    return lake.act(lambda work: alter(work, "t", Alter(**change)))


def catalog(lake, query):
    with lake.ledger.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_columns_change_and_no_file_is_written(lake):
    first = put(lake, ROWS)
    second = altered(
        lake,
        add={"x": "int32", "t": "string"}, default={"x": 42}, widen={"n": "int64", "d": "float64"}, rename={"s": "name"}, drop=["l"],
        order=["name"],
    )  # fmt: skip
    assert second.figures["changes"][0] == "drop 'l'"
    expected = pa.table(
        {
            "name": ROWS["s"], "n": ROWS["n"].cast(pa.int64()), "d": ROWS["d"].cast(pa.float64()),
            "x": pa.array([42] * 3, pa.int32()), "t": pa.nulls(3, pa.string()),
        }
    )  # fmt: skip
    assert lake.rows(second).equals(expected)
    assert lake.rows(second).schema.equals(expected.schema, check_metadata=True)
    assert lake.rows(first).equals(ROWS)
    assert lake.rows(first).schema.equals(ROWS.schema, check_metadata=True)
    assert second.files == ()
    assert [s.mode for s in lake.snapshots()] == ["evolve", "append"]
    assert lake.rows(second, columns=["x", "name"]).equals(expected.select(["x", "name"]))
    assert lake.rows(second, columns=[]).num_rows == 3


def test_what_is_said_of_the_files_goes_by_the_new_names(lake):
    put(lake, ROWS)
    made_ = altered(lake, rename={"n": "number", "s": "n"}, widen={"n": "int16"}, add={"x": "int32"}, default={"x": 42})
    [found] = fragments(lake.ledger, made_)
    assert found.stats["number"] == {"nulls": 1, "nans": 0, "min": 1, "max": 2}
    assert found.stats["n"] == {"nulls": 1, "nans": 0, "min": "a", "max": "c"}
    assert found.stats["x"] == {"nulls": 0, "nans": 0, "min": 42, "max": 42}
    assert lake.newest().stats == found.stats
    assert [batch["x"].to_pylist() for batch in read_batches(lake.store, [found], ["x"])] == [[42, 42, 42]]


def test_appends_after_it_are_written_with_the_new_columns(lake):
    put(lake, ROWS)
    altered(lake, add={"x": "int32"}, default={"x": 42}, rename={"s": "name"}, drop=["n"])
    more = pa.table({"name": ["z"], "l": [[9]], "d": pa.array([0.5], pa.float32()), "x": pa.array([7], pa.int32())})
    made_ = put(lake, more)
    assert lake.rows(made_)["x"].to_pylist() == [42, 42, 42, 7]
    assert lake.rows(made_)["name"].to_pylist() == ["a", None, "c", "z"]
    assert [f.as_now is None for f in fragments(lake.ledger, made_)] == [False, True]
    again = altered(lake, drop=["x"], add={"n": "string"})
    assert lake.rows(again)["n"].to_pylist() == [None] * 4
    assert lake.rows(made_)["x"].to_pylist() == [42, 42, 42, 7]


def test_rows_are_updated_and_deleted_under_the_new_columns(lake):
    put(lake, ROWS)
    altered(lake, add={"x": "int32"}, default={"x": 42}, rename={"s": "name"}, widen={"n": "int32"})
    new = pa.table({"n": pa.array([2, 5], pa.int32()), "name": ["B", "E"], "l": [[0], [0]], "d": pa.array([0.0, 0.0], pa.float32())})
    new = new.append_column("x", pa.array([1, 2], pa.int32()))
    put(lake, new, upsert, ["n"])
    made_ = lake.act(lambda work: delete_where(work, "t", "x = 42 and name = 'a'"))
    assert lake.rows(made_).select(["n", "name", "x"]).to_pydict() == {"n": [None, 2, 5], "name": ["c", "B", "E"], "x": [42, 1, 2]}


def test_an_append_that_changes_columns(lake):
    put(lake, ROWS)
    more = pa.table({"d": [0.5], "n": pa.array([300], pa.int32()), "y": ["new"], "s": ["z"]})
    with pytest.raises(DataError) as caught:
        put(lake, more)
    assert [line.split(":")[1] for line in str(caught.value).splitlines()] == [f" column '{n}'" for n in ("n", "l", "d", "y")]
    made_ = put(lake, more, new_columns=NewColumns(add=True, widen=True, fill=True))
    assert lake.rows(made_).to_pydict() == {
        "n": [1, 2, None, 300], "s": ["a", None, "c", "z"], "l": [[1], None, [2, 3], None], "d": [1.5, None, 2.0, 0.5],
        "y": [None, None, None, "new"],
    }  # fmt: skip
    narrower = pa.table({"n": pa.array([7], pa.int8())})
    assert lake.rows(put(lake, narrower, new_columns=NewColumns(widen=True, fill=True)))["n"].to_pylist() == [1, 2, None, 300, 7]
    assert len(lake.snapshots()) == 3


def test_two_changes_of_the_columns_at_once(lake):
    put(lake, ROWS)
    change = alter(lake.work(), "t", Alter(add={"x": "int8"}))
    altered(lake, add={"y": "int8"})
    with pytest.raises(Conflict, match="another run has committed meanwhile"):
        lake.publish(change)
    to = target(lake.ledger, lake.newest(), lake.rows().schema)
    altered(lake, drop=["y"])
    with pytest.raises(Conflict, match="its columns were changed meanwhile"):
        append(lake.work(), "t", TableSchema(to.bare), to.write(lake.store, "x", "rows", lake.rows()), to)


def test_a_plain_append_meets_a_change_of_the_columns(lake):
    put(lake, ROWS)
    work = lake.work()
    to = target(work.ledger, lake.newest(), ROWS.schema)
    waiting = append(work, "t", TableSchema(to.bare), to.write(work.store, work.path, "rows", ROWS), to)
    altered(lake, rename={"s": "name"})
    with pytest.raises(Conflict, match="its columns were changed by snapshot 2 meanwhile"):
        lake.publish(waiting)


def test_what_cannot_be_altered(lake):
    put(lake, ROWS, layout=layout(["s"], ["n"]))
    with pytest.raises(DataError, match="table t: nothing is to change"):
        altered(lake)
    with pytest.raises(DataError, match="column 's': the table is partitioned by s, so that it cannot be dropped"):
        altered(lake, drop=["s"])
    with pytest.raises(DataError, match="column 'n': the table is sorted by n, so that it cannot be dropped"):
        altered(lake, drop=["n"])
    with pytest.raises(DataError, match="there is no table 'u'"):
        alter(lake.work(), "u", Alter(drop=["x"]))


def test_a_partition_column_whose_type_changes_is_refused(lake):
    put(lake, ROWS, layout=layout(["bucket(4, n)"]))
    with pytest.raises(
        DataError, match=r"column 'n': the table is partitioned by bucket\(4, n\), so that its type cannot change from int8 to"
    ):
        altered(lake, widen={"n": "int16"})
    wide = ROWS.set_column(0, "n", ROWS["n"].cast(pa.int64()))
    with pytest.raises(DataError, match=r"its type cannot change from int8 to int64"):
        put(lake, wide, new_columns=NewColumns(widen=True))
    renamed = altered(lake, rename={"n": "m"})
    assert {f.partition for f in fragments(lake.ledger, renamed)} >= {(("bucket(4, m)", None),)}
    assert lake.rows(put(lake, ROWS.rename_columns(["m", "s", "l", "d"]))).num_rows == 6


def test_the_catalog_of_an_altered_table(lake):
    put(lake, ROWS)
    altered(lake, add={"x": "string"}, default={"x": "it's"}, rename={"s": "name"})
    found = catalog(
        lake, "select column_id, begin_snapshot, end_snapshot, column_name, initial_default from ducklake_column order by begin_snapshot, 1"
    )
    assert found == [
        (1, 1, None, "n", None), (2, 1, 2, "s", None), (3, 1, None, "l", None), (4, 1, None, "element", None), (5, 1, None, "d", None),
        (2, 2, None, "name", None), (6, 2, None, "x", "it's"),
    ]  # fmt: skip
    assert catalog(lake, "select changes_made from ducklake_snapshot_changes where snapshot_id = 2") == [("altered_table:2",)]
    assert catalog(lake, "select begin_snapshot, schema_version from ducklake_schema_versions order by 1") == [(1, 1), (2, 2)]


DEFAULTS = {
    "int8": -1, "uint64": 2**64 - 1, "float16": 1.5, "float32": 0.1, "float64": 1e300, "bool": True, "string": "it's; 'ü'",
    "decimal128(9, 2)": 1.5, "date32": "2020-01-02", "timestamp[us]": "2020-01-02 03:04:05.000006",
    "timestamp[ns]": "2020-01-02 03:04:05.000000007", "timestamp[us, tz=Europe/Berlin]": "2020-01-02T03:04:05+02:00",
    "dictionary<string, int8>": "x", "large_string": "", "timestamp[s]": "1960-01-02 03:04:05",
}  # fmt: skip


def test_duckdb_reads_defaults_as_raypipe_does(lake, ask_duckdb):
    put(lake, pa.table({"k": [1, 2]}))
    made_ = altered(lake, add={f"c{i}": t for i, t in enumerate(DEFAULTS)}, default={f"c{i}": v for i, v in enumerate(DEFAULTS.values())})
    mine = lake.rows(made_)
    [theirs] = ask_duckdb(lake.url, 'select * from lake.shop."t"')
    for name in mine.column_names:
        plain = mine[name].cast(mine[name].type.value_type) if pa.types.is_dictionary(mine[name].type) else mine[name]
        assert theirs[name].cast(plain.type).equals(plain), name


@pytest.mark.parametrize("word", ["NULL", "null", "true", "'", "now()"])
def test_duckdb_reads_text_that_looks_like_sql(lake, ask_duckdb, word):
    put(lake, pa.table({"k": [1, 2]}))
    made_ = altered(lake, add={"c": "string"}, default={"c": word})
    [theirs] = ask_duckdb(lake.url, 'select c from lake.shop."t"')
    assert theirs["c"].to_pylist() == lake.rows(made_)["c"].to_pylist() == [word, word]


WIDE = pa.table(
    {
        "i8": pa.array([1, None, -128], pa.int8()), "u8": pa.array([1, None, 255], pa.uint8()),
        "u32": pa.array([1, None, 2**32 - 1], pa.uint32()),
        "f16": pa.array(np.array([1, np.nan, np.inf], np.float16)), "f32": pa.array([0.1, None, float("nan")], pa.float32()),
        "dec": pa.array([Decimal("1.10"), None, Decimal("-999.99")], pa.decimal128(5, 2)),
        "dec32": pa.array([Decimal("1.10"), None, Decimal("-999.99")], pa.decimal32(5, 2)),
        "none": pa.nulls(3), "fixed": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
        "deep": pa.array([[{"a": 1}], None, []], pa.list_(pa.struct([("a", pa.int8())]))),
        "when": pa.array([datetime.datetime(2020, 1, 1)] * 3, pa.timestamp("us", "Asia/Tokyo")),
    }
)  # fmt: skip
WIDER = {
    "i8": "int64", "u8": "int16", "u32": "uint64", "f16": "float64", "f32": "float64", "dec": "decimal128(38, 2)",
    "dec32": "decimal128(12, 2)", "none": "string",
}  # fmt: skip


def test_duckdb_reads_every_snapshot_of_an_evolving_table(lake, ask_duckdb):
    made_ = [
        put(lake, WIDE),
        altered(lake, widen=WIDER),
        altered(lake, rename={"i8": "deep", "deep": "i8"}, drop=["when"], order=["fixed"]),
    ]
    rows = lake.rows()
    made_.append(put(lake, rows))
    made_.append(altered(lake, add={"when": "int8", "z": "float32"}, default={"when": 3, "z": 0.1}, drop=["none"]))
    made_.append(put(lake, lake.rows().slice(1, 2)))
    made_.append(lake.act(lambda work: delete_where(work, "t", "deep = 1 and when = 3")))
    queries = [f'select * from lake.shop."t" at (version => {t.figures["snapshot"]})' for t in made_]
    for table, theirs in zip(made_, ask_duckdb(lake.url, *queries), strict=True):
        mine = lake.rows(table)
        assert theirs.column_names == mine.column_names
        for name, column in zip(mine.column_names, mine.columns, strict=True):
            _assert_same(theirs[name], column, name)


def _assert_same(found, expected, name):
    if pa.types.is_floating(expected.type):
        np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
    elif pa.types.is_nested(expected.type) or pa.types.is_null(expected.type):
        assert found.to_pylist() == expected.to_pylist(), name
    else:
        assert found.cast(expected.type).to_pylist() == expected.to_pylist(), name


def test_duckdb_chooses_files_of_an_evolving_table_rightly(lake, ask_duckdb):
    put(lake, WIDE)
    altered(lake, add={"x": "int32"}, default={"x": 42}, widen=WIDER, rename={"dec": "money"})
    put(lake, lake.rows().set_column(11, "x", pa.array([1, 2, 3], pa.int32())))
    conditions = [
        "x = 42",
        "x < 42",
        "i8 = -128",
        "money < -999",
        "f32 > 1e30",
        "none is null",
        "u8 = 255",
        "f16 = 'inf'::float",
        "dec32 = 1.1",
    ]
    found = ask_duckdb(lake.url, *(f'select count(*) as c from lake.shop."t" where {where}' for where in conditions))
    assert [t["c"][0].as_py() for t in found] == [3, 3, 2, 2, 2, 6, 2, 2, 2]


def test_a_restored_snapshot_has_its_own_columns(lake, ask_duckdb):
    first = put(lake, ROWS)
    second = altered(lake, rename={"s": "name"}, add={"x": "int32"}, default={"x": 42}, drop=["l"])
    third = put(lake, lake.rows())
    back = lake.act(lambda work: restore(work, "t", first.figures["snapshot"]))
    assert lake.rows(back).equals(ROWS)
    again = lake.act(lambda work: restore(work, "t", third.figures["snapshot"]))
    assert lake.rows(again).equals(lake.rows(third))
    joined = lake.act(lambda work: compact(work, "t"))
    assert lake.rows(joined).equals(lake.rows(third))
    assert [f.as_now for f in fragments(lake.ledger, joined)] == [None]
    more = put(lake, lake.rows())
    shown = [first, second, third, back, again, joined, more]
    queries = [f'select * from lake.shop."t" at (version => {t.figures["snapshot"]})' for t in shown]
    for table, theirs in zip(shown, ask_duckdb(lake.url, *queries), strict=True):
        assert theirs.to_pydict() == lake.rows(table).to_pydict()
