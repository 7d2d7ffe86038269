"""Ingest, Split, Label and Transform as the data grows: what each computes anew, as `refit` says."""

import contextlib
import io
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

import raypipe as rp
from raypipe.cli.main import main
from raypipe.core.artifact import Table
from raypipe.data.became import BECAME
from raypipe.pipeline.plan import open_scene

CONFIG = """
defaults: [pipeline, _self_, {override source: csv}]
name: p
source: {path: data}
ingest: {changed: replace}
split: {by: hash, key: id}
steps:
  labelled: {_target_: raypipe.Label, table: split, column: late, sql: delay > 15}
  ready:
    _target_: raypipe.Transform
    table: labelled
    label: late
    where: delay < 100
    refit: REFIT
    entries:
      speed: {_target_: raypipe.Derive, columns: {per_delay: distance / (delay + 1)}}
      inputs: {_target_: raypipe.Drop, columns: [id, delay]}
      scale: {_target_: raypipe.Standardize, columns: [distance, per_delay]}
      carrier: {_target_: raypipe.OneHot, columns: [carrier]}
"""
NEW = "1 of 21 fragments are new: 4.8 % of the rows computed, the others carried over"


def write(project: Path, number: int, shift: float = 0, carriers: str = "AB"):
    """A file of a hundred rows."""
    lines = [f"{100 * number + i},{i % 40},{(37 * i + number) % 500 + shift},{carriers[i % len(carriers)]}" for i in range(100)]
    (project / "data" / f"{number:03d}.csv").write_text("id,delay,distance,carrier\n" + "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A project of twenty files, whose pipeline has run once. Read only."""

    @cache
    def make(refit: str) -> Path:
        folder = tmp_path_factory.mktemp("projects") / "p"
        for name in ("conf", "data"):
            (folder / name).mkdir(parents=True)
        (folder / "conf" / "p.yaml").write_text(CONFIG.replace("REFIT", refit))
        for number in range(20):
            write(folder, number)
        with contextlib.chdir(folder):
            run()
        return folder

    return make


@pytest.fixture
def project(made: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A copy of it, as the working directory."""

    def copied(refit: str) -> Path:
        shutil.copytree(made(refit), tmp_path / "p")
        monkeypatch.chdir(tmp_path / "p")
        return tmp_path / "p"

    return copied


def run(*more: str, code: int = 0) -> str:
    """What it says."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(["run", "-cd", "conf", "-cn", "p", "cluster=debug", *more]) == code
    return out.getvalue()


def ready() -> Table:
    return rp.table("p.ready").artifact


def chain(table: Table) -> str:
    return next(file.sha256 for file in table.files if file.path.endswith("chain.json"))


def test_never_each_step_computes_the_new_rows_alone(project):
    folder = project("never")
    before = ready()
    write(folder, 20, carriers="ABC")
    said = run()
    assert said.count(NEW) == 2
    assert f"the fit of run {before.run} stays; 'carrier' has drifted most since" in said
    now = ready()
    assert [now.figures[name] for name in ("fragments_computed", "rows_computed", "num_rows")] == [1, 100, 2100]
    assert chain(now) == chain(before)
    assert now.figures["fit"]["run"] == before.run
    assert set(now.figures["fit"]["drift"]) == {"delay", "distance", "carrier"}
    assert [n for n in rp.table("p.ready").to_arrow().column_names if n.startswith("carrier=")] == ["carrier=A", "carrier=B"]
    assert "HIT" in run()
    assert "RUN" not in run()


def test_never_the_table_is_that_of_a_full_computation_with_that_fit(project):
    folder = project("never")
    write(folder, 20, shift=300)
    shutil.copytree(folder / ".raypipe", folder / "copy")
    run()
    incremental, rows = ready(), rp.table("p.ready").to_arrow()
    shutil.rmtree(folder / ".raypipe")
    shutil.move(folder / "copy", folder / ".raypipe")
    for path in (folder / ".raypipe").rglob(BECAME):
        path.write_bytes(b"damaged")
    assert run().count("all 21 fragments are computed: the earlier result cannot be carried over") == 2
    assert (ready().digest, chain(ready())) == (incremental.digest, chain(incremental))
    assert rp.table("p.ready").to_arrow().equals(rows)
    counted = ("rows_in", "rows_left_out", "rows_dropped", "num_rows", "inputs", "num_features")
    assert [ready().figures[name] for name in counted] == [incremental.figures[name] for name in counted]


def test_always_the_fit_is_new_and_with_it_every_row(project):
    folder = project("always")
    before = ready()
    write(folder, 20, shift=300)
    said = run()
    assert NEW in said
    assert "all 21 fragments are computed: its columns, or what is computed of them, changed" in said
    assert chain(ready()) != chain(before)
    assert "fit" not in ready().figures


def test_always_what_a_new_fit_leaves_as_it_was_is_carried_over(project):
    folder = project("always")
    path = folder / "conf" / "p.yaml"
    path.write_text(path.read_text().replace("split: {by: hash, key: id}", "split: {by: time, on: at, validation_from: B, test_from: C}"))
    text = path.read_text().replace("B,", "2026-01-10,").replace("C}", "2026-01-15}").replace("[id, delay]", "[id, delay, at]")
    path.write_text(text)
    for file in (folder / "data").iterdir():
        first, *lines = file.read_text().splitlines()
        day = int(file.stem) + 1
        file.write_text("\n".join([f"{first},at", *(f"{line},2026-01-{day:02d}T12:00:00" for line in lines)]) + "\n")
    shutil.rmtree(folder / ".raypipe")
    run()
    new = (folder / "data" / "019.csv").read_text().replace("2026-01-20", "2026-01-21").replace("\n19", "\n20")
    (folder / "data" / "020.csv").write_text(new)
    assert run().count(NEW) == 2


def test_on_drift_the_fit_stays_until_a_column_has_drifted(project):
    folder = project("on_drift")
    before = ready()
    write(folder, 20)
    said = run()
    assert said.count(NEW) == 2
    assert f"the fit of run {before.run} stays" in said
    for number in range(21, 35):
        write(folder, number, shift=2000)
    said = run()
    assert f"fitted anew: since run {before.run} the training part has drifted by more than 0.2 (PSI): 'distance' by " in said
    assert "all 35 fragments are computed" in said
    now = ready()
    assert chain(now) != chain(before)
    assert now.figures["fit"] == {"run": now.run, "drift": {}}
    write(folder, 35, shift=2000)
    assert f"the fit of run {now.run} stays" in run()


def test_on_drift_as_far_as_one_allows(project):
    folder = project("on_drift")
    for number in range(20, 25):
        write(folder, number, shift=2000)
    assert "stays; 'distance' has drifted most since, by " in run("steps.ready.refit_above=10")
    assert main(["check", "-cd", "conf", "-cn", "p", "steps.ready.refit_above=0"]) == 2
    assert main(["check", "-cd", "conf", "-cn", "p", "steps.ready.refit=seldom"]) == 2


def test_from_always_to_never_the_fit_that_there_is_stays(project):
    folder = project("always")
    before = ready()
    write(folder, 20, shift=300)
    said = run("steps.ready.refit=never")
    assert said.count(NEW) == 2
    assert f"the fit of run {before.run} stays; 'distance' has drifted most since" in said
    assert chain(ready()) == chain(before)


@pytest.mark.parametrize(
    ("override", "carried"),
    [
        ("steps.labelled.sql='delay > 12'", 0),
        ("split.salt=other", 1),
        ("steps.ready.where='delay < 50'", 1),
        ("steps.ready.entries.scale.columns=[distance]", 1),
    ],
)
def test_what_was_made_otherwise_is_fitted_anew(project, override, carried):
    folder = project("never")
    write(folder, 20)
    said = run(override)
    assert "fitting" in said
    assert " stays" not in said
    assert ("fitted anew: its table is made otherwise than for the fit of run" in said) == ("ready" not in override)
    assert said.count(NEW) == carried
    assert ready().figures["fragments_computed"] == 21


def test_a_sample_has_its_own_fit_and_leaves_none_behind(project):
    folder = project("never")
    before = ready()
    assert "fitting" in run("--sample", "0.5")
    write(folder, 20)
    assert f"the fit of run {before.run} stays" in run()
    assert chain(ready()) == chain(before)


@pytest.mark.parametrize("split", [["split.by=hash"], ["split.by=stratified", "split.within=carrier"]])
def test_a_split_counts_what_is_new_and_says_what_a_first_one_says(project, split):
    folder = project("never")
    run(*split)
    write(folder, 20, carriers="ABC")
    assert "1 of 21 fragments are new: only their rows are counted" in run(*split)
    counted = rp.table("p.source").artifact.figures["num_rows"], parts(folder)
    write(folder, 3, shift=1)
    assert "only their rows" not in run(*split)
    shutil.rmtree(folder / ".raypipe")
    write(folder, 3)
    run(*split)
    assert (2100, parts(folder)) == counted


def parts(folder: Path) -> tuple[dict[str, int], dict[str, dict[str, int]] | None]:
    found = open_scene(folder).ledger.nearest("p", "split")
    assert found is not None
    return found[0].figures["parts"], found[0].figures.get("strata")


def test_exact_cuts_that_move_are_another_split(project):
    folder = project("never")
    exact = ["split.by=stratified", "split.within=carrier", "split.exact=true"]
    run(*exact)
    write(folder, 20)
    said = run(*exact)
    assert said.count(NEW) == 1
    assert "fitting" in said


def test_tables_of_one_input_under_different_fits_are_told_apart(project):
    folder = project("never")
    write(folder, 20, shift=300)
    run()
    path = folder / "conf" / "p.yaml"
    path.write_text(path.read_text().replace("  ready:", "  other:"))
    run()
    kept, new = ready(), rp.table("p.other").artifact
    assert chain(kept) != chain(new)
    assert kept.fingerprint != new.fingerprint


def test_asked_for_anew_nothing_is_carried_over_and_the_fit_stays(project):
    folder = project("never")
    before = ready()
    write(folder, 20)
    run()
    again = run("--force", "ready")
    assert "fragments" not in again
    assert f"the fit of run {before.run} stays" in again
    assert ready().figures["fragments_computed"] == 21


def kept_out() -> list[tuple[int, str]]:
    found = rp.table("p.ready~breaches").to_arrow()
    return list(zip(found["id"].to_pylist(), found["raypipe.file"].to_pylist(), strict=True))


@pytest.mark.parametrize("change", ["append", "replace"])
def test_rows_that_a_contract_keeps_out_stay_beside(project, change):
    folder = project("never")
    contract = "    contract: {_target_: raypipe.Contract, exact: false, columns: {id: {type: int64, max: 1950, on_breach: quarantine}}}\n"
    path = folder / "conf" / "p.yaml"
    text = path.read_text().replace("    entries:", contract + "    entries:").replace("[id, delay]", "[delay]")
    path.write_text(text)
    run()
    assert [row for row, _ in kept_out()] == list(range(1951, 2000))
    if change == "append":
        write(folder, 20)
        assert run().count(NEW) == 2
    else:
        write(folder, 3, shift=1)
        assert "1 of 20 fragments are new and 1 gone, 1 made again: 10.0 % of the rows computed" in run()
    assert sorted(row for row, _ in kept_out()) == list(range(1951, 2000)) + (list(range(2000, 2100)) if change == "append" else [])
    assert ready().figures["rows_quarantined"] == len(kept_out())
    rules = {rule["rule"]: rule["figure"] for rule in ready().figures["contract"]["rules"]}
    assert rules["max"] == len(kept_out())
