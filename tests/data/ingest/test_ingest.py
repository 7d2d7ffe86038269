"""Ingesting: each file once, whole or not at all, with the progress in the transaction of the snapshot."""

import json
import uuid
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.ledger import Record
from raypipe.core.step import NO_IDENTITY, Work
from raypipe.data.contract.contract import Column, Contract
from raypipe.data.contract.judgement import findings_of
from raypipe.data.fragment.fragment import read_fragment, write_fragment
from raypipe.data.ingest.ingest import Order, ingest, take
from raypipe.data.ingest.policy import Policy
from raypipe.data.ingest.progress import committed, source_state, taken_files
from raypipe.data.lake import snapshot
from raypipe.data.lake.compact import compact
from raypipe.data.lake.deletes import delete_where
from raypipe.data.source.csv import Csv
from raypipe.data.source.parquet import Parquet
from raypipe.data.source.piece import Bad, Batch, Limit, New, Source
from raypipe.data.table import TableSchema, made, read, snapshots

CONTRACT = Contract({"n": Column("int64", min=0), "s": Column("string", known="afterwards")})
SOURCE = Parquet("data")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def work(request, tmp_path, store):
    ledger = request.getfixturevalue("ledger") if request.param == "sqlite" else request.getfixturevalue("postgres_ledger")
    (tmp_path / "data").mkdir()
    lines = []
    made = Work(ledger.project, tmp_path, "flights", "source", ledger, store, run="r1", path="attempt", inline=True, report=lines.append)
    object.__setattr__(made, "lines", lines)
    return made


@pytest.fixture
def postgres_ledger(postgres_url):
    from raypipe.core.ledger import Ledger

    opened = Ledger.open(postgres_url, f"test-{uuid.uuid4().hex[:8]}")
    yield opened
    opened.close()


def put(work, name, numbers, s="a"):
    pq.write_table(pa.table({"n": pa.array(numbers, pa.int64()), "s": [s] * len(numbers)}), work.project_path / "data" / name)


def publish(work, made):
    fingerprint = uuid.uuid4().hex
    lease = work.ledger.claim(fingerprint, "r1")
    record = Record(
        kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=fingerprint, digest=made.digest,
        files=made.files, schema=made.schema, figures=made.figures,
    )  # fmt: skip
    return work.ledger.publish(lease, record, made.commits)


def run(work, source: Source = SOURCE, contract: Contract | None = CONTRACT, sample=1.0, policy=None):
    attempt = replace(work, path=f"attempts/{uuid.uuid4().hex}", sample=sample)
    return publish(work, ingest(attempt, source, contract, "flights.source", policy))


def numbers(work, table):
    return read(work.ledger, work.store, table)["n"].to_pylist()


def told(work, **changes):
    with pytest.raises(DataError) as error:
        run(work, **changes)
    return str(error.value)


def test_files_are_taken_in_order_and_once(work):
    put(work, "b.parquet", [3, 4])
    put(work, "a.parquet", [1, 2])
    first = run(work)
    assert numbers(work, first) == [1, 2, 3, 4]
    assert [(t.file.path, t.num_rows, t.snapshot) for t in taken_files(work.ledger, "flights.source")] == [
        ("data/a.parquet", 2, first.snapshot),
        ("data/b.parquet", 2, first.snapshot),
    ]
    put(work, "c.parquet", [5])
    second = run(work)
    assert numbers(work, second) == [1, 2, 3, 4, 5]
    assert (second.figures["new_pieces"], second.figures["rows_read"], second.num_rows) == (1, 1, 5)
    assert numbers(work, first) == [1, 2, 3, 4]


def test_nothing_new_keeps_the_snapshot(work):
    put(work, "a.parquet", [1])
    first, second = run(work), run(work)
    assert (second.snapshot, second.digest, second.num_rows) == (first.snapshot, first.digest, 1)


def test_an_append_has_the_digest_of_all_at_once(work):
    put(work, "a.parquet", [1])
    run(work)
    put(work, "b.parquet", [2])
    appended = run(work)
    with work.ledger.writing() as connection:
        from sqlalchemy import delete

        from raypipe.core.schema import ingest_progress

        connection.execute(delete(ingest_progress))
    anew = run(work)
    assert anew.digest == appended.digest
    assert anew.snapshot != appended.snapshot


