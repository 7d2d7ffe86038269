"""A table's whole history: whatever is done to it, it is what a plain list of rows would be, and no earlier snapshot ever changes."""

import dataclasses
import itertools
import tempfile
from pathlib import Path
from random import Random

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from raypipe.core.store import Store
from raypipe.data.lake import snapshot, tags
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.lake.expire import expire
from raypipe.data.lake.gc import gc
from raypipe.data.lake.restore import restore
from raypipe.data.lake.upsert import append, replace, upsert
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema

SCHEMA = pa.schema([("k", pa.int64()), ("p", pa.string()), ("v", pa.int64())])
number = itertools.count()


def table_of(rows):
    return pa.Table.from_pylist(rows, SCHEMA)


def put(lake, how, rows, *more):
    return lake.act(lambda work: how(work, "t", TableSchema(SCHEMA), write_rows(work.store, work.path, table_of(rows)), *more))


def new_rows(keys):
    return [{"k": k, "p": "abc"[k % 3], "v": next(number)} for k in keys]


keys = st.lists(st.integers(0, 12), min_size=1, max_size=5, unique=True)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("append"), keys),
        st.tuples(st.just("upsert"), keys),
        st.tuples(st.just("replace"), keys),
        st.tuples(st.just("delete"), st.integers(0, 12)),
        st.tuples(st.just("overwrite"), keys),
        st.tuples(st.just("compact"), st.none()),
        st.tuples(st.just("restore"), st.integers(0, 100)),
    ),
    min_size=2,
    max_size=9,
)


def step(lake, act, rows, history):
    """One act on the table and on the model: the artifact, and the rows that there should be."""
    what, how = act
    if what == "compact":
        return lake.act(lambda work: compact(work, "t")), rows
    if what == "restore":
        table, then = history[how % len(history)]
        if table.snapshot == lake.newest().id:
            return table, rows
        return lake.act(lambda work: restore(work, "t", table.snapshot)), then
    if what == "delete":
        return lake.act(lambda work: delete_where(work, "t", f"k >= {how} and k <= {how + 2}")), [
            r for r in rows if not how <= r["k"] <= how + 2
        ]
    new = new_rows(how)
    if what == "upsert":
        return put(lake, upsert, new, ["k"]), [r for r in rows if r["k"] not in how] + new
    if what == "replace":
        gone = {r["p"] for r in new}
        return put(lake, replace, new, ["p"]), [r for r in rows if r["p"] not in gone] + new
    if what == "overwrite":
        return lake.overwrite(table_of(new)), new
    return put(lake, append, new), rows + new


@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts)
def test_a_table_is_what_a_list_of_rows_would_be(lake, done):
    with tempfile.TemporaryDirectory() as folder:
        fresh = type(lake)(f"sqlite:///{folder}/ledger.db", Store.open(Path(folder) / "store"), Path(folder))
        try:
            history = [(put(fresh, append, rows := new_rows([1, 2, 3, 4])), rows)]
            for act in done:
                history.append(step(fresh, act, history[-1][1], history))
                assert fresh.newest().num_rows == len(history[-1][1])
            for table, rows in history:
                assert fresh.rows(table).equals(table_of(rows)), (table.figures, done)
            by_rows = {}
            for table, rows in history:
                assert by_rows.setdefault(table.digest, rows) == rows, "one digest, one content"
        finally:
            fresh.close()


def test_duckdb_reads_every_snapshot_of_a_history(lake, ask_duckdb):
    history = [(put(lake, append, rows := new_rows(range(13))), rows)]
    acts = [
        ("upsert", [3, 7, 20]),
        ("append", [40, 41]),
        ("delete", 5),
        ("compact", None),
        ("delete", 1),
        ("replace", [3, 6]),
        ("restore", 2),
    ]
    acts += [("delete", 3), ("compact", None), ("overwrite", [1, 2]), ("upsert", [2, 9]), ("restore", 4), ("upsert", [40])]
    for act in acts:
        history.append(step(lake, act, history[-1][1], history))
    found = ask_duckdb(lake.url, *(f"select * from lake.shop.t at (version => {table.snapshot})" for table, _ in history))
    for (table, rows), back in zip(history, found, strict=True):
        assert lake.rows(table).equals(table_of(rows))
        assert back.sort_by("v").equals(table_of(rows).sort_by("v")), table.figures


@pytest.mark.parametrize("own_url", ["sqlite"], indirect=True)
def test_a_hundred_snapshots_later_every_tag_reads_as_it_did(lake):
    """With compaction, expiry and the collection of garbage between them, byte for byte."""
    random, tagged, rows = Random(7), {}, new_rows(range(5))
    table = put(lake, append, rows)
    for i in range(100):
        act = random.choice([("append", [i, i + 1]), ("upsert", random.sample(range(i + 3), 3)), ("delete", random.randrange(i + 3))])
        table, rows = step(lake, ("compact", None) if i % 9 == 8 else act, rows, [(table, rows)])
        if i % 10 == 0:
            tags.make(lake.ledger, "t", f"after-{i}", table.snapshot, force=True)
            tagged[f"after-{i}"] = table_of(rows)
        if i % 25 == 24:
            lake.act(lambda work: expire(work, "t", keep_last=3))
            gc(lake.ledger, lake.store, grace_s=0)
    assert len(lake.snapshots()) < 40
    for tag, expected in tagged.items():
        with lake.ledger.reading() as connection:
            found = snapshot.at(connection, "shop", "t", tag)
        artifact = lake.ledger.artifact(found.artifact)
        assert lake.rows(dataclasses.replace(artifact, figures={**artifact.figures, "snapshot": found.id})).equals(expected)
    assert lake.rows().equals(table_of(rows))
