"""The catalog as another program sees it: its rows, and DuckDB attached to it from a process of its own."""

import datetime
import decimal
import os
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from sqlalchemy import text

from raypipe.core.errors import DataError, LedgerError
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Work
from raypipe.core.store import Store
from raypipe.data.fragment.conform import numbered
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.lake.columns import catalog_columns, catalog_type
from raypipe.data.table import TableSchema, fragments, latest, made, names, read, snapshots


@pytest.fixture
def work(own_url, tmp_path, store):
    """A ledger on each database; every test has a catalog of its own."""
    ledger = Ledger.open(own_url, "late flights")
    yield Work(project=ledger.project, project_path=tmp_path, pipeline="flights", step="joined", ledger=ledger, store=store, run="r1")
    ledger.close()


def publish(work, made_) -> Any:
    fingerprint = uuid.uuid4().hex
    lease = work.ledger.claim(fingerprint, "r1")
    record = Record(
        kind="Table", pipeline="flights", step="joined", run="r1", fingerprint=fingerprint, digest=made_.digest,
        files=made_.files, schema=made_.schema, figures=made_.figures,
    )  # fmt: skip
    return work.ledger.publish(lease, record, made_.commits)


def commit(work, *tables, mode: Literal["append", "overwrite"] = "overwrite", name="flights.joined"):
    written = [write_fragment(work.store, f"{uuid.uuid4().hex}/0.parquet", table) for table in tables]
    before = latest(work.ledger, name) if mode == "append" else None
    return publish(work, made(work, name, TableSchema(tables[0].schema), written, mode=mode, before=before))


def rows(work, query):
    with work.ledger.reading() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


A, B = pa.table({"x": [1, 2], "s": ["a", None]}), pa.table({"x": [3], "s": ["c"]})


def test_the_first_commit_makes_the_catalog_schema_and_table(work):
    commit(work, A, B)
    assert dict(rows(work, "select key, value from ducklake_metadata")) == {
        "version": "1.0", "created_by": "raypipe", "data_path": work.store.root + "/", "encrypted": "false",
    }  # fmt: skip
    assert rows(work, "select schema_id, schema_name from ducklake_schema order by 1") == [(0, "main"), (1, "late flights")]
    assert rows(work, "select table_id, table_name, begin_snapshot, end_snapshot from ducklake_table") == [(2, "flights.joined", 1, None)]
    changes = 'created_schema:"late flights",created_table:"late flights"."flights.joined",inserted_into_table:2'
    assert rows(work, "select changes_made, author, commit_message from ducklake_snapshot_changes where snapshot_id = 1") == [
        (changes, "raypipe", "overwrite by flights.joined")
    ]
    assert rows(work, "select snapshot_id, schema_version, next_catalog_id, next_file_id from ducklake_snapshot order by 1") == [
        (0, 0, 1, 0), (1, 1, 3, 2),
    ]  # fmt: skip
    assert rows(work, "select * from ducklake_table_stats") == [(2, 3, 3, sum(f.size for f in fragments(work.ledger, _newest(work))))]


def _newest(work):
    found = names(work.ledger)["flights.joined"]
    artifact = work.ledger.artifact(found.artifact)
    assert artifact is not None
    return artifact


def test_statistics_of_files_and_of_the_table(work):
    one = pa.table({"x": [10, 9], "f": [1.5, float("nan")], "d": [decimal.Decimal("-2.00"), decimal.Decimal("10.00")], "l": [[1], [2]]})
    two = pa.table({"x": [100, None], "f": [0.5, None], "d": [decimal.Decimal("9.00"), decimal.Decimal("-11.00")], "l": [[1], [2]]})
    two = two.cast(one.schema)
    commit(work, one, mode="append")
    commit(work, two, mode="append")
    columns = "column_id, value_count, null_count, min_value, max_value, contains_nan"
    query = f"select {columns} from ducklake_file_column_stats where data_file_id = 0"
    assert [(*row[:5], row[5] if row[5] is None else bool(row[5])) for row in rows(work, f"{query} order by 1")] == [
        (1, 2, 0, "9", "10", None), (2, 2, 0, "1.5", "1.5", True), (3, 2, 0, "-2.00", "10.00", None),
    ]  # fmt: skip
    query = "select column_id, contains_null, min_value, max_value from ducklake_table_column_stats order by 1"
    assert [(a, bool(b), c, d) for a, b, c, d in rows(work, query)] == [
        (1, True, "9", "100"), (2, True, "0.5", "1.5"), (3, False, "-11.00", "10.00"),
    ]  # fmt: skip


