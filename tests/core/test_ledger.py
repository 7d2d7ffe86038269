"""Publishing: all of it or none of it, once, and never by one who lost its lease."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from raypipe.core import ledger as module
from raypipe.core import schema
from raypipe.core.artifact import File, Model, Table
from raypipe.core.errors import Fenced, LedgerError
from raypipe.core.ledger import Ledger, Record

FILES = (File("runs/a/part-0.parquet", 10, "ab" * 32), File("runs/a/part-1.parquet", 11, "cd" * 32))


def record(step: str = "ingest", fingerprint: str = "f1", run: str = "r1", kind: str = "Table", **more: Any) -> Record:
    return Record(kind, "flights", step, run, fingerprint, more.pop("digest", "d-" + fingerprint), **more)


def publish(ledger: Ledger, made: Record, *commits, replace: bool = False):
    return ledger.publish(ledger.claim(made.fingerprint, made.run), made, commits, replace=replace)


def events(ledger: Ledger) -> list:
    with ledger.reading() as connection:
        rows = connection.execute(select(schema.events).where(schema.events.c.project == ledger.project).order_by(schema.events.c.number))
        return [(row.what, row.detail) for row in rows]


def aliases(ledger: Ledger) -> int:
    with ledger.reading() as connection:
        return len(connection.execute(select(schema.aliases).where(schema.aliases.c.project == ledger.project)).all())


def alias(project: str):
    """A commit that adds a row, as a step that registers a model does."""

    def commit(connection: Connection, artifact_id: str) -> dict:
        row = {"project": project, "name": "m", "alias": artifact_id, "version": 1, "rev": 1, "moved_at": "", "moved_by": "", "reason": ""}
        connection.execute(insert(schema.aliases).values(**row))
        return {"snapshot": 7, "alias": artifact_id}

    return commit


def test_an_artifact_is_found_as_it_was_published(any_ledger: Ledger):
    made = record(
        path="runs/a",
        files=FILES,
        schema={"columns": ["x"]},
        figures={"table": "flights.ingest", "num_rows": 3},
        identity={"step": "ingest"},
    )
    artifact = publish(any_ledger, made, alias(any_ledger.project))
    assert isinstance(artifact, Table)
    assert artifact == any_ledger.find("f1") == any_ledger.artifact(artifact.id) == any_ledger.by_digest("Table", "d-f1")
    assert (artifact.files, artifact.path, artifact.schema) == (FILES, "runs/a", {"columns": ["x"]})
    assert (artifact.name, artifact.num_rows, artifact.snapshot) == ("flights.ingest", 3, 7)
    assert artifact.figures["alias"] == artifact.id
    assert any_ledger.nearest("flights", "ingest") == (artifact, {"step": "ingest"})
    assert any_ledger.find_all(["f1", "f2"]) == {"f1": artifact}
    detail = {"artifact": artifact.id, "kind": "Table", "step": "flights.ingest", "run": "r1"}
    assert events(any_ledger) == [("published", detail)]


def test_what_is_not_there_is_none(any_ledger: Ledger):
    assert (
        any_ledger.find("f1")
        is any_ledger.artifact("x")
        is any_ledger.by_digest("Table", "x")
        is any_ledger.nearest("flights", "x")
        is None
    )
    assert any_ledger.find_all([]) == {}
    assert any_ledger.parents("x") == []


def test_parents_keep_the_order_of_the_inputs(any_ledger: Ledger):
    first, second = publish(any_ledger, record(fingerprint="a")), publish(any_ledger, record(fingerprint="b"))
    child = publish(any_ledger, record("train", "c", kind="Model", parents=[second.id, first.id, second.id]))
    assert isinstance(child, Model)
    assert [parent.id for parent in any_ledger.parents(child.id)] == [second.id, first.id]


def test_publishing_gives_the_lease_back(any_ledger: Ledger):
    lease = any_ledger.claim("f1", "r1")
    any_ledger.publish(lease, record())
    with pytest.raises(Fenced, match="gave this lease back already"):
        any_ledger.publish(lease, record())
    assert any_ledger.claim("f1", "r2").token == 2


def test_who_lost_its_lease_publishes_nothing(any_ledger: Ledger):
    old = any_ledger.claim("f1", "r1", ttl_s=0)
    any_ledger.claim("f1", "r2")
    with pytest.raises(Fenced, match="run r1 lost its lease"):
        any_ledger.publish(old, record(), [alias(any_ledger.project)])
    assert any_ledger.find("f1") is None
    assert (aliases(any_ledger), events(any_ledger)) == (0, [])


def test_two_runs_that_make_the_same_agree_on_one(any_ledger: Ledger):
    first = publish(any_ledger, record(run="r1"), alias(any_ledger.project))
    second = publish(any_ledger, record(run="r2"), alias(any_ledger.project))
    assert second == first
    assert aliases(any_ledger) == 1
    assert any_ledger.claim("f1", "r3").token == 3


def test_what_was_lost_is_superseded_and_stays_in_the_history(any_ledger: Ledger):
    first = publish(any_ledger, record(digest="lost"))
    child = publish(any_ledger, record("train", "c", parents=[first.id]))
    second = publish(any_ledger, record(digest="again", run="r2"), replace=True)
    assert any_ledger.find("f1") == second != first
    assert any_ledger.artifact(first.id) == first
    assert any_ledger.parents(child.id) == [first]
    assert any_ledger.by_digest("Table", "lost") is None
    nearest = any_ledger.nearest("flights", "ingest")
    assert nearest is not None
    assert nearest[0] == second


def test_a_commit_that_fails_takes_everything_back(any_ledger: Ledger):
    def fail(connection: Connection, artifact_id: str) -> None:
        raise RuntimeError("another commit came first")

    lease = any_ledger.claim("f1", "r1")
    with pytest.raises(RuntimeError, match="another commit came first"):
        any_ledger.publish(lease, record(), [alias(any_ledger.project), fail])
    assert any_ledger.find("f1") is None
    assert aliases(any_ledger) == 0
    any_ledger.publish(lease, record())
    assert any_ledger.find("f1") is not None


@pytest.mark.parametrize("figure", [float("nan"), {"auc": float("inf")}, {1, 2}])
def test_a_figure_that_json_cannot_say_is_named(ledger: Ledger, figure):
    with pytest.raises(ValueError, match="the figure 'auc' cannot be recorded"):
        publish(ledger, record(figures={"rows": 1, "auc": figure}))
    assert ledger.find("f1") is None


def test_a_kind_from_a_newer_raypipe_is_refused_by_name(ledger: Ledger):
    publish(ledger, record())
    with ledger.writing() as connection:
        connection.execute(schema.artifacts.update().values(kind="FeatureView"))
    with pytest.raises(LedgerError, match="kind 'FeatureView', which this raypipe does not know"):
        ledger.find("f1")
    with pytest.raises(ValueError, match="no kind of artifact is called 'Tabel'"):
        publish(ledger, record(fingerprint="f2", kind="Tabel"))


def break_off(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, *, committed: bool, times: int = 1) -> None:
    """The next transactions end without an answer: the server took the COMMIT (or not), and the connection was lost."""
    real, left = ledger._database.writing, [times]

    @contextlib.contextmanager
    def writing() -> Iterator[Connection]:
        broken, left[0] = left[0] > 0, left[0] - 1
        with contextlib.suppress(ZeroDivisionError), real() as connection:
            yield connection
            if broken and not committed:
                raise ZeroDivisionError
        if broken:
            raise LedgerError("ledger x: server closed the connection unexpectedly.")

    monkeypatch.setattr(ledger._database, "writing", writing)


def test_a_commit_whose_answer_was_lost_is_read_back(any_ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    lease = any_ledger.claim("f1", "r1")
    break_off(any_ledger, monkeypatch, committed=True)
    artifact = any_ledger.publish(lease, record(files=FILES), [alias(any_ledger.project)])
    assert artifact == any_ledger.find("f1")
    assert aliases(any_ledger) == 1


def test_a_commit_that_did_not_happen_is_said_and_can_be_tried_again(any_ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    lease = any_ledger.claim("f1", "r1")
    break_off(any_ledger, monkeypatch, committed=False)
    with pytest.raises(LedgerError, match=r"unexpectedly\. flights\.ingest was not published; its files are kept"):
        any_ledger.publish(lease, record(), [alias(any_ledger.project)])
    assert aliases(any_ledger) == 0
    assert any_ledger.publish(lease, record()) == any_ledger.find("f1")


def test_an_outcome_that_stays_unknown_is_said_and_nothing_is_deleted(ledger: Ledger, monkeypatch: pytest.MonkeyPatch):
    lease = ledger.claim("f1", "r1")
    monkeypatch.setattr(module, "READ_BACK_S", 0.5)
    with monkeypatch.context() as patch:
        break_off(ledger, patch, committed=True, times=1000)
        with pytest.raises(LedgerError, match="Whether it was published is not known; nothing was deleted, and the next run will see"):
            ledger.publish(lease, record())
    assert ledger.find("f1") is not None
