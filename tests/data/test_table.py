import json
import uuid
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError, StoreError
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.fragment.together import read_batches, read_fragments
from raypipe.data.split import PARTS, rule
from raypipe.data.table import TableSchema, fragments, latest, made, names, read, restated, snapshots, to_dataset


@pytest.fixture
def work(tmp_path, ledger, store):
    return Work(project=ledger.project, project_path=tmp_path, pipeline="flights", step="joined", ledger=ledger, store=store, run="r1")


def publish(work, made_) -> Any:
    """As the driver does: a lease, the record and the commits in one transaction."""
    fingerprint = uuid.uuid4().hex
    lease = work.ledger.claim(fingerprint, "r1")
    record = Record(
        kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=fingerprint, digest=made_.digest,
        files=made_.files, schema=made_.schema, figures=made_.figures,
    )  # fmt: skip
    return work.ledger.publish(lease, record, made_.commits)


def write(work, *tables, start=0):
    return [write_fragment(work.store, f"t/{start + i}.parquet", table) for i, table in enumerate(tables)]


A, B = pa.table({"x": [1, 2], "s": ["a", None]}), pa.table({"x": [3], "s": ["c"]})
SCHEMA = TableSchema(A.schema)


def test_a_table_is_published_and_read_back(work):
    table = publish(work, made(work, "flights.joined", SCHEMA, write(work, A, B), mode="overwrite", figures={"seconds": 1.5}))
    assert isinstance(table, Table)
    assert table.figures == {"table": "flights.joined", "snapshot": 1, "num_rows": 3, "num_fragments": 2, "seconds": 1.5}
    assert read(work.ledger, work.store, table).equals(pa.concat_tables([A, B]))
    assert [(f.path, f.first_row, f.num_rows) for f in fragments(work.ledger, table)] == [("t/0.parquet", 0, 2), ("t/1.parquet", 2, 1)]


def test_a_fragment_of_the_catalog_is_the_one_that_was_written(work):
    written = write(work, A, B)
    table = publish(work, made(work, "t", SCHEMA, written, mode="overwrite"))
    assert fragments(work.ledger, table) == [replace(written[0], id=0, place=0), replace(written[1], first_row=2, id=1, place=1)]


def test_an_append_keeps_what_is_there_and_older_snapshots_stay(work):
    first = publish(work, made(work, "t", SCHEMA, write(work, A), mode="append"))
    before = latest(work.ledger, "t")
    assert before is not None
    assert before.num_rows == 2
    second = publish(work, made(work, "t", SCHEMA, write(work, B, start=1), mode="append", before=before))
    assert read(work.ledger, work.store, second).equals(pa.concat_tables([A, B]))
    assert read(work.ledger, work.store, first).equals(A)
    assert second.digest == made(work, "t", SCHEMA, fragments(work.ledger, second), mode="overwrite").digest


def test_an_append_of_nothing_keeps_the_snapshot(work):
    first = publish(work, made(work, "t", SCHEMA, write(work, A), mode="append"))
    nothing = made(work, "t", SCHEMA, [], mode="append", before=latest(work.ledger, "t"))
    assert nothing.digest == first.digest
    with work.ledger.writing() as connection:
        figures = nothing.commits[0](connection, "other")
    assert figures is not None
    assert figures["snapshot"] == first.snapshot


def test_an_append_to_what_has_moved_on_is_refused(work):
    publish(work, made(work, "t", SCHEMA, write(work, A), mode="append"))
    before = latest(work.ledger, "t")
    publish(work, made(work, "t", SCHEMA, write(work, B, start=1), mode="append", before=before))
    with pytest.raises(DataError, match=r"table t: another run has committed meanwhile: the table is at snapshot 2, .*continue snapshot 1"):
        publish(work, made(work, "t", SCHEMA, write(work, B, start=2), mode="append", before=before))
    with pytest.raises(DataError, match=r"the table is at snapshot 2, and these rows continue no snapshot"):
        publish(work, made(work, "t", SCHEMA, write(work, B, start=3), mode="append"))
    assert [s.num_rows for s in snapshots(work.ledger, "t")] == [3, 2]


