"""The one pass of a transform: what it leaves out, makes, judges and counts, equal to what Polars makes by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Columns
from raypipe.data.contract.contract import Contract
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.lake.snapshot import data_files
from raypipe.data.split import rule
from raypipe.data.table import TableSchema, latest
from raypipe.data.transform import kernel
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.encoding import OneHot
from raypipe.data.transform.entry import Drop, Select
from raypipe.data.transform.scaling import Standardize
from raypipe.steps.transform import Transform

SPLIT = rule("time", on="at", validation_from="2026-01-01T02:00:00", test_from="2026-01-01T02:30:00")


def trips(number: int, num_rows: int = 3_000) -> pa.Table:
    rng = np.random.default_rng(number)
    seconds = np.sort(rng.integers(0, 3_600, num_rows)) + number * 3_600
    speed = rng.normal(400, 50, num_rows)
    return pa.table(
        {
            "id": np.arange(num_rows) + number * num_rows,
            "at": pa.array(1_767_225_600_000_000 + seconds * 1_000_000, pa.timestamp("us")),
            "distance": rng.integers(100, 3_000, num_rows),
            "air_time": pa.array(rng.uniform(20, 500, num_rows), mask=rng.random(num_rows) < 0.02),
            "carrier": pa.array(np.array(["AA", "UA", "DL"])[rng.integers(0, 3, num_rows)]).dictionary_encode(),
            "delay": np.where(rng.random(num_rows) < 0.05, np.nan, speed),
            "late": rng.random(num_rows) < 0.2,
        }
    )


PARTS = [trips(n) for n in range(3)]
STEP = Transform(
    label="late",
    where="air_time > 30 and carrier in ('AA', 'UA')",
    entries={
        "few": Select(["distance", "air_time", "carrier"]),
        "speed": Derive({"speed": "distance / air_time * 60", "far": "distance > 1000"}),
        "scale": Standardize(["speed", "distance"]),
    },
)


def by_hand() -> pl.DataFrame:
    frame = pl.concat([pl.DataFrame(pl.from_arrow(part)) for part in PARTS]).with_columns(pl.col("carrier").cast(pl.String))
    frame = frame.filter((pl.col("air_time") > 30) & pl.col("carrier").is_in(["AA", "UA"]))
    frame = frame.with_columns(speed=pl.col("distance") / pl.col("air_time") * 60, far=pl.col("distance") > 1000)
    train = frame.filter(pl.col("at") < pl.datetime(2026, 1, 1, 2))
    scaled = [((pl.col(n) - train[n].mean()) / train[n].std(ddof=0)).cast(pl.Float32).alias(n) for n in ("speed", "distance")]
    return frame.with_columns(scaled)


def test_rows_are_those_that_polars_makes_by_hand(bench):
    made = bench.run(STEP, table=bench.table(*PARTS, split=SPLIT))
    found, expected = bench.read(made), by_hand()
    assert found.column_names == ["distance", "air_time", "carrier", "speed", "far", "id", "at", "delay", "late"]
    assert found["id"].to_pylist() == expected["id"].to_list()
    assert found["far"].to_pylist() == expected["far"].to_list()
    for name in ("speed", "distance"):
        assert found.schema.field(name).type == pa.float32()
        np.testing.assert_allclose(found[name].to_numpy(), expected[name].to_numpy(), rtol=1e-5, atol=1e-6)
    assert found.schema.field("carrier").type == PARTS[0].schema.field("carrier").type
    schema = TableSchema.from_json(made.schema)
    assert schema.features == ("distance", "air_time", "carrier", "speed", "far")


def test_what_is_left_out_is_counted_and_told(bench):
    made = bench.run(STEP, table=bench.table(*PARTS, split=SPLIT))
    left_out = 9_000 - made.num_rows
    counts = {key: made.figures[key] for key in ("rows_in", "rows_left_out", "rows_dropped", "rows_quarantined")}
    assert counts == {"rows_in": 9_000, "rows_left_out": left_out, "rows_dropped": 0, "rows_quarantined": 0}
    assert f"{left_out:,} of 9,000 rows do not meet `air_time > 30 and carrier in ('AA', 'UA')`: left out" in bench.lines


@pytest.mark.parametrize("where", [STEP.where, "air_time * 2 > 60", "at >= '2026-01-01T01:30:00'", "distance < 0"])
def test_by_row_groups_or_whole_the_rows_are_the_same(bench, monkeypatch, where):
    step = Transform(label="late", where=where, entries={k: v for k, v in STEP.entries.items() if k != "scale"})
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
    table = bench.table(*PARTS, split=SPLIT)
    whole = bench.run(step, table=table)
    monkeypatch.setattr(kernel, "LARGE_ROWS", 2_000)
    grouped = bench.run(step, table=table)
    assert repr(bench.read(grouped).to_pylist()) == repr(bench.read(whole).to_pylist())
    assert grouped.figures["rows_left_out"] == whole.figures["rows_left_out"]
    assert [f.stats for f in bench.fragments(grouped)] == [f.stats for f in bench.fragments(whole)]


def test_learning_by_row_groups_finds_the_same_figures(bench, monkeypatch):
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
    table = bench.table(*PARTS, split=SPLIT)
    whole = bench.read(bench.run(STEP, table=table))
    monkeypatch.setattr(kernel, "LARGE_ROWS", 2_000)
    grouped = bench.read(bench.run(STEP, table=table))
    np.testing.assert_allclose(grouped["speed"].to_numpy(), whole["speed"].to_numpy(), rtol=1e-6, atol=1e-7)


CONTRACT: Any = {
    "columns": {
        "distance": {"type": "int64", "max": 2_900, "on_breach": "drop"},
        "air_time": {"type": "float64", "nulls": False, "on_breach": "quarantine"},
        "speed": {"type": "float64", "min": 0},
    },
    "exact": False,
}


def test_a_contract_judges_what_the_pass_made(bench):
    step = Transform(entries={"speed": Derive({"speed": "distance / air_time * 60"})}, contract=Contract(**CONTRACT))
    made = bench.run(step, table=bench.table(*PARTS))
    rows = pa.concat_tables(PARTS)
    far, none = (np.asarray(rows["distance"]) > 2_900), rows["air_time"].is_null().to_numpy()
    counts = [made.figures[f"rows_{what}"] for what in ("in", "left_out", "dropped", "quarantined")]
    assert counts == [9_000, 0, int((far & ~none).sum()), int(none.sum())]
    assert made.num_rows == 9_000 - int((far | none).sum())
    rules = {(rule["column"], rule["rule"]): rule["figure"] for rule in made.figures["contract"]["rules"]}
    assert rules["distance", "max"] == int(far.sum())


def test_rows_that_are_kept_out_are_written_as_they_come(bench, monkeypatch):
    columns: Any = {"air_time": {"type": "float64", "nulls": False, "on_breach": "quarantine"}}
    step = Transform(entries={"keep": Select(["air_time"])}, contract=Contract(columns, exact=False))
    monkeypatch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
    monkeypatch.setattr(kernel, "LARGE_ROWS", 2_000)
    monkeypatch.setattr(kernel, "WAITING_BYTES", 1)
    made = bench.run(step, table=bench.table(*PARTS))
    beside = latest(bench.work.ledger, "p.s~breaches")
    assert beside is not None
    with bench.work.ledger.reading() as connection:
        parts = data_files(connection, beside)
    assert (len(parts), sum(part.num_rows for part in parts)) == (9, made.figures["rows_quarantined"])
    rows = pa.concat_tables(PARTS)
    found = [read_fragment(bench.work.store, part) for part in parts]
    lost = rows.filter(rows["air_time"].is_null())
    assert [i for part in found for i in part["id"].to_pylist()] == lost["id"].to_pylist()
    assert [n for part in found for n in part["raypipe.row"].to_pylist()] == [i % 3_000 + 1 for i in lost["id"].to_pylist()]


def test_a_contract_that_is_broken_leaves_no_table(bench):
    columns: Any = {"speed": {"type": "float64", "min": 200}}
    step = Transform(entries={"speed": Derive({"speed": "distance / air_time * 60"})}, contract=Contract(columns, exact=False))
    with pytest.raises(DataError, match=r"column 'speed': .* below 200"):
        bench.run(step, table=bench.table(*PARTS))


def test_without_a_label_marks_go_on_to_what_is_made(bench):
    step = Transform(
        entries={
            "speed": Derive({"ratio": "delay / air_time", "far": "distance > 9"}),
            "hot": OneHot(["carrier"]),
            "out": Drop(["distance"]),
        }
    )
    table = bench.table(*PARTS, known_afterwards=["delay"], split=SPLIT)
    assert step.check("t", Columns(tuple(PARTS[0].column_names), {}, frozenset({"delay"}))) == []
    made = bench.run(step, table=table)
    schema = TableSchema.from_json(made.schema)
    assert (schema.known_afterwards, schema.features, schema.label) == (("delay", "ratio"), None, None)
    assert made.figures["rows_in"] == made.num_rows == 9_000


def test_the_tables_own_label_goes_round(bench):
    step = Transform(entries={"keep": Select(["distance"])})
    made = bench.run(step, table=bench.table(*PARTS, label="late", known_afterwards=["late"]))
    assert TableSchema.from_json(made.schema).features == ("distance",)


def test_a_split_is_asked_for_only_where_an_entry_learns(bench):
    table = bench.table(*PARTS)
    made = bench.run(Transform(entries={"speed": Derive({"speed": "distance / air_time"})}), table=table)
    assert made.num_rows == 9_000
    with pytest.raises(DataError, match="has no split, so there is no training part to fit scale on"):
        bench.run(Transform(entries={"scale": Standardize(["distance"])}), table=table)


@pytest.mark.parametrize(
    ("where", "text"),
    [
        ("air_tim > 3", r"t\.where: no column 'air_tim'\. Did you mean 'air_time'\?"),
        ("air_time >", r"t\.where: 'air_time >' is no SQL expression over a row"),
        ("air_time > avg(air_time)", "reads more than its own row"),
        ("carrier > 3", "the column is string"),
        ("distance + 1", "'distance . 1' is no condition: it is int64, expected true or false"),
        ("at > '2026-13-01'", "the column is timestamp.us., and '2026-13-01' is none"),
    ],
)
def test_a_condition_that_cannot_be_is_told_before_anything_runs(where, text):
    types = {"air_time": "float64", "carrier": "string", "distance": "int64", "at": "timestamp[us]"}
    problems = Transform(where=where).check("t", Columns(tuple(types), types))
    with pytest.raises(DataError, match=text):
        raise DataError("\n".join(map(str, problems)))


def test_through_ray_the_same_table_comes_out(bench, ray_cluster):
    table = bench.table(*PARTS, split=SPLIT)
    assert bench.run(STEP, inline=False, table=table).digest == bench.run(STEP, table=table).digest


def test_a_profile_is_made_in_the_same_pass(bench, monkeypatch):
    from raypipe.data.statistics.kept import profile_of, profile_path

    made = bench.run(replace(STEP, profile=True), table=bench.table(*PARTS, split=SPLIT))
    store, parts = bench.work.store, bench.fragments(made)
    assert all(store.local(profile_path(part.path)).exists() for part in parts)
    monkeypatch.setattr("raypipe.data.statistics.kept.map_fragments", lambda kernel, items, inline: [])
    assert profile_of(store, parts, inline=True).num_rows == made.num_rows