def test_an_overwrite_ends_the_old_files(work):
    commit(work, A)
    commit(work, B)
    assert rows(work, "select begin_snapshot, end_snapshot, row_id_start from ducklake_data_file order by data_file_id") == [
        (1, 2, 0),
        (2, None, 2),
    ]
    assert rows(work, "select changes_made from ducklake_snapshot_changes where snapshot_id = 2") == [
        ("deleted_from_table:2,inserted_into_table:2",)
    ]


def test_other_columns_make_a_new_table_of_that_name(work):
    commit(work, A)
    commit(work, pa.table({"y": [1.5]}))
    assert rows(work, "select table_id, begin_snapshot, end_snapshot from ducklake_table order by 1") == [(2, 1, 2), (3, 2, None)]
    assert rows(work, "select end_snapshot from ducklake_data_file order by data_file_id") == [(2,), (None,)]
    assert rows(work, "select end_snapshot from ducklake_column where table_id = 2") == [(2,), (2,)]
    assert rows(work, "select snapshot_id, schema_version from ducklake_snapshot order by 1") == [(0, 0), (1, 1), (2, 2)]


def test_an_aborted_transaction_leaves_nothing(work):
    def fail(connection, artifact):
        raise DataError("the other commit failed")

    written = [write_fragment(work.store, "a.parquet", A)]
    with pytest.raises(DataError, match="the other commit failed"):
        publish(work, made(work, "t", TableSchema(A.schema), written, mode="overwrite", commits=[fail]))
    assert names(work.ledger) == {}
    commit(work, A)
    with pytest.raises(DataError, match="the other commit failed"):
        publish(work, made(work, "t", TableSchema(A.schema), written, mode="overwrite", commits=[fail]))
    assert list(names(work.ledger)) == ["flights.joined"]


def test_a_store_that_moved_is_followed(work, tmp_path):
    commit(work, A)
    os.rename(work.store.root, tmp_path / "moved")
    moved = replace(work, store=Store.open(tmp_path / "moved"))
    table = commit(moved, B, mode="append")
    assert read(moved.ledger, moved.store, table).num_rows == 3
    assert rows(moved, "select path from ducklake_schema where schema_id = 1") == [(f"{tmp_path}/moved/",)]


def test_names_that_sql_cannot_tell_apart_are_refused(work):
    commit(work, A)
    with pytest.raises(DataError, match=r"table Flights.joined: there is a table 'flights.joined' already"):
        commit(work, A, name="Flights.joined")


def test_two_projects_share_a_catalog(work):
    commit(work, A)
    other = Ledger.open(work.ledger.url, "other")
    theirs = replace(work, ledger=other, project="other")
    table = commit(theirs, B)
    assert read(other, work.store, table).num_rows == 1
    assert [s.num_rows for s in snapshots(work.ledger, "flights.joined")] == [2]
    other.close()