def test_the_schema_states_types_and_marks(work):
    put(work, "a.parquet", [1])
    schema = TableSchema.from_json(run(work).schema)
    assert schema.arrow == pa.schema([("n", pa.int64()), ("s", pa.string())])
    assert schema.known_afterwards == ("s",)


def test_other_marks_take_no_file_anew_but_what_shapes_rows_does(work):
    put(work, "a.parquet", [1, 7])
    first = run(work)
    marked = run(work, contract=Contract({**CONTRACT.columns, "n": Column("int64", max=9, known="afterwards")}))
    assert (marked.snapshot, marked.figures["new_pieces"]) == (first.snapshot, 0)
    assert TableSchema.from_json(marked.schema).known_afterwards == ("n", "s")
    cut = run(work, contract=Contract({**CONTRACT.columns, "n": Column("int64", max=5, on_breach="drop")}))
    assert (numbers(work, cut), cut.figures["rows_dropped"]) == ([1], 1)
    assert "column 'n': 1 of 2 rows above 5 (first: data/a.parquet row 2: 7): dropped" in work.lines
    assert numbers(work, run(work)) == [1, 7]


def test_a_changed_file_and_one_that_vanished_are_refused_by_name(work):
    put(work, "a.parquet", [1])
    put(work, "b.parquet", [2])
    put(work, "c.parquet", [3])
    table = run(work)
    put(work, "a.parquet", [9])
    (work.project_path / "data" / "b.parquet").unlink()
    (work.project_path / "data" / "c.parquet").rename(work.project_path / "data" / "d.parquet")
    lines = told(work).splitlines()
    assert lines[0].startswith("data/a.parquet: its rows were taken, and its content has changed since. Put it back as it was")
    assert lines[1].startswith("data/b.parquet: its rows were taken, and it is not there any more. Put it back")
    assert lines[2].startswith("data/c.parquet: its rows were taken, and it is not there any more; data/d.parquet has its content.")
    assert numbers(work, table) == [1, 2, 3]


def test_a_breach_leaves_nothing_behind(work):
    put(work, "a.parquet", [1])
    put(work, "b.parquet", [5, -4, -5])
    refused = work.store.local("refused/flights.source.jsonl")
    assert told(work).splitlines() == [
        "column 'n': 2 of 4 rows below 0 (first: data/b.parquet row 2: -4)",
        "The 2 rows that break it, with file, row and reasons: store/refused/flights.source.jsonl",
    ]
    rows = [json.loads(line) for line in refused.read_text().splitlines()]
    assert [(row["n"], row["raypipe.file"], row["raypipe.row"], row["raypipe.reasons"]) for row in rows] == [
        (-4, "data/b.parquet", 2, ["n: below 0"]),
        (-5, "data/b.parquet", 3, ["n: below 0"]),
    ]
    assert taken_files(work.ledger, "flights.source") == []
    with pytest.raises(DataError, match="there is no table"):
        snapshots(work.ledger, "flights.source")
    put(work, "b.parquet", [5])
    assert numbers(work, run(work)) == [1, 5]


def test_every_bad_file_is_told(work):
    put(work, "a.parquet", [1])
    (work.project_path / "data" / "b.parquet").write_bytes(b"PAR1 and not much more")
    pq.write_table(pa.table({"n": ["x"], "S": ["y"]}), work.project_path / "data" / "c.parquet")
    lines = told(work).splitlines()
    assert lines[0].startswith("data/b.parquet: cannot be read as Parquet: ")
    assert lines[1:] == [
        "data/c.parquet: column 'S' is not in the contract.",
        "data/c.parquet: column 's' is missing",
        "data/c.parquet: column 'n' is string, the contract says int64",
    ]


