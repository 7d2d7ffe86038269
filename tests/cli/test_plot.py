"""The picture of a sweep: every point is in it, whatever became of it."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.cli.plot import write
from raypipe.loop.sweep import SweepResult
from raypipe.loop.trial import Point, Trial
from raypipe.pipeline.node import Pipeline

BY = "evaluate.auc"
SVG = "{http://www.w3.org/2000/svg}"


def result(values: list[str], states: list[str] | None = None) -> SweepResult:
    pipeline, trials = Pipeline.of("p", {}), []
    for number, value in enumerate(values, 1):
        state = states[number - 1] if states else "DONE"
        figures = {} if state == "FAILED" else {BY: 0.5 + 0.01 * number}
        trials.append(Trial(Point(number, {"a.b": value, "same": "1"}, pipeline), state, "r", figures))  # type: ignore[arg-type]
    return SweepResult("s", BY, "max", trials, best=trials[0])


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        (["1", "2", "5"], ["1", "2", "5"]),
        (["booster", "mlp"], ["booster", "mlp"]),
        ([str(n) for n in range(20)], ["0", "5", "10", "15"]),
        ([f"{10.0**-n}" for n in range(1, 12)], ["1e-11", "1e-09", "0.001", "0.1"]),
    ],
    ids=["few", "words", "many", "by their logarithm"],
)
def test_a_panel_has_a_mark_for_each_point_and_ticks_to_read_it_by(tmp_path: Path, values: list[str], ticks: list[str]):
    write(tmp_path / "p.svg", result(values))
    root = ET.parse(tmp_path / "p.svg").getroot()
    circles = list(root.iter(f"{SVG}circle"))
    assert len(circles) == len(values)
    assert [c.get("class") for c in circles].count("best") == 1
    assert all(0 < float(c.get("cx", "-1")) < 460 and 0 < float(c.get("cy", "-1")) < 300 for c in circles)
    texts = [t.text for t in root.iter(f"{SVG}text")]
    assert "evaluate.auc over a.b" in texts
    assert "evaluate.auc over same" not in texts
    assert set(ticks) <= set(texts)


def test_points_that_failed_or_were_stopped_look_so(tmp_path: Path):
    write(tmp_path / "p.svg", result(["1", "2", "3"], ["DONE", "STOPPED", "FAILED"]))
    root = ET.parse(tmp_path / "p.svg").getroot()
    assert [c.get("class") for c in root.iter(f"{SVG}circle")] == ["stopped", "best"]
    assert [p.get("class") for p in root.iter(f"{SVG}path")] == ["bad"]


def test_a_page_needs_no_network_and_runs_nothing_that_a_value_says(tmp_path: Path):
    write(tmp_path / "p.html", result(["<script>alert(1)</script>", '"&'], ["DONE", "FAILED"]))
    page = (tmp_path / "p.html").read_text()
    assert "<script" not in page
    assert "http" not in page
    assert "&lt;script&gt;" in page


def test_equal_figures_and_none_at_all_are_drawn(tmp_path: Path):
    same = result(["1", "2"])
    for trial in same.trials:
        trial.figures[BY] = 0.5
    write(tmp_path / "same.svg", same)
    write(tmp_path / "none.svg", result(["1", "2"], ["FAILED", "FAILED"]))


def test_where_no_plot_can_be_written_is_told_before_the_first_point(fresh: Path, capsys: pytest.CaptureFixture[str]):
    for file, said in (("p.png", "a page (.html) or a picture (.svg)"), ("nowhere/p.svg", "a folder that is there")):
        assert main(["sweep", "cluster=debug", "model.C=0.1,0.2", "--plot", file]) == 2
        told = capsys.readouterr()
        assert (told.out, said in told.err) == ("", True)