def test_an_append_of_other_columns_is_refused(work):
    publish(work, made(work, "t", SCHEMA, write(work, A), mode="append"))
    other = pa.table({"x": [1.5], "s": ["a"]})
    with pytest.raises(DataError, match="table t: rows with other columns or types than snapshot 1"):
        publish(work, made(work, "t", TableSchema(other.schema), write(work, other), mode="append", before=latest(work.ledger, "t")))


def test_an_overwrite_replaces_rows_and_columns(work):
    first = publish(work, made(work, "t", SCHEMA, write(work, A), mode="overwrite"))
    other = pa.table({"y": [1.5]})
    second = publish(work, made(work, "t", TableSchema(other.schema), write(work, other, start=1), mode="overwrite"))
    assert read(work.ledger, work.store, second).equals(other)
    assert read(work.ledger, work.store, first).equals(A)


def test_the_digest_covers_rows_order_and_what_the_schema_says(work):
    a, b = write(work, A, B)

    def digest(schema, *fragments):
        return made(work, "t", schema, fragments, mode="overwrite").digest

    same = digest(SCHEMA, a, b)
    assert same == digest(TableSchema.from_json(SCHEMA.to_json()), a, b)
    others = [
        digest(SCHEMA, b, a),
        digest(SCHEMA, a),
        digest(replace(SCHEMA, label="s"), a, b),
        digest(replace(SCHEMA, features=("x",)), a, b),
        digest(replace(SCHEMA, known_afterwards=("x",)), a, b),
        digest(replace(SCHEMA, split={"by": "hash"}), a, b),
        digest(TableSchema(pa.schema([("x", pa.int64()), ("s", pa.large_string())])), a, b),
    ]
    assert len({same, *others}) == 8


def test_a_schema_travels_as_readable_json():
    types = [pa.list_(pa.float32(), 3), pa.timestamp("ns", "UTC"), pa.dictionary(pa.int8(), pa.string()), pa.uint8(), pa.float16()]
    arrow = pa.schema([(f"c{i}", t) for i, t in enumerate(types)], metadata={"pandas": "{}"})
    schema = TableSchema(arrow, known_afterwards=("c1",), split={"by": "time"}, label="c0", features=("c3", "c4"))
    value = json.loads(json.dumps(schema.to_json()))
    assert value["columns"][0] == {"name": "c0", "type": "list<float32>[3]"}
    back = TableSchema.from_json(value)
    assert back == replace(schema, arrow=arrow.remove_metadata())
    assert back.arrow.equals(arrow.remove_metadata(), check_metadata=True)


def test_a_table_restated_shares_its_rows(work):
    table = publish(work, made(work, "t", SCHEMA, write(work, A), mode="overwrite"))
    again = publish(work, restated(work.ledger, table, replace(SCHEMA, label="s"), {"parts": 3}))
    assert (again.snapshot, again.num_rows, again.figures["parts"]) == (table.snapshot, 2, 3)
    assert again.digest == made(work, "t", replace(SCHEMA, label="s"), fragments(work.ledger, table), mode="overwrite").digest
    assert read(work.ledger, work.store, again).equals(A)


def test_columns_are_chosen_and_a_wrong_one_is_named(work):
    table = publish(work, made(work, "t", SCHEMA, write(work, A, B), mode="overwrite"))
    assert read(work.ledger, work.store, table, ["s", "x"]).column_names == ["s", "x"]
    assert read(work.ledger, work.store, table, []).num_rows == 3
    with pytest.raises(DataError, match=r"table t: has no column 'y'\. Valid: s, x"):
        read(work.ledger, work.store, table, ["y"])


