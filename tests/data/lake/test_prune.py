"""Only the files, row groups, columns and rows that are asked for are read, and none is missed."""

import datetime
import math
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.errors import DataError
from raypipe.core.store import Store
from raypipe.data.fragment import fragment as fragment_
from raypipe.data.fragment.fragment import read_fragment, read_row_groups
from raypipe.data.lake.alter import alter
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.evolve import Alter
from raypipe.data.lake.partition import layout
from raypipe.data.lake.prune import pruned
from raypipe.data.lake.target import target
from raypipe.data.lake.upsert import append
from raypipe.data.table import TableSchema, fragments, latest, matching, read, to_dataset
from raypipe.data.where.where import predicate

HOURS = st.integers(-100, 100).map(lambda h: datetime.datetime(2020, 1, 1, 22, tzinfo=datetime.UTC) + datetime.timedelta(hours=h))
DAYS = HOURS.map(lambda moment: moment.date())
TEXTS = ["", "a", "b", "a/b=..", "x" * 300, "x" * 300 + "y"]
COLUMNS = {
    "n": (pa.int16(), st.integers(-3, 3)),
    "f": (pa.float64(), st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, -2.0])),
    "s": (pa.string(), st.sampled_from(TEXTS)),
    "d": (pa.decimal128(6, 2), st.sampled_from([Decimal("0.10"), Decimal("-9.99"), Decimal("10")])),
    "at": (pa.timestamp("ms", "Asia/Kathmandu"), HOURS),
    "day": (pa.date32(), DAYS),
    "sec": (pa.timestamp("s"), HOURS.map(lambda moment: moment.replace(tzinfo=None))),
    "t": (pa.time32("s"), HOURS.map(lambda moment: moment.time())),
    "b": (pa.bool_(), st.booleans()),
    "k": (pa.dictionary(pa.int8(), pa.string()), st.sampled_from(["a", "b"])),
    "u": (pa.uint64(), st.sampled_from([0, 2**64 - 1])),
    "f16": (pa.float16(), st.sampled_from([0.5, -1.0, math.nan])),
    "date64": (pa.date64(), DAYS),
}
SCHEMA = pa.schema([(name, type_) for name, (type_, _) in COLUMNS.items()])
VALUES = {name: values for name, (_, values) in COLUMNS.items()}
LAYOUTS = [
    [], ["s"], ["bucket(4, s)"], ["n"], ["bucket(3, n)", "b"], ["year(at)", "month(at)", "day(at)"], ["hour(sec)"], ["at"], ["day", "k"],
    ["d"], ["bucket(2, day)"], ["bucket(2, at)"], ["month(date64)"], ["u"],
]  # fmt: skip


@st.composite
def tables(draw):
    rows = draw(st.lists(st.fixed_dictionaries({name: st.none() | values for name, values in VALUES.items()}), min_size=1, max_size=20))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@st.composite
def conditions(draw):
    made = []
    for name in draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=2)):
        ops = ["=", "!=", "in", "not in", "is null", "is not null", *([] if name == "b" else ["<", "<=", ">", ">="])]
        op, values = draw(st.sampled_from(ops)), VALUES[name].filter(lambda v: v == v)
        made.append((name, op, draw(st.lists(values, max_size=2)) if op.endswith("in") else draw(values)))
    return made


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(rows=tables(), where=conditions(), keys=st.sampled_from(LAYOUTS), sort=st.sampled_from([[], ["n", "s desc"]]))
def test_no_row_is_missed(rows, where, keys, sort, tmp_path_factory, monkeypatch):
    """Brute force: the mask over all rows. Row groups are of three rows here."""
    monkeypatch.setattr(fragment_, "_row_group_rows", lambda table: 3)
    store = Store.open(tmp_path_factory.mktemp("store"))
    rows = rows.append_column("row", pa.array(range(rows.num_rows)))
    to = target(None, None, rows.schema, layout=layout(keys, sort))
    written = to.write(store, "a", "rows", rows)
    chosen = predicate(where, rows.schema)
    expected = chosen.rows(rows)["row"].to_pylist()
    kept = pruned(written, chosen)
    whole = pa.concat_tables([rows.slice(0, 0).select(["row", "s"]), *(read_fragment(store, f, ["row", "s"], chosen) for f in kept)])
    assert sorted(whole["row"].to_pylist()) == expected
    pieces = [piece["row"].to_pylist() for f in kept for piece in read_row_groups(store, f, ["row"], chosen)]
    assert sorted(row for piece in pieces for row in piece) == expected
    assert sum(f.num_rows for f in written) == rows.num_rows