def test_without_a_contract_the_first_file_says_the_types(work):
    (work.project_path / "data" / "a.csv").write_text("n,s\n1,a\n")
    (work.project_path / "data" / "b.csv").write_text("n,s\n2,7\n")
    assert numbers(work, run(work, source=Csv("data"), contract=None)) == [1, 2]
    (work.project_path / "data" / "c.csv").write_text("n,s\n2.5,7\n")
    assert told(work, source=Csv("data"), contract=None) == "data/c.csv: line 2: column 'n': '2.5' is no int64"
    (work.project_path / "data" / "c.csv").write_text("n,t\n2,7\n")
    assert "data/c.csv: column 't' is not in the table." in told(work, source=Csv("data"), contract=None)


def test_further_columns_keep_the_type_of_the_first_file(work):
    loose = Contract({"n": Column("int64")}, exact=False)
    put(work, "a.parquet", [1])
    assert TableSchema.from_json(run(work, contract=loose).schema).arrow.names == ["n", "s"]
    pq.write_table(pa.table({"n": [2], "s": [3]}), work.project_path / "data" / "b.parquet")
    assert told(work, contract=loose) == "data/b.parquet: column 's' is int64, the table has string"


def test_a_table_without_rows_is_refused(work):
    put(work, "a.parquet", [])
    assert told(work) == "the table has 0 rows, the contract asks for at least 1"
    assert told(work, contract=None) == "data/a.parquet: what is left of its rows is empty: there is nothing to make a table of"
    put(work, "a.parquet", [1])
    assert (
        told(work, contract=None, sample=1e-9)
        == "data/a.parquet: a sample of 1e-09 of its rows is empty: there is nothing to make a table of"
    )


def test_unique_holds_over_files_and_runs(work):
    contract = Contract({"n": Column("int64", unique=True), "s": Column("string")})
    put(work, "a.parquet", [1, 2])
    run(work, contract=contract)
    put(work, "b.parquet", [3, 2])
    assert told(work, contract=contract) == "column 'n': 1 of 4 rows with a value that came before (first: data/b.parquet: 2)"
    put(work, "b.parquet", [3, 4])
    assert run(work, contract=contract).num_rows == 4


def test_the_findings_of_a_table_are_those_of_all_its_runs(work):
    contract = Contract({"n": Column("int64", min=0, on_breach="warn"), "s": Column("string")})
    put(work, "a.parquet", [1, -1])
    run(work, contract=contract)
    put(work, "b.parquet", [-2])
    table = run(work, contract=contract)
    report = findings_of(work, contract, table)
    assert report["passed"]
    assert report["summary"] == ["column 'n': 2 of 3 rows below 0 (first: data/a.parquet row 2: -1)"]
    json.dumps(report)


def test_a_contract_that_changed_is_held_against_the_table_itself(work):
    put(work, "a.parquet", [1, 2])
    table = run(work)
    assert findings_of(work, CONTRACT, table)["summary"] == ["2 rules, none broken"]
    stricter = Contract({"n": Column("int64", max=1), "s": Column("string", allowed=["b"], on_breach="warn")})
    with pytest.raises(DataError, match="column 'n': 1 of 2 rows above 1"):
        findings_of(work, stricter, table)
    softer = Contract({"n": Column("int64"), "s": Column("string", allowed=["b"], on_breach="warn")})
    assert "2 of 2 rows not among b" in findings_of(work, softer, table)["summary"][0]
    with pytest.raises(DataError, match="the table has 2 rows, the contract asks for at least 3"):
        findings_of(work, Contract(CONTRACT.columns, min_rows=3), table)


def test_fragments_that_are_lost_are_made_again(work):
    put(work, "a.parquet", [1])
    table = run(work)
    work.store.local(table.files[0].path).unlink()
    assert numbers(work, run(work)) == [1]
    assert "1 fragments of table flights.source are not in the store any more: all of its source is read anew" in work.lines


def test_a_sample_is_a_table_of_its_own_making(work):
    put(work, "a.parquet", list(range(2000)))
    table = run(work, sample=0.1)
    assert 120 < table.num_rows < 280
    assert run(work, sample=0.1).digest == table.digest
    assert (table.figures["rows_read"], table.figures["rows_sampled"]) == (2000, table.num_rows)
    assert run(work, contract=Contract(CONTRACT.columns, min_rows=1000), sample=0.1).num_rows == table.num_rows


