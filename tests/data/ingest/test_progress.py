"""Progress: it is there exactly when the rows are."""

import uuid
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import Conflict
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.ingest.progress import Step, TakenFile, committed, record, taken_files
from raypipe.data.source.files import SourceFile
from raypipe.data.table import TableSchema, made, snapshots

ROWS = pa.table({"x": [1]})
FILE = SourceFile("a.csv", 10, 5, "aa")


@pytest.fixture
def work(tmp_path, any_ledger, store):
    return Work(any_ledger.project, tmp_path, "flights", "source", any_ledger, store, run="r1")


def publish(work, commits):
    fragment = write_fragment(work.store, f"t/{uuid.uuid4().hex}.parquet", ROWS)
    table = made(work, "t", TableSchema(ROWS.schema), [fragment], mode="overwrite", commits=commits)
    fingerprint = uuid.uuid4().hex
    entry = Record(
        kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=fingerprint, digest=table.digest,
        files=table.files, schema=table.schema, figures=table.figures,
    )  # fmt: skip
    return work.ledger.publish(work.ledger.claim(fingerprint, "r1"), entry, table.commits)


def there(work) -> Any:
    return committed(work.ledger, "t")


def moved(work, path="a.csv", key="key", anew=False, position=None):
    before = committed(work.ledger, "t")
    return record(work.project, "t", Step(key, before, position, [TakenFile(replace(FILE, path=path), 1)], anew))


def test_files_are_recorded_with_the_snapshot(work):
    table = publish(work, [moved(work)])
    (taken,) = taken_files(work.ledger, "t")
    assert (taken.file, taken.num_rows, taken.snapshot, taken.reason) == (FILE, 1, table.snapshot, None)
    assert there(work).progress.files == {"a.csv": FILE}


def test_a_position_goes_with_the_snapshot_and_its_content(work):
    table = publish(work, [moved(work, position={"orders/0": 17})])
    found = there(work)
    assert (found.progress.position, found.snapshot, found.artifact, found.rev) == ({"orders/0": 17}, table.snapshot, table.id, 1)
    assert found.chain == snapshots(work.ledger, "t")[0].chain


def test_anew_forgets_what_was_taken_before(work):
    publish(work, [moved(work)])
    publish(work, [moved(work, "b.csv")])
    assert [t.file.path for t in taken_files(work.ledger, "t")] == ["a.csv", "b.csv"]
    publish(work, [moved(work, key="other", anew=True)])
    assert [t.file.path for t in taken_files(work.ledger, "t")] == ["a.csv"]
    assert there(work).key == "other"


def test_of_two_that_go_on_from_one_progress_the_second_commits_nothing(work):
    first, second = moved(work), moved(work, "b.csv")
    publish(work, [first])
    with pytest.raises(Conflict, match="another run has taken from its source meanwhile"):
        publish(work, [second])
    third, fourth = moved(work, "c.csv"), moved(work, "d.csv")
    publish(work, [third])
    with pytest.raises(Conflict, match="Run again: what is committed is kept"):
        publish(work, [fourth])
    assert [t.file.path for t in taken_files(work.ledger, "t")] == ["a.csv", "c.csv"]
    assert len(snapshots(work.ledger, "t")) == 2


def test_a_transaction_that_fails_records_nothing(work):
    def fail(connection, artifact):
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        publish(work, [moved(work), fail])
    assert taken_files(work.ledger, "t") == []
    assert committed(work.ledger, "t") is None
