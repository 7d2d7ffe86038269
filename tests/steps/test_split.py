"""The step Split: parts counted and told, empty ones refused, the rule on the table."""

import json
import uuid
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import raypipe as rp
from raypipe.cli.main import main
from raypipe.core.ledger import Record
from raypipe.core.step import Work
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.table import TableSchema, made, read
from raypipe.steps.split import Split


@pytest.fixture
def work(tmp_path, ledger, store):
    return Work(
        project=ledger.project, project_path=tmp_path, pipeline="p", step="split", ledger=ledger, store=store, run="r1", path="p/split/1",
        inline=True,
    )  # fmt: skip


def publish(work: Work, what: Any) -> Any:
    lease = work.ledger.claim(uuid.uuid4().hex, "r1")
    record = Record(
        kind="Table", pipeline=work.pipeline, step=work.step, run=work.run, fingerprint=lease.key, digest=what.digest,
        files=what.files, schema=what.schema, figures=what.figures,
    )  # fmt: skip
    return work.ledger.publish(lease, record, what.commits)


def run(capsys: pytest.CaptureFixture[str], split: str) -> tuple[int, dict, str]:
    path = Path("conf/churn.yaml")
    lines = [f"split: {split}" if line.startswith("split:") else line for line in path.read_text().splitlines()]
    path.write_text("\n".join(lines) + "\n")
    capsys.readouterr()
    code = main(["run", "--json", "cluster=debug"])
    out = capsys.readouterr()
    return code, json.loads(out.out) if out.out.strip() else {}, out.err


@pytest.mark.parametrize(
    "split",
    [
        "{by: group, key: [customer_id, plan], validation: 0.2, test: 0.2}",
        "{by: stratified, within: left, key: customer_id, validation: 0.2, test: 0.2, exact: true}",
        "{by: folds, key: customer_id, folds: 4, fold: 2, test: 0.2}",
    ],
)
def test_a_model_is_trained_on_every_kind_of_split(fresh: Path, capsys: pytest.CaptureFixture[str], split: str):
    code, result, err = run(capsys, split)
    assert code == 0, err
    parts = result["steps"]["split"]["figures"]["parts"]
    assert sum(parts.values()) == 200
    assert min(parts.values()) > 0
    for part, num_rows in parts.items():
        assert rp.table("churn.transform").to_arrow(part=part).num_rows == num_rows


def test_rows_of_the_embargo_are_counted_told_and_no_part_has_them(work: Work):
    rows = pa.table({"at": pa.array([datetime(2013, 1, 1) + timedelta(days=n) for n in range(100)], pa.timestamp("us"))})
    files = [write_fragment(work.store, f"t/{n}.parquet", rows.slice(n * 50, 50)) for n in range(2)]
    table = publish(work, made(work, "t", TableSchema(rows.schema), files, mode="overwrite"))
    told = []
    step = Split(by="time", on="at", validation_from="2013-02-20", test_from="2013-03-15", embargo="1w")
    split = publish(work, step.run(replace(work, report=told.append), table))
    assert split.figures["parts"] == {"train": 43, "validation": 16, "test": 27, "none": 14}
    assert told == ["train 43, validation 16, test 27, none 14", "14 of 100 rows belong to no part"]
    assert [read(work.ledger, work.store, split, part=p).num_rows for p in ("train", "validation", "test")] == [43, 16, 27]


def test_a_column_that_is_not_there_is_told_before_anything_runs(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = run(capsys, "{by: stratified, within: lefft, key: customer_id}")
    assert code == 2
    assert "split.within: there is no column 'lefft' in 'source'. Did you mean 'left'?" in err


def test_an_empty_part_is_refused_with_the_counts(fresh: Path, capsys: pytest.CaptureFixture[str]):
    code, result, _ = run(capsys, "{by: hash, key: customer_id, validation: 0.0001, test: 0.2}")
    assert code == 1
    told = json.dumps(result)
    assert "no row falls into validation (train " in told
    assert "give it a greater share, a key with more values, or another salt" in told


def test_settings_become_the_rule():
    assert Split(by="time", on="at", validation_from="2013-10-01", test_from="2013-11-01").rule() == {
        "by": "time", "on": "at", "validation_from": "2013-10-01", "test_from": "2013-11-01",
    }  # fmt: skip
    assert Split(by="given", column="part").rule() == {"by": "given", "column": "part", "parts": {}}
    assert Split(by="folds", key="id").rule() == {"by": "folds", "key": "id", "folds": 5, "fold": 0, "test": 0.1, "salt": ""}


def test_what_is_said_for_another_kind_of_split_is_refused():
    split = Split(by="hash", key="id", embargo="3d", within="plan", parts={"dev": "validation"}, exact=True)
    found = {p.where: p.what for p in split.check("split")}
    assert list(found) == ["split.embargo", "split.within", "split.exact", "split.parts"]
    assert found["split.embargo"] == "a split by hash does not read it, only one by time: leave it out."
    assert Split(by="stratified", key="id", within="plan", exact=True, validation=0.2).check("split") == []