def test_the_state_of_a_source_is_what_a_plan_compares(work):
    put(work, "a.parquet", [1])
    before = source_state(work, SOURCE, CONTRACT, "flights.source")
    run(work)
    assert source_state(work, SOURCE, CONTRACT, "flights.source") == before
    put(work, "b.parquet", [1, 2])
    after = source_state(work, SOURCE, CONTRACT, "flights.source")
    assert (before["files"], after["files"]) == (1, 2)
    assert before["state"] != after["state"]


@dataclass(frozen=True)
class Span:
    """Numbers from `first` to below `end`."""

    name: str
    first: int
    end: int
    size: int = 8


@dataclass(frozen=True)
class Counter:
    """A source of positions: all numbers below `end`, in pieces of ten; `end` is where the world is, not what shapes rows."""

    revision: ClassVar[int] = 1
    end: int = field(default=0, metadata=NO_IDENTITY)
    bad: int = field(default=-1, metadata=NO_IDENTITY)

    def problems(self):
        return []

    def new(self, look, progress, limit=None):
        first = (progress.position or {"next": 0})["next"]
        end = min(self.end, first + limit.num_rows) if limit else self.end
        pieces = [Span(f"numbers/{n}", n, min(n + 10, end)) for n in range(first, end, 10)]
        return New(pieces, {"next": end}, {"next": end}, f"{end - first} new", more=end < self.end)

    def batches(self, piece, types):
        yield pa.table({"n": pa.array([], pa.int64())})
        if piece.first <= self.bad < piece.end:
            yield Batch(pa.table({"n": pa.array([], pa.int64())}), bad=[Bad(f"numbers/{self.bad}", "is no number")])
        yield pa.table({"n": pa.array(range(piece.first, piece.end), pa.int64())})


@dataclass(frozen=True)
class Whole:
    """A source that is always read as a whole."""

    revision: ClassVar[int] = 1
    num: int = field(default=0, metadata=NO_IDENTITY)

    def problems(self):
        return []

    def new(self, look, progress, limit=None):
        pieces = [] if progress.position == self.num else [Span("numbers", 0, self.num)]
        return New(pieces, self.num, self.num, whole=True)

    def batches(self, piece, types):
        yield pa.table({"n": pa.array(range(piece.end), pa.int64())})


def test_positions_go_on_where_the_last_commit_ended(work):
    first = run(work, Counter(25), None)
    assert numbers(work, first) == list(range(25))
    assert work.lines == ["25 new", "25 rows read, 25 written"]
    second = run(work, Counter(31), None)
    assert (numbers(work, second), second.figures["new_pieces"]) == (list(range(31)), 1)
    assert run(work, Counter(31), None).snapshot == second.snapshot
    found = committed(work.ledger, "flights.source")
    assert found is not None
    assert (found.progress.position, found.snapshot) == ({"next": 31}, second.snapshot)


def test_a_limit_takes_a_batch_at_a_time(work):
    batch = Order(Counter(25), "flights.source", limit=Limit(num_rows=10))
    tables = [publish(work, take(replace(work, path=f"a/{n}"), batch).made) for n in range(3)]
    assert [table.num_rows for table in tables] == [10, 20, 25]
    assert numbers(work, tables[-1]) == list(range(25))


def test_a_record_that_cannot_be_read_is_told_and_nothing_is_taken(work):
    assert told(work, source=Counter(25, bad=17), contract=None) == "numbers/17: is no number"
    assert committed(work.ledger, "flights.source") is None


def test_of_two_ingests_at_once_one_commits(work):
    run(work, Counter(5), None)
    first, second = (ingest(replace(work, path=f"a/{n}"), Counter(9), None, "flights.source") for n in range(2))
    publish(work, first)
    with pytest.raises(DataError, match="meanwhile"):
        publish(work, second)
    assert numbers(work, run(work, Counter(9), None)) == list(range(9))


def test_through_ray_it_is_the_same(work, ray_cluster):
    for number in range(4):
        put(work, f"{number}.parquet", [number])
    inline = run(work)
    put(work, "4.parquet", [4])
    by_ray = run(replace(work, inline=False))
    assert numbers(work, by_ray) == [0, 1, 2, 3, 4]
    assert by_ray.snapshot != inline.snapshot
    put(work, "5.parquet", [-1])
    assert told(replace(work, inline=False)).startswith("column 'n': 1 of 1 rows below 0 (first: data/5.parquet row 1: -1)\n")


