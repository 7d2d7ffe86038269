"""Sweeps of pipelines written in Python, and what the trials are ranked by."""

from pathlib import Path

import pytest

import raypipe
from raypipe.core.cluster import Debug
from raypipe.core.errors import ConfigError
from raypipe.loop.halving import rungs, with_epochs
from raypipe.loop.sweep import sweep
from raypipe.loop.trial import Point, Trial, best_first, direction_of, numbers
from raypipe.pipeline.driver import Options
from raypipe.pipeline.node import Node, Pipeline

STEPS = """\
from raypipe import Made, Ref, Report


class Says:
    def __init__(self, value: float = 0.0):
        self.value = value

    def run(self, work) -> Made[Report]:
        return Made(str(self.value), figures={"value": self.value, "inner": {"loss": -self.value}, "text": "x", "passed": True})
"""


@pytest.fixture
def pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Pipeline]:
    (tmp_path / "says.py").write_text(STEPS)
    monkeypatch.chdir(tmp_path)
    nodes = {name: {"a": {"_target_": "says.Says", "value": value}} for name, value in (("low", 0.1), ("high", 0.9), ("middle", 0.5))}
    return {name: Pipeline("p", steps=steps, project_path=tmp_path) for name, steps in nodes.items()}


def test_the_best_of_some_pipelines_is_run_whole(pipelines: dict[str, Pipeline]):
    result = sweep(pipelines, raypipe.Sweep(by="a.value"), Options(cluster=Debug()))
    assert [trial.point.changes["pipeline"] for trial in result.trials] == ["high", "middle", "low"]
    assert result.best is result.trials[0]
    assert result.result is not None
    assert result.result["a"].figures["value"] == 0.9
    assert result.exit_code == 0


def test_a_loss_is_to_be_small_and_a_figure_may_lie_deeper(pipelines: dict[str, Pipeline]):
    result = sweep(pipelines, raypipe.Sweep(by="a.inner.loss"), Options(cluster=Debug()))
    assert result.direction == "min"
    assert result.trials[0].point.changes["pipeline"] == "high"


def test_what_is_no_number_is_no_figure(pipelines: dict[str, Pipeline]):
    with pytest.raises(ConfigError, match=r"no figure 'text'.*inner.loss, value"):
        sweep(pipelines, raypipe.Sweep(by="a.text"), Options(cluster=Debug()))
    assert numbers({"a": {"b": 1, "c": None}, "d": True, "e": [1]}) == {"a.b": 1, "a.c": None}


@pytest.fixture
def with_a_sub(tmp_path: Path, pipelines: dict[str, Pipeline]) -> dict[str, Pipeline]:
    """The same steps in a sub-pipeline, once for each of two names; `a` is a step as well as the name of one inside."""

    def made(value: float) -> Pipeline:
        of = {"pipeline": {"steps": {"a": {"_target_": "says.Says", "value": value}}}, "each": {"who": ["x", "y"]}}
        return Pipeline("p", steps={"a": {"_target_": "says.Says", "value": -value}, "of": of}, project_path=tmp_path)

    return {name: made(value) for name, value in (("low", 0.1), ("high", 0.9))}


def test_a_figure_of_a_step_in_a_sub_pipeline(with_a_sub: dict[str, Pipeline]):
    result = sweep(with_a_sub, raypipe.Sweep(by="of.x.a.inner.loss", figures=["a.value"]), Options(cluster=Debug()))
    assert result.direction == "min"
    assert [(t.point.changes["pipeline"], t.figures["of.x.a.inner.loss"]) for t in result.trials] == [("high", -0.9), ("low", -0.1)]
    assert result.result is not None
    assert set(result.result.steps) == {"a", "of.x.a", "of.y.a"}


@pytest.mark.parametrize(
    ("by", "says"),
    [
        ("of.z.a.value", "of.z.a.value: 'of' is a sub-pipeline, and has no step 'of.z.a'. Did you mean 'of."),
        ("of.x.b.value", "'of' is a sub-pipeline, and has no step 'of.x.b'. Did you mean 'of.x.a'?"),
        ("of.x.a", "'of.x.a' alone says nothing: name a figure of the step"),
        ("of.x.a.vlaue", "what 'of.x.a' made has no figure 'vlaue'. Did you mean 'value'? There are: inner.loss, value."),
        ("off.x.a.value", "there is no step 'off'"),
    ],
)
def test_a_figure_that_is_not_there_in_a_sub_pipeline(with_a_sub: dict[str, Pipeline], by: str, says: str):
    with pytest.raises(ConfigError) as error:
        sweep(with_a_sub, raypipe.Sweep(by=by), Options(cluster=Debug()))
    assert says in str(error.value)


def test_a_step_that_only_some_points_have_is_told_with_the_point(pipelines: dict[str, Pipeline], with_a_sub: dict[str, Pipeline]):
    with pytest.raises(ConfigError, match=r"there is no step 'of'\..* \(point 2: pipeline=without\)"):
        sweep({"with": with_a_sub["low"], "without": pipelines["low"]}, raypipe.Sweep(by="of.x.a.value"), Options(cluster=Debug()))


def test_nothing_to_try_is_told():
    with pytest.raises(ConfigError, match="nothing is swept"):
        sweep({})


@pytest.mark.parametrize(
    ("figure", "way"),
    [
        ("evaluate.auc", "max"),
        ("train.validation.log_loss", "min"),
        ("a.rmse", "min"),
        ("a.absolute_error", "min"),
        ("a.profit", "max"),
    ],
)
def test_which_way_is_better_is_told_by_the_name(figure: str, way: str):
    assert direction_of(figure) == way


def test_a_trial_without_the_figure_comes_last_and_one_of_more_epochs_first():
    pipeline = Pipeline.of("p", {})

    def trial(number: int, figure: float | None, epochs: int) -> Trial:
        return Trial(Point(number, {}, pipeline), "DONE", "r", {"a.b": figure}, epochs=epochs)

    trials = [trial(1, None, 9), trial(2, 0.9, 1), trial(3, 0.5, 9), trial(4, float("nan"), 9), trial(5, 0.5, 9)]
    assert [t.point.number for t in best_first(trials, "a.b", "max")][:3] == [3, 5, 2]


@pytest.mark.parametrize(("epochs", "expected"), [(1, [1]), (3, [1, 3]), (5, [1, 3, 5]), (9, [1, 3, 9]), (28, [1, 3, 9, 27, 28])])
def test_rungs_end_with_the_epochs_asked_for(epochs: int, expected: list[int]):
    node = Node("raypipe.steps.train.Train", {"seed": 1})
    assert rungs([with_epochs(Pipeline.of("p", {"train": node}), epochs)], 3) == expected


def test_as_many_epochs_as_the_default_leave_the_step_in_its_normal_form():
    node = Node("raypipe.steps.train.Train", {"seed": 1, "epochs": 9})
    assert with_epochs(Pipeline.of("p", {"train": node}), 5).nodes["train"].settings == {"seed": 1}


def test_halving_without_a_training_is_told(pipelines: dict[str, Pipeline]):
    with pytest.raises(ConfigError, match="the figures are made from none"):
        sweep(pipelines, raypipe.Sweep(by="a.value", scheduler="halving"))