ROWS = pa.table({"id": range(12), "region": ["eu", "us", "a=b /../é"] * 4, "v": [float(n) for n in range(12)]})


def put(lake, rows, **settings_):
    def act(work):
        to = target(work.ledger, latest(work.ledger, "t"), rows.schema, **settings_)
        return append(work, "t", TableSchema(to.bare), to.write(work.store, work.path, "rows", rows), to)

    return lake.act(act)


def test_what_a_table_holds_where(lake):
    table = put(lake, ROWS, layout=layout(["region"], ["v desc"]))
    assert [f.path.split("/")[3] for f in fragments(lake.ledger, table)] == ["region=a%3Db%20%2F..%2F%C3%A9", "region=eu", "region=us"]
    assert [f.num_rows for f in matching(lake.ledger, table, "region = 'eu' and v < 100").fragments] == [4]
    assert matching(lake.ledger, table, "region = 'ap'").fragments == []
    found = read(lake.ledger, lake.store, table, ["v", "id"], where="region = 'a=b /../é' and v > 3")
    assert found.to_pydict() == {"v": [11.0, 8.0, 5.0], "id": [11, 8, 5]}
    assert read(lake.ledger, lake.store, table, [], where="v > 3").num_rows == 8
    assert read(lake.ledger, lake.store, table, where=[("v", "<", 0)]).equals(ROWS.slice(0, 0))
    with pytest.raises(DataError, match=r"where regoin =: there is no column 'regoin'\. Did you mean 'region'\?"):
        read(lake.ledger, lake.store, table, where="regoin = 'eu'")


def test_deleted_rows_and_new_columns(lake, monkeypatch):
    monkeypatch.setattr(fragment_, "_row_group_rows", lambda table: 3)
    put(lake, ROWS)
    lake.act(lambda work: delete_where(work, "t", "id in (1, 4, 7)"))
    table = lake.act(lambda work: alter(work, "t", Alter(add={"x": "int8"}, default={"x": 5}, rename={"v": "value"}, widen={})))
    assert read(lake.ledger, lake.store, table, ["id"], where="x = 5 and value >= 4 and region = 'us'")["id"].to_pylist() == [10]
    assert read(lake.ledger, lake.store, table, ["id", "x"], where="x = 4").num_rows == 0
    assert matching(lake.ledger, table, "x != 5").fragments == []


def test_only_row_groups_that_can_match_are_read(lake, monkeypatch):
    monkeypatch.setattr(fragment_, "_row_group_rows", lambda table: 3)
    table = put(lake, ROWS)
    read_ = []
    own = pq.ParquetFile.read_row_groups

    def counted(self, numbers, columns=None, **more):
        read_.append((numbers, columns))
        return own(self, numbers, columns=columns, **more)

    monkeypatch.setattr(pq.ParquetFile, "read_row_groups", counted)
    assert read(lake.ledger, lake.store, table, ["region"], where="id >= 9 and v != 10").num_rows == 2
    assert read_ == [([3], ["id", "v"]), ([3], ["region"])]
    read_.clear()
    assert read(lake.ledger, lake.store, table, ["region"], where="id = 4 and v = 3").num_rows == 0
    assert read_ == [([1], ["id", "v"])]


def test_a_dataset_of_what_matches(lake, ray_cluster):
    table = put(lake, ROWS)
    chosen = matching(lake.ledger, table, "id in (3, 4)")
    assert to_dataset(lake.store, chosen.fragments, ["id"], chosen.where).take_all() == [{"id": 3}, {"id": 4}]


