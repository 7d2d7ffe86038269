"""A contract judged over a whole table: as it is taken in, and again when the contract, the clock or another table has moved."""

import json
import uuid
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.contract.contract import Column, Contract, Freshness, Rule
from raypipe.data.contract.judgement import findings_of, outdated
from raypipe.data.ingest.ingest import ingest
from raypipe.data.source.parquet import Parquet

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.fixture
def work(tmp_path, store, ledger):
    lines = []
    made = Work(ledger.project, tmp_path, "p", "source", ledger, store, run="r1", path="attempt", inline=True, report=lines.append)
    object.__setattr__(made, "lines", lines)
    return made


def put(work, name, **columns):
    path = work.project_path / name
    path.parent.mkdir(exist_ok=True)
    pq.write_table(pa.table(columns), path)


def take(work, contract, folder="data", table="t"):
    made = ingest(replace(work, path=f"attempts/{uuid.uuid4().hex}"), Parquet(folder), contract, table)
    about = {"pipeline": work.pipeline, "step": table, "run": work.run, "fingerprint": uuid.uuid4().hex, "digest": made.digest}
    record = Record(kind="Table", **about, files=made.files, schema=made.schema, figures=made.figures)
    return work.ledger.publish(work.ledger.claim(about["fingerprint"], "r1"), record, made.commits)


def refused(work, contract, **how):
    with pytest.raises(DataError) as error:
        take(work, contract, **how)
    return [line for line in str(error.value).splitlines() if "that break it" not in line]


def rule(figures, name):
    return next(r for r in figures["rules"] if r["rule"] == name)


def test_every_broken_rule_is_told_at_once(work):
    put(work, "data/a.parquet", n=[1, -1, 1], s=["a", "b", "a"])
    contract = Contract(
        {"n": Column("int64", min=0, unique=True), "s": Column("string", max_length=0)},
        max_rows=2,
        unique=[["n", "s"]],
        rules={"one": Rule("n < 1 or s = 'b'")},
    )
    assert refused(work, contract) == [
        "column 'n': 1 of 3 rows below 0 (first: data/a.parquet row 2: -1)",
        "column 's': 3 of 3 rows longer than 0 (first: data/a.parquet row 1: 'a')",
        "rule 'one': 2 of 3 rows for which it does not hold that n < 1 or s = 'b' (first: data/a.parquet row 1: n 1, s a)",
        "column 'n': 1 of 3 rows with a value that came before (first: data/a.parquet: 1)",
        "columns 'n', 's': 1 of 3 rows with values that came before (first: data/a.parquet: 1, 'a')",
        "the table has 3 rows, the contract asks for at most 2",
    ]


def test_a_share_is_of_the_whole_table(work):
    contract = Contract({"n": Column("int64", nulls=0.25)})
    put(work, "data/a.parquet", n=pa.array([1, 2, 3, 4], pa.int64()))
    take(work, contract)
    put(work, "data/b.parquet", n=pa.array([None, 6, 7, 8], pa.int64()))
    figures = take(work, contract).figures["contract"]
    assert (rule(figures, "nulls")["figure"], rule(figures, "nulls")["rows"]) == (1, 8)
    put(work, "data/c.parquet", n=pa.array([None, None], pa.int64()))
    assert refused(work, contract) == [
        "column 'n': 3 of 10 rows without a value, 30.000% where 25.000% may be (first: data/b.parquet row 1)"
    ]


def test_rows_taken_under_another_contract_are_looked_at_again_for_a_share(work):
    put(work, "data/a.parquet", n=pa.array([None, None, None, 4], pa.int64()))
    take(work, Contract({"n": Column("int64")}))
    put(work, "data/b.parquet", n=pa.array([5, 6], pa.int64()))
    (line,) = refused(work, Contract({"n": Column("int64", nulls=0.4)}))
    assert line.startswith("column 'n': 3 of 6 rows without a value, 50.000% where 40.000% may be")


AIRPORTS = Contract({"faa": Column("string")})
FLIGHTS = Contract({"origin": Column("string", references={"table": "airports", "column": "faa"}, on_breach="quarantine")})  # type: ignore[arg-type]


def test_references_are_judged_against_the_newest_snapshot_and_say_which(work):
    put(work, "ports/a.parquet", faa=["JFK"])
    airports = take(work, AIRPORTS, "ports", "airports")
    put(work, "data/a.parquet", origin=["JFK", "EWR", None])
    table = take(work, FLIGHTS)
    assert (table.num_rows, table.figures["rows_quarantined"]) == (2, 1)
    assert table.figures["contract"]["against"] == {"origin": f"airports@{airports.snapshot}.faa"}
    put(work, "ports/b.parquet", faa=["EWR"])
    grown = take(work, AIRPORTS, "ports", "airports")
    report = findings_of(work, FLIGHTS, table)
    assert report["against"] == {"origin": f"airports@{grown.snapshot}.faa"}
    assert rule(report, "references")["bound"] == f"airports@{grown.snapshot}.faa"


