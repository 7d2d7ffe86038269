"""Progress: it is there exactly when the rows are."""

import uuid
from dataclasses import replace

import pyarrow as pa
import pytest

from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.fragment import write_fragment
from raypipe.data.progress import record, taken_files
from raypipe.data.source.files import SourceFile
from raypipe.data.table import TableSchema, made

ROWS = pa.table({"x": [1]})
FILE = SourceFile("a.csv", 10, 5, "aa")


@pytest.fixture
def work(tmp_path, ledger, store):
    return Work(ledger.project, tmp_path, "flights", "source", ledger, store, run="r1")


def publish(work, commits):
    fragment = write_fragment(work.store, f"t/{uuid.uuid4().hex}.parquet", ROWS)
    table = made(work, "t", TableSchema(ROWS.schema), [fragment], mode="overwrite", commits=commits)
    fingerprint = uuid.uuid4().hex
    entry = Record(
        kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=fingerprint, digest=table.digest,
        files=table.files, schema=table.schema, figures=table.figures,
    )  # fmt: skip
    return work.ledger.publish(work.ledger.claim(fingerprint, "r1"), entry, table.commits)


def test_files_are_recorded_with_the_snapshot(work):
    table = publish(work, [record(work.project, "t", "key", [(FILE, 1)], anew=True)])
    (taken,) = taken_files(work.ledger, "t")
    assert (taken.file, taken.key, taken.num_rows, taken.snapshot) == (FILE, "key", 1, table.snapshot)


def test_anew_forgets_what_was_taken_before(work):
    publish(work, [record(work.project, "t", "key", [(FILE, 1)], anew=True)])
    publish(work, [record(work.project, "t", "key", [(replace(FILE, path="b.csv"), 1)], anew=False)])
    assert [t.file.path for t in taken_files(work.ledger, "t")] == ["a.csv", "b.csv"]
    publish(work, [record(work.project, "t", "other", [(FILE, 1)], anew=True)])
    assert [(t.file.path, t.key) for t in taken_files(work.ledger, "t")] == [("a.csv", "other")]


def test_a_transaction_that_fails_records_nothing(work):
    def fail(connection, artifact):
        raise RuntimeError("the power went")

    with pytest.raises(RuntimeError):
        publish(work, [record(work.project, "t", "key", [(FILE, 1)], anew=True), fail])
    assert taken_files(work.ledger, "t") == []