def test_commits_at_once_lose_nothing(work):
    def append(number):
        for _ in range(5):
            commit(work, A, mode="append", name=f"t{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(append, range(4)))
    assert [s.num_rows for s in names(work.ledger).values()] == [10] * 4
    assert [row[0] for row in rows(work, "select snapshot_id from ducklake_snapshot order by 1")] == list(range(21))
    assert [row[0] for row in rows(work, "select data_file_id from ducklake_data_file order by 1")] == list(range(20))


def test_what_another_program_commits_is_refused_by_name(work):
    table = commit(work, A)
    with work.ledger.writing() as connection:
        for statement in (
            "insert into ducklake_snapshot select 2, snapshot_time, schema_version, next_catalog_id, next_file_id + 1 "
            "from ducklake_snapshot where snapshot_id = 1",
            "insert into ducklake_snapshot_changes(snapshot_id, changes_made) values (2, 'inlined_insert:2')",
        ):
            connection.execute(text(statement))
    assert read(work.ledger, work.store, table).equals(A)
    with pytest.raises(
        DataError, match=r"table flights.joined: snapshot 2 was written by another program \(inlined_insert: rows or deletions inl"
    ):
        latest(work.ledger, "flights.joined")
    with pytest.raises(DataError, match="raypipe alone writes"):
        publish(
            work, made(work, "flights.joined", TableSchema(A.schema), [], mode="append", before=snapshots(work.ledger, "flights.joined")[0])
        )
    commit(work, B)
    assert rows(work, "select table_id, end_snapshot from ducklake_table order by 1") == [(2, 3), (3, None)]


def test_a_snapshot_whose_files_were_changed_is_refused(work):
    table = commit(work, A, B)
    with work.ledger.writing() as connection:
        connection.execute(
            text("insert into ducklake_delete_file(delete_file_id, table_id, begin_snapshot, data_file_id) values (9, 2, 1, 0)")
        )
    with pytest.raises(
        DataError, match=r"table flights.joined: snapshot 1 was committed with 2 files and 3 rows; .* 1 delete files that are not"
    ):
        fragments(work.ledger, table)
    with work.ledger.writing() as connection:
        connection.execute(text("delete from ducklake_delete_file"))
        connection.execute(text("delete from ducklake_data_file where data_file_id = 0"))
    with pytest.raises(DataError, match=r"the catalog now has 1 of raypipe's files with 1 rows"):
        fragments(work.ledger, table)


def test_a_migrated_catalog_is_refused(work):
    commit(work, A)
    with work.ledger.writing() as connection:
        connection.execute(text("update ducklake_metadata set value = '1.1' where key = 'version'"))
    with pytest.raises(LedgerError, match=r"DuckLake 1\.1, and this raypipe writes 1\.0"):
        commit(work, B)


def test_columns_of_the_catalog():
    schema = pa.schema(
        [("a", pa.int64()), ("A", pa.int64()), ("a_2", pa.int64()), ("", pa.string()), ("l", pa.list_(pa.struct([("x", pa.uint8())])))]
    )
    assert [(c.id, c.parent, c.name, c.type) for c in catalog_columns(numbered(schema))] == [
        (1, None, "a", "int64"), (2, None, "A_3", "int64"), (3, None, "a_2", "int64"), (4, None, "column4", "varchar"),
        (5, None, "l", "list"), (6, 5, "element", "struct"), (7, 6, "x", "uint8"),
    ]  # fmt: skip
    types = {pa.decimal128(10, 2): "decimal(10,2)", pa.duration("s"): "int64", pa.time64("ns"): "time"}
    assert {t: catalog_type(t) for t in types} == types


# --- DuckDB, from its own process


def lake(snapshot, name="flights.joined"):
    return f'lake."late flights"."{name}" at (version => {snapshot})'


def test_duckdb_reads_every_snapshot(work, ask_duckdb):
    made_ = [
        commit(work, A, B),
        commit(work, B, mode="append"),
        commit(work, A),
        commit(work, pa.table({"y": [1.5, None]})),
        commit(work, A),
    ]
    found = ask_duckdb(work.ledger.url, *(f"select * from {lake(t.figures['snapshot'])}" for t in made_))
    for table, back in zip(made_, found, strict=True):
        assert back.equals(read(work.ledger, work.store, table))


def hidden():
    tensor = pa.fixed_shape_tensor(pa.uint8(), [2])
    return {
        "tensor": pa.ExtensionArray.from_storage(tensor, pa.array([[1, 2], [3, 4], [5, 6]], pa.list_(pa.uint8(), 2))),
        "long_decimal": pa.array([decimal.Decimal("1.10"), None, None], pa.decimal256(50, 2)),
    }


def wide():
    D = decimal.Decimal
    moment = datetime.datetime(2020, 1, 1, 1, 2, 3, 456_789)
    return pa.table(
        {
            "u8": pa.array([1, None, 255], pa.uint8()),
            "u64": pa.array([1, None, 2**64 - 1], pa.uint64()),
            "f16": pa.array(np.array([1, 2, 3], np.float16)),
            "f32": pa.array([0.1, None, -2.5], pa.float32()),
            "inf": pa.array([float("-inf"), 1.0, float("inf")]),
            "nan": pa.array([float("nan"), 1.0, None]),
            "ns": pa.array([1, 2, None], pa.timestamp("ns")),
            "us": pa.array([moment, None, moment], pa.timestamp("us")),
            "s": pa.array([1, 2, None], pa.timestamp("s")),
            "tz": pa.array([moment, None, moment], pa.timestamp("us", "Europe/Berlin")),
            "date32": pa.array([1, 2, None], pa.date32()),
            "date64": pa.array([86_400_000, 172_800_000, None], pa.date64()),
            "time32": pa.array([1, 2, None], pa.time32("s")),
            "time64": pa.array([1_000, 2_000, None], pa.time64("ns")),
            "duration": pa.array([1, 2, None], pa.duration("ns")),
            "fixed_list": pa.array([[1, 2], None, [3, 4]], pa.list_(pa.float32(), 2)),
            "list": pa.array([[1], None, []], pa.list_(pa.int16())),
            "struct": pa.array([{"a": 1, "b": "x"}, None, {"a": 2, "b": None}], pa.struct([("a", pa.int8()), ("b", pa.string())])),
            "map": pa.array([[("a", 1)], None, []], pa.map_(pa.string(), pa.int32())),
            "deep": pa.array([[{"a": [1]}], None, []], pa.list_(pa.struct([("a", pa.list_(pa.uint8()))]))),
            "string": pa.array(["a'\"", None, "ü"]),
            "large": pa.array(["a", None, "b"], pa.large_string()),
            "view": pa.array(["a", None, "b"], pa.string_view()),
            "binary": pa.array([b"a", None, b"\xff"]),
            "fixed_binary": pa.array([b"ab", None, b"cd"], pa.binary(2)),
            "dictionary": pa.array(["a", None, "b"]).dictionary_encode(),
            "bool": pa.array([True, None, False]),
            "decimal": pa.array([D("1.10"), None, D("-2.00")], pa.decimal128(10, 2)),
            "decimal32": pa.array([D("1.10"), None, D("-2.00")], pa.decimal32(5, 2)),
            "uuid": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, None, b"1" * 16], pa.binary(16))),
            "json": pa.ExtensionArray.from_storage(pa.json_(), pa.array(["1", None, '{"a":2}'])),
            "Case": [1, 2, 3],
            "case": [4, 5, 6],
        }
    )