@pytest.mark.parametrize(
    ("references", "text"),
    [
        ({"table": "airprots"}, "column 'origin' references airprots: there is no table 'airprots'. Did you mean 'airports'?"),
        ({"table": "airports", "column": "fa"}, "it has no column 'fa'. Did you mean 'faa'?"),
        ({"table": "airports", "column": "alt"}, "'alt' is int64 there, the contract says string"),
    ],
)
def test_what_cannot_be_referenced(work, references, text):
    put(work, "ports/a.parquet", faa=["JFK"], alt=[13])
    take(work, None, "ports", "airports")
    put(work, "data/a.parquet", origin=["JFK"])
    (line,) = refused(work, Contract({"origin": Column("string", references=references)}))
    assert text in line


FRESH = Contract({"at": Column("timestamp[us, tz=UTC]")}, freshness=Freshness("at", "36h"))


def at(day, hour):
    return pa.array([datetime(2026, 1, day, hour, tzinfo=UTC)], pa.timestamp("us", "UTC"))


def test_old_rows_may_come_in_and_are_told_but_the_table_may_not_be_used(work):
    put(work, "data/a.parquet", at=at(1, 10))
    table = take(work, FRESH)
    assert [line for line in work.lines if "old, expected" in line]
    assert findings_of(work, FRESH, table, lambda: NOON)["summary"] == ["2 rules, none broken"]
    late = datetime(2026, 1, 3, 12, tzinfo=UTC)
    told = "column 'at': the newest value is 2026-01-01T10:00:00+00:00, 2.1 days old, expected at most 36h"
    with pytest.raises(DataError, match=told.replace("+", r"\+")):
        findings_of(work, FRESH, table, lambda: late)
    warned = replace(FRESH, freshness=Freshness("at", "36h", on_breach="warn"))
    assert findings_of(work, warned, table, lambda: late)["summary"] == [told]


def test_a_report_holds_for_as_long_as_the_table_is_fresh(work):
    put(work, "data/a.parquet", at=at(1, 10))
    report = findings_of(work, FRESH, take(work, FRESH), lambda: NOON)
    assert outdated(FRESH, report, lambda: NOON) is None
    assert "2.1 days old" in (outdated(FRESH, report, lambda: datetime(2026, 1, 3, 12, tzinfo=UTC)) or "")


def test_rows_of_the_table_that_break_a_later_contract_can_be_looked_at(work):
    put(work, "data/a.parquet", n=[1, -1])
    table = take(work, Contract({"n": Column("int64")}))
    with pytest.raises(DataError, match=r"The 1 row that breaks it, with file, row and reasons: .*refused/t\.jsonl"):
        findings_of(work, Contract({"n": Column("int64", min=0)}), table)
    (line,) = work.store.local("refused/t.jsonl").read_text().splitlines()
    assert json.loads(line) | {"raypipe.file": ""} == {"n": -1, "raypipe.file": "", "raypipe.row": 2, "raypipe.reasons": ["n: below 0"]}


@pytest.mark.parametrize("measure", ["psi", "jensen_shannon", "l_infinity"])
def test_a_distribution_may_lie_only_so_far_from_that_of_another_snapshot(work, measure):
    put(work, "before/a.parquet", n=[float(n % 10) for n in range(1000)])
    before = take(work, None, "before", "before")
    distance = {"against": f"before@{before.snapshot}", "at_most": 0.05, "measure": measure}
    contract = Contract({"n": Column("float64", distance=distance)})  # type: ignore[arg-type]
    put(work, "data/a.parquet", n=[float(n % 10) for n in range(500)])
    found = rule(take(work, contract).figures["contract"], "distance")
    assert (found["figure"], found["passed"], found["against"]) == (0, True, f"before@{before.snapshot}.n")
    put(work, "data/b.parquet", n=[9.0] * 500)
    (line,) = refused(work, contract)
    assert f"column 'n': {measure} distance 0." in line or f"column 'n': {measure} distance 1." in line
    assert line.endswith(f"from before@{before.snapshot}.n, expected at most 0.05")


def test_a_reference_that_is_not_there(work):
    put(work, "data/a.parquet", n=[1.0])
    (line,) = refused(work, Contract({"n": Column("float64", distance={"against": "t@may", "at_most": 1})}))  # type: ignore[arg-type]
    assert line.startswith("column 'n': its distance from t@may cannot be measured: table t: has no tag 'may'")


def test_through_ray_it_is_the_same(work, ray_cluster):
    put(work, "ports/a.parquet", faa=["JFK"])
    put(work, "ports/b.parquet", faa=["EWR"])
    take(work, AIRPORTS, "ports", "airports")
    put(work, "data/a.parquet", origin=["JFK", "EWR"], n=[1, 2])
    put(work, "data/b.parquet", origin=["ORD", "EWR"], n=[3, 2])
    contract = Contract({"origin": FLIGHTS.columns["origin"], "n": Column("int64", unique=True, nulls=0.5)}, unique=[["n", "origin"]])
    inline = refused(work, contract)
    assert inline[0] == "column 'n': 1 of 3 rows with a value that came before (first: data/b.parquet: 2)"
    assert refused(replace(work, inline=False), contract) == inline