def test_a_table_is_not_made_anew_without_files_that_are_gone(work):
    keep = Policy(gone="keep")
    for number, name in enumerate("abc"):
        put(work, f"{name}.parquet", [number])
    first = run(work)
    (work.project_path / "data" / "b.parquet").unlink()
    stricter = Contract({**CONTRACT.columns, "n": Column("int64", max=1, on_breach="drop")})
    gone = "data/b.parquet: 1 rows of it were taken, and it is not there any more, so that table flights.source cannot be made anew"
    assert told(work, contract=stricter).startswith(gone)
    assert numbers(work, run(work, policy=keep)) == [0, 1, 2]
    work.store.local(first.files[0].path).unlink()
    assert told(work, policy=keep).startswith(gone)
    put(work, "moved.parquet", [1])
    assert numbers(work, run(work, contract=stricter)) == [0, 1], "its content is there under another name"


def test_another_source_takes_the_place_of_one_that_is_still_there(work):
    put(work, "a.parquet", [1])
    run(work)
    put(work, "b.parquet", [2])
    assert numbers(work, run(work, source=Parquet("data/b.parquet"))) == [2]


POLICY = Policy("replace", "keep", "skip", "quarantine")


def quarantined(work):
    with work.ledger.reading() as connection:
        found = snapshot.latest(connection, work.project, "flights.source~quarantine")
        parts = snapshot.data_files(connection, found) if found else []
    return [row for part in parts for row in read_fragment(work.store, part).to_pylist()]


def test_a_changed_file_takes_the_place_of_its_rows_in_one_commit(work):
    for number, name in enumerate("abcd"):
        put(work, f"{name}.parquet", [number * 10, number * 10 + 1])
    before = run(work, policy=POLICY)
    put(work, "b.parquet", [7, 8, 9])
    put(work, "d.parquet", [77])
    put(work, "e.parquet", [5])
    after = run(work, policy=POLICY)
    assert numbers(work, after) == [0, 1, 20, 21, 5, 7, 8, 9, 77]
    assert numbers(work, before) == [0, 1, 10, 11, 20, 21, 30, 31], "an earlier snapshot stays as it was"
    assert (after.figures["rows_replaced"], after.figures["new_pieces"]) == (4, 3)
    assert "data/b.parquet: its content has changed since it was taken: its rows are replaced" in work.lines
    put(work, "c.parquet", [1])
    put(work, "b.parquet", [2])
    assert numbers(work, run(work, policy=POLICY)) == [0, 1, 5, 77, 2, 1]
    assert run(work, policy=POLICY).figures["new_pieces"] == 0


def test_rows_are_replaced_where_compaction_has_joined_files(work):
    for number, name in enumerate("abc"):
        put(work, f"{name}.parquet", [number * 10, number * 10 + 1])
        run(work, policy=POLICY)
    joined = publish(work, compact(replace(work, path="c/1"), "flights.source"))
    assert joined.figures["num_fragments"] == 1
    put(work, "b.parquet", [7])
    after = run(work, policy=POLICY)
    assert numbers(work, after) == [0, 1, 20, 21, 7]
    assert not any("anew" in line for line in work.lines), "a compaction keeps the content"


def test_what_others_did_to_the_table_is_kept(work):
    put(work, "a.parquet", [1, 2])
    run(work, policy=POLICY)
    publish(work, delete_where(replace(work, path="d/1"), "flights.source", "n = 1"))
    put(work, "b.parquet", [3])
    assert numbers(work, run(work, policy=POLICY)) == [2, 3]
    put(work, "a.parquet", [4])
    assert "table flights.source was changed by others too" in told(work, policy=POLICY)


def test_a_table_that_was_overwritten_is_taken_anew(work):
    put(work, "a.parquet", [1, 2])
    run(work)
    fragment = write_fragment(work.store, "o/1.parquet", pa.table({"n": [9], "s": ["x"]}))
    publish(
        work, made(work, "flights.source", TableSchema(pa.schema([("n", pa.int64()), ("s", pa.string())])), [fragment], mode="overwrite")
    )
    assert numbers(work, run(work)) == [1, 2]
    assert "table flights.source was overwritten by another step since: all of its source is read anew" in work.lines