def test_the_catalog_of_a_layout(lake):
    put(lake, ROWS, layout=layout(["region", "bucket(2, id)"], ["v desc", "id"]))
    tables_ = {}
    with lake.ledger.reading() as connection:
        for name in ("partition_info", "partition_column", "sort_info", "sort_expression", "data_file", "schema_versions"):
            tables_[name] = [tuple(row) for row in connection.exec_driver_sql(f"select * from ducklake_{name}")]
    assert tables_["partition_info"] == [(3, 2, 1, None)]
    assert tables_["partition_column"] == [(3, 2, 0, 2, "identity"), (3, 2, 1, 1, "bucket(2)")]
    assert tables_["sort_info"] == [(4, 2, 1, None)]
    assert tables_["sort_expression"] == [
        (4, 2, 0, '"v"', "duckdb", "DESC", "NULLS_LAST"),
        (4, 2, 1, '"id"', "duckdb", "ASC", "NULLS_LAST"),
    ]
    assert {row[12] for row in tables_["data_file"]} == {3}
    assert tables_["schema_versions"] == [(1, 1, 2)]


def test_another_layout_is_for_the_files_from_then_on(lake):
    put(lake, ROWS, layout=layout(["region"]))
    put(lake, ROWS)
    put(lake, ROWS, layout=layout(["bucket(2, id)"]))
    table = put(lake, ROWS, layout=layout())
    parts = [tuple(key for key, _ in f.partition) for f in fragments(lake.ledger, table)]
    assert parts == [("region",)] * 6 + [("bucket(2, id)",)] * 2 + [()]
    assert read(lake.ledger, lake.store, table, ["id"], where="id = 3 and region = 'eu'")["id"].to_pylist() == [3] * 4
    assert len(matching(lake.ledger, table, "id = 3 and region = 'eu'").fragments) == 4
    with pytest.raises(DataError, match="table t: partition_by regoin: the table has no column 'regoin'"):
        put(lake, ROWS, layout=layout(["regoin"]))


LAYOUTS_FOR_DUCKDB = [
    ["region", "year(ts)", "month(ts)", "day(ts)", "hour(ts)"],
    ["bucket(4, id)", "bucket(3, region)"],
    ["bucket(2, ts)", "ts"],
    ["hour(tz)"],
]


@pytest.mark.parametrize("keys", LAYOUTS_FOR_DUCKDB, ids=str)
def test_duckdb_finds_every_row_of_a_partitioned_table(lake, ask_duckdb, keys):
    times = [datetime.datetime(2019, 12, 31, 22) + datetime.timedelta(hours=n) for n in range(12)]
    rows = ROWS.append_column("ts", pa.array(times, pa.timestamp("us"))).append_column(
        "tz", pa.array(times, pa.timestamp("us", "Asia/Tokyo"))
    )
    rows = pa.concat_tables(
        [rows, pa.Table.from_pylist([{"id": None, "region": None, "v": None, "ts": None, "tz": None}], schema=rows.schema)]
    )
    table = put(lake, rows, layout=layout(keys, ["v desc"]))
    where = ["id = 7", "region = 'a=b /../é'", "region is null", "ts >= timestamp '2020-01-01' and ts < timestamp '2020-01-01 03:00:00'"]
    where += ["year(ts) = 2020", "hour(ts) = 22", "ts = timestamp '2020-01-01 01:00:00'", "tz = timestamptz '2020-01-01 01:00:00+00'"]
    where += ["id in (1, 2) and region = 'us'", "hour(tz) = 22", "true"]
    plain = put_plain(lake, rows)
    found = ask_duckdb(
        lake.url, *(f'select id from lake.shop."{name}" where {text} order by id' for text in where for name in ("t", "plain"))
    )
    for number, text in enumerate(where):
        mine, expected = found[2 * number], found[2 * number + 1]
        assert mine.equals(expected), text
        assert expected.num_rows, text
    assert plain.num_rows == table.num_rows


def put_plain(lake, rows):
    return lake.overwrite(rows, "plain")