def test_duckdb_reads_every_type(work, ask_duckdb):
    table = wide()
    shown = pa.table({**hidden(), **dict(zip(table.column_names, table.columns, strict=True))})
    made_ = commit(work, shown)
    assert read(work.ledger, work.store, made_).drop(["nan"]).equals(shown.drop(["nan"]))
    [back] = ask_duckdb(work.ledger.url, f"select * from {lake(made_.figures['snapshot'])}")
    assert back.column_names == [*table.column_names[:-1], "case_2"]
    for found, name in zip(back.columns, table.column_names, strict=True):
        expected = table[name]
        if pa.types.is_floating(expected.type):
            np.testing.assert_array_equal(found.to_numpy(), expected.to_numpy())
        elif pa.types.is_nested(expected.type):
            assert found.to_pylist() == expected.to_pylist(), name
        else:
            assert _same(found, expected), name


def _same(found, expected):
    values = pa.array(expected.to_pylist(), expected.type.value_type) if pa.types.is_dictionary(expected.type) else expected
    return found.cast(values.type).to_pylist() == values.to_pylist()


def test_duckdb_prunes_by_bounds_that_hold(work, ask_duckdb):
    """A bound that is not known must not hide a row."""
    one = pa.table({"f": [float("inf"), 1.0], "n": [float("nan"), 2.0], "s": ["x" * 300, "a"], "none": pa.array([None, None], pa.int64())})
    two = pa.table({"f": [5.0, 6.0], "n": [7.0, 8.0], "s": ["b", "c"], "none": pa.array([None, 3], pa.int64())})
    made_ = commit(work, one, two)
    at = lake(made_.figures["snapshot"])
    conditions = ["f = 'inf'::double", "f > 5.5", "isnan(n)", "n > 7.5", "s > 'x'", "s = 'b'", "none = 3", "none is null", "f <= 1"]
    found = ask_duckdb(work.ledger.url, *(f"select count(*) as c from {at} where {where}" for where in conditions))
    assert [t["c"][0].as_py() for t in found] == [1, 2, 1, 2, 1, 1, 1, 3, 1]


def test_what_duckdb_writes_is_noticed(work, ask_duckdb):
    table = commit(work, A, B)
    ask_duckdb(work.ledger.url, statements=['delete from lake."late flights"."flights.joined" where x = 1'])
    assert read(work.ledger, work.store, table).num_rows == 3
    with pytest.raises(DataError, match="snapshot 2 was written by another program"):
        latest(work.ledger, "flights.joined")
    again = commit(work, A)
    assert read(work.ledger, work.store, again).equals(A)
    found = ask_duckdb(work.ledger.url, *(f"select count(*) as c from {lake(n)}" for n in (1, 2, again.figures["snapshot"])))
    assert [t["c"][0].as_py() for t in found] == [3, 2, 2]


def test_a_reader_that_began_before_the_first_table_was_made_sees_none(lake):
    import pyarrow as pa

    from raypipe.data.lake import catalog

    other = lake.other()
    with lake.ledger.reading() as before:
        before.exec_driver_sql("select count(*) from raypipe_runs")
        other.overwrite(pa.table({"n": [1]}))
        with lake.ledger.reading() as after:
            assert catalog.exists(after)
        assert not catalog.exists(before)
    other.close()