def test_a_part_is_read_by_the_split_rule(work):
    rule_ = rule("hash", key="x", validation=0.2, test=0.2)
    rows = pa.table({"x": np.arange(1_000), "y": np.arange(1_000) * 2.0})
    schema = TableSchema(rows.schema, split=rule_)
    table = publish(work, made(work, "t", schema, write(work, rows.slice(0, 400), rows.slice(400)), mode="overwrite"))
    parts = [read(work.ledger, work.store, table, ["y"], part=part) for part in PARTS]
    assert [part.column_names for part in parts] == [["y"]] * 3
    assert sorted(pa.concat_tables(parts)["y"].to_pylist()) == rows["y"].to_pylist()
    assert parts[1].num_rows == pytest.approx(200, abs=60)
    with pytest.raises(DataError, match=r"table t: there is no part 'tset'\. Did you mean 'test'\?"):
        read(work.ledger, work.store, table, part="tset")
    plain = publish(work, made(work, "u", SCHEMA, write(work, A), mode="overwrite"))
    with pytest.raises(DataError, match="table u: has no split rule"):
        read(work.ledger, work.store, plain, part="test")


def test_a_table_of_no_fragments_has_its_columns(work):
    table = publish(work, made(work, "t", SCHEMA, [], mode="overwrite"))
    assert read(work.ledger, work.store, table).equals(A.slice(0, 0))
    assert list(read_batches(work.store, fragments(work.ledger, table))) == []


def test_batches_are_the_rows_in_order(work):
    big = pa.table({"x": np.arange(200_000)})
    written = write(work, big, big)
    pieces = list(read_batches(work.store, written, ["x"]))
    assert [p.num_rows for p in pieces] == [131_072, 68_928] * 2
    assert pa.concat_tables(pieces).equals(pa.concat_tables([big, big]))


def test_many_megabytes_are_read_by_threads_in_order(work):
    parts = [pa.table({"x": np.random.default_rng(i).normal(size=300_000)}) for i in range(8)]
    written = write(work, *parts)
    assert sum(f.size for f in written) > 16 << 20
    assert read_fragments(work.store, written, parts[0].schema).equals(pa.concat_tables(parts))
    work.store.local("t/5.parquet").unlink()
    with pytest.raises(StoreError, match=r"t/5\.parquet: is not in the store"):
        read_fragments(work.store, written, parts[0].schema)


def test_tables_are_listed(work):
    assert names(work.ledger) == {}
    assert latest(work.ledger, "t") is None
    publish(work, made(work, "flights.a", SCHEMA, write(work, A), mode="overwrite"))
    publish(work, made(work, "flights.b", SCHEMA, write(work, B, start=1), mode="overwrite"))
    publish(work, made(work, "flights.a", SCHEMA, write(work, A, B, start=2), mode="overwrite"))
    assert {name: (s.id, s.num_rows, s.num_files) for name, s in names(work.ledger).items()} == {
        "flights.a": (3, 3, 2),
        "flights.b": (2, 1, 1),
    }
    assert [s.id for s in snapshots(work.ledger, "flights.a")] == [3, 1]
    assert snapshots(work.ledger, "flights.a")[0].stats["s"] == {"nulls": 1, "nans": 0, "min": "a", "max": "c"}
    with pytest.raises(DataError, match=r"there is no table 'flights.c'\. Did you mean 'flights.b'\?"):
        snapshots(work.ledger, "flights.c")


def test_a_snapshot_that_raypipe_did_not_write_is_refused(work):
    table = publish(work, made(work, "t", SCHEMA, write(work, A), mode="overwrite"))
    with pytest.raises(DataError, match="table t: raypipe has not written a snapshot 7 of it"):
        fragments(work.ledger, replace(table, figures=table.figures | {"snapshot": 7}))


def test_a_dataset_has_the_rows(ray_cluster, work):
    big = pa.table({"x": np.arange(200_000), "y": np.ones(200_000)})
    written = write(work, big, big, big)
    dataset = to_dataset(work.store, written, ["x"])
    assert dataset.count() == 600_000
    schema = dataset.schema()
    assert schema is not None
    assert schema.names == ["x"]
    assert dataset.sum("x") == 3 * sum(range(200_000))
    work.store.local("t/1.parquet").unlink()
    with pytest.raises(Exception, match=r"t/1\.parquet: is not in the store"):
        to_dataset(work.store, written).materialize()
