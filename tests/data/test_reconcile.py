"""Rows that a stage loses, or has twice, without a word stop it before anything is published: planted losses at every stage."""

import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import raypipe
from raypipe.bundle.bundle import Bundle
from raypipe.cli.main import main
from raypipe.core.errors import DataError
from raypipe.data.fragment import fragment as fragments_
from raypipe.data.ingest import intake
from raypipe.data.label import LabelRows
from raypipe.data.lake import compact, put, target
from raypipe.data.reconcile import reconciled
from raypipe.data.transform.kernel import Apply
from raypipe.pipeline.plan import open_scene
from raypipe.steps.predict import _Answer


def test_counts_that_add_up_are_told():
    assert reconciled("x", 1_200, 1_190, dropped=10, left_out=0) == "1,200 rows read, 1,190 written, 10 dropped"


@pytest.mark.parametrize(("written", "told"), [(1_190, "1 are lost"), (1_195, "4 came from nowhere")])
def test_counts_that_do_not_are_refused(written: int, told: str):
    with pytest.raises(DataError, match=f"shop.source: 1,200 rows read, {written:,} written, 9 dropped: {told}"):
        reconciled("shop.source", 1_200, written, dropped=9)


@pytest.fixture(scope="module")
def once(churn_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reconcile") / "churn"
    shutil.copytree(churn_once, folder)
    for first in (0, 5):
        raypipe.write("kept", pa.table({"k": range(first, first + 5), "v": list("xyxyz")}), project_path=folder)
    return folder


def one_less(method: Any) -> Any:
    """The method, whose rows lose the last one on the way out."""

    def lossy(*args: Any, **how: Any) -> Any:
        made = method(*args, **how)
        rows, *more = made if isinstance(made, tuple) else (made,)
        rows = rows.slice(0, max(0, rows.num_rows - 1))
        return (rows, *more) if isinstance(made, tuple) else rows

    return lossy


def loses_given(method: Any) -> Any:
    """The method, which is given the last row no more."""

    def lossy(self: Any, store: Any, path: Any, name: Any, rows: Any) -> Any:
        return method(self, store, path, name, rows.slice(1))

    return lossy


STEP = "+steps.more={_target_: "
PLANTED = {
    "ingest": (target.Target, "write", loses_given, ["run", "cluster=debug", "source.path=data/more.csv"]),
    "ingest's contract": (intake._Judged, "kept", one_less, ["run", "cluster=debug", "source.path=data/more.csv"]),
    "split": (fragments_, "without", one_less, ["run", "cluster=debug", "split.salt=x"]),
    "label": (LabelRows, "__call__", one_less, ["run", "cluster=debug", STEP + "raypipe.Label, column: old, sql: 'age > 50'}"]),
    "transform": (Apply, "_transformed", one_less, ["run", "cluster=debug", "transform.scale.columns=[age]"]),
    "predict": (_Answer, "__call__", one_less, ["run", "cluster=debug", STEP + "raypipe.Predict}"]),
    "evaluate": (Bundle, "score", lambda score: lambda *args: score(*args)[:-1], ["run", "cluster=debug", "evaluate.min_rows=1"]),
    "write": (target.Target, "write", loses_given, ["run", "cluster=debug", STEP + "raypipe.Write, table: source, into: copied}"]),
    "write's reading": (put, "read_fragment", one_less, ["run", "cluster=debug", STEP + "raypipe.Write, table: source, into: copied}"]),
    "compact": (compact, "read_fragment", one_less, ["tables", "compact", "kept"]),
}
"""Stage -> the function that is made to lose a row, and the command."""


@pytest.mark.parametrize("stage", PLANTED)
def test_a_row_that_is_lost_stops_the_stage(once: Path, stage: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    where, name, lossy, words = PLANTED[stage]
    monkeypatch.chdir(once)
    shutil.copy("data/customers.csv", "data/more.csv")
    before = {name: found.id for name, found in names().items()}
    monkeypatch.setattr(where, name, lossy(getattr(where, name)))
    assert main(words) == 1
    told = capsys.readouterr().err
    assert "are lost. Nothing is published" in told, told
    assert {name: found.id for name, found in names().items()} == before


def names() -> dict[str, Any]:
    from raypipe.data.table import names as tables

    return tables(open_scene().ledger)
