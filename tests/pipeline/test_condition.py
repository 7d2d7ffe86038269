"""Conditions: what they may say, what they read, and what a run makes of them."""

from __future__ import annotations

import pytest

from raypipe.core.errors import ConfigError, DataError
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.plan import plan

FIGURES = {"evaluate": {"auc": 0.8, "by": {"carrier": {"UA": 3}}}, "gate": {"passed": True}, "my-step": {"n": 2}}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("evaluate.auc > 0.7 and gate.passed", True),
        ("evaluate.auc > 0.9 or not gate.passed", False),
        ("0.7 < evaluate.auc <= 0.8", True),
        ("evaluate.by.carrier.UA * 2 - 1 == 5", True),
        ('evaluate.by["carrier"]["UA"] in [1, 3]', True),
        ('steps["my-step"].n / 2 == 1', True),
        ("-evaluate.auc < 0", True),
    ],
)
def test_what_it_says_is_what_holds(text: str, holds: bool):
    condition = Condition(text)
    assert condition.problem() == ""
    assert condition.holds("execution.deploy.when", FIGURES) is holds


@pytest.mark.parametrize(
    "text",
    [
        *("", "evaluate", "1 > 0", "evaluate.auc >", "a.b ** 9 > 1"),
        *("open('x')", "__import__('os').system('x')", "evaluate.auc.real()", "[x for x in gate.a]", "lambda: a.b"),
    ],
)
def test_what_is_no_condition_is_refused(text: str):
    assert Condition(text).problem()


def test_a_figure_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(DataError) as error:
        Condition("evaluate.acu > 0.7").holds("execution.deploy.when", FIGURES)
    assert str(error.value) == "execution.deploy.when: evaluate has no figure 'acu'. Did you mean 'auc'? There are: auc, by."


def test_what_cannot_be_compared_is_said_with_the_figures():
    with pytest.raises(DataError, match=r"not supported between.*evaluate.by is"):
        Condition("evaluate.by > 0.7").holds("execution.deploy.when", FIGURES)


def test_what_is_divided_by_nothing_is_said_with_the_figures():
    with pytest.raises(DataError, match=r"division by zero \(evaluate.auc is "):
        Condition("evaluate.auc / 0 > 0.7").holds("execution.deploy.when", FIGURES)


def branches(project) -> dict:
    m = project.module
    return {
        "a": m.First(value=1.0),
        "b": m.Then(before="a", value=5.0),
        "c": m.Then(before="b"),
        "joined": m.Then(before="a", other="c"),
    }


def test_a_branch_that_is_skipped_rejoins(project, states):
    result = project.run(branches(project), {"b": {"when": "a.value > 2"}})
    assert result.state == "done"
    assert states(result) == {"a": "RUN", "b": "SKIP", "c": "SKIP", "joined": "RUN"}
    assert result.steps["b"].why == "a.value is 1: not a.value > 2"
    assert result["joined"].figures["others"] == 0
    result = project.run(branches(project), {"b": {"when": "a.value > 0"}})
    assert states(result) == {"a": "HIT", "b": "RUN", "c": "RUN", "joined": "RUN"}
    assert result["joined"].figures["others"] == 1


def test_a_condition_orders_the_steps_and_is_no_part_of_what_they_are(project, states):
    m = project.module
    steps = {"late": m.First(value=9.0), "a": m.Slow(seconds=0.2, value=3)}
    result = project.run(steps, {"late": {"when": "a.value == 3"}})
    assert list(result.steps) == ["a", "late"]
    assert project.log == ["a begins", "a ends", "late begins"]
    assert states(project.run(steps)) == {"late": "HIT", "a": "HIT"}


def test_what_is_not_known_yet_is_maybe(project):
    steps = {"a": project.module.First(), "b": project.module.Then(before="a")}
    found = plan(project.pipeline(steps, {"b": {"when": "a.value > 2"}}), project.scene)
    assert [(s.name, s.state) for s in found.steps] == [("a", "RUN"), ("b", "MAYBE")]
    assert found.steps[1].why == "when a.value > 2; never made"


def test_a_missing_figure_fails_the_step_and_names_those_there_are(project):
    result = project.run({"a": project.module.First(), "b": project.module.Then()}, {"b": {"when": "a.vlaue > 2"}})
    assert result.state == "failed"
    assert "execution.b.when: a has no figure 'vlaue'. Did you mean 'value'?" in result.error


def test_a_condition_that_cannot_be_told_is_its_step_s_failure_alone(project):
    """Though the figures are there already: a plan shows the others, and a run goes on as the step's `on_failure` says."""
    m = project.module
    steps = {"a": m.First(), "b": m.Then(before="a"), "c": m.Then(before="a", value=1)}
    assert project.run({"a": m.First()}).state == "done"
    execution = {"b": {"when": "a.vlaue > 2", "on_failure": "continue"}}
    found = {s.name: s for s in plan(project.pipeline(steps, execution), project.scene).steps}
    assert {name: s.state for name, s in found.items()} == {"a": "HIT", "b": "BLOCKED", "c": "RUN"}
    assert found["b"].why.startswith("execution.b.when: a has no figure 'vlaue'. Did you mean 'value'?")
    result = project.run(steps, execution)
    assert result.state == "failed"
    assert {name: s.state for name, s in result.steps.items()} == {"a": "HIT", "b": "FAILED", "c": "RUN"}


@pytest.mark.parametrize(
    ("when", "said"),
    [("b.value > 1", "the step reads itself"), ("c.value > 1", "the steps wait for each other"), ("d.value > 1", "there is no step 'd'")],
)
def test_a_condition_is_an_edge(project, when: str, said: str):
    m = project.module
    with pytest.raises(ConfigError, match=said):
        project.pipeline({"a": m.First(), "b": m.Then(), "c": m.Then(before="b")}, {"b": {"when": when}})