def test_a_changed_file_can_be_ignored_and_a_gone_one_kept(work):
    put(work, "a.parquet", [1])
    put(work, "b.parquet", [2])
    run(work)
    put(work, "a.parquet", [9])
    (work.project_path / "data" / "b.parquet").unlink()
    put(work, "c.parquet", [3])
    after = run(work, policy=Policy(changed="ignore", gone="keep"))
    assert numbers(work, after) == [1, 2, 3]
    assert "data/b.parquet: is not there any more, its rows stay" in work.lines


def test_a_duplicate_is_refused_or_left_out_by_name(work):
    put(work, "a.parquet", [1])
    run(work)
    put(work, "b.parquet", [1])
    put(work, "c.parquet", [2])
    assert told(work).startswith("data/b.parquet: has the same content as data/a.parquet, so that its rows would be taken twice.")
    assert numbers(work, run(work, policy=POLICY)) == [1, 2]
    assert "data/b.parquet: left out, it has the same content as data/a.parquet" in work.lines
    assert [(t.file.path, t.reason) for t in taken_files(work.ledger, "flights.source") if t.reason] == [
        ("data/b.parquet", "has the same content as data/a.parquet")
    ]
    put(work, "b.parquet", [3])
    assert numbers(work, run(work, policy=POLICY)) == [1, 2, 3]


def test_a_poison_file_goes_to_quarantine_and_is_tried_again_with_other_content(work):
    put(work, "a.parquet", [1])
    put(work, "c.parquet", [3])
    bad = work.project_path / "data" / "b.parquet"
    bad.write_bytes(b"PAR1 and not much more")
    (work.project_path / "data" / "d.parquet").touch()
    first = run(work, policy=POLICY)
    assert (numbers(work, first), first.figures["files_quarantined"]) == ([1, 3], 2)
    assert work.lines[-1] == "2 files could not be read: they are in quarantine, in table flights.source~quarantine, with the reasons"
    kept = quarantined(work)
    assert [row["position"] for row in kept] == ["data/b.parquet", "data/d.parquet"]
    assert "cannot be read as Parquet" in kept[0]["reason"]
    assert run(work, policy=POLICY).snapshot == first.snapshot
    put(work, "b.parquet", [2])
    assert numbers(work, run(work, policy=POLICY)) == [1, 3, 2]
    assert len(quarantined(work)) == 2, "what was kept out stays known"


def test_a_file_that_cannot_be_had_is_no_poison(work, monkeypatch):
    put(work, "a.parquet", [1])
    put(work, "b.parquet", [2])

    def dies(self, file, types):
        raise OSError("the endpoint has died")

    monkeypatch.setattr(Parquet, "read", dies)
    monkeypatch.setattr("raypipe.data.ingest.intake.is_whole", lambda piece: False)
    assert "the endpoint has died" in told(work, policy=POLICY)
    assert committed(work.ledger, "flights.source") is None


def test_poison_records_go_to_quarantine_with_their_position(work):
    table = run(work, Counter(25, bad=17), None, policy=POLICY)
    assert (table.num_rows, table.figures["records_quarantined"]) == (25, 1)
    assert quarantined(work) == [{"position": "numbers/17", "reason": "is no number", "value": None}]
    run(work, Counter(35, bad=30), None, policy=POLICY)
    assert [row["position"] for row in quarantined(work)] == ["numbers/17", "numbers/30"]


def test_a_source_that_is_a_whole_replaces_the_table(work):
    first = run(work, Whole(3), None)
    second = run(work, Whole(2), None)
    assert (numbers(work, first), numbers(work, second)) == ([0, 1, 2], [0, 1])
    assert run(work, Whole(2), None).snapshot == second.snapshot


def test_bad_policies_are_told():
    wrong: Any = "sometimes"
    assert Policy(changed=wrong).problems() == ["changed is 'sometimes', expected refuse, replace, ignore"]
