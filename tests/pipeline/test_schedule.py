"""Which steps may start, and which a failure leaves."""

from __future__ import annotations

import pytest

from raypipe.core.errors import ConfigError
from raypipe.pipeline.schedule import Schedule


def schedule(project, execution: dict) -> Schedule:
    m = project.module
    pipeline = project.pipeline({name: m.First(value=i) for i, name in enumerate(("a", "b", "of_a", "of_b", "of_of_a"))}, execution)
    return Schedule(pipeline, pipeline.nodes.keys())


def test_two_failures_call_for_their_steps_each_and_so_may_one_of_those(project):
    found = schedule(project, {"a": {"on_failure": "of_a"}, "b": {"on_failure": "of_b"}, "of_a": {"on_failure": "of_of_a"}})
    assert found.ready({}, 9) == ["a", "b"]
    found.close(then="of_a")
    found.close(then="of_b")
    found.close()
    assert found.ready({}, 9) == ["of_a", "of_b"]
    found.close(then="of_of_a")
    assert found.ready({}, 9) == ["of_of_a"]
    found.close(then="of_of_a")
    assert found.ready({}, 9) == []


def test_each_of_two_failures_runs_its_own_step(project, states):
    m = project.module
    steps = {"a": m.Fails(), "b": m.Slow(seconds=0.2), "c": m.Fails(kind="DataError"), "d": m.First(), "e": m.First(value=2)}
    result = project.run(steps, {"a": {"on_failure": "d"}, "c": {"on_failure": "e"}}, num_parallel=2)
    assert result.state == "failed"
    assert "e begins" not in project.log
    result = project.run({**steps, "b": m.First(value=9)}, {"a": {"on_failure": "d"}, "c": {"on_failure": "e"}})
    assert {"d begins", "e begins"} <= set(project.log)


def test_one_step_may_follow_every_failure_and_its_own_calls_for_nothing(project, states):
    m = project.module
    result = project.run({"a": m.Fails(), "clean": m.Fails(kind="DataError")}, {"default": {"on_failure": "clean"}})
    assert project.log == ["a begins", "clean begins"]
    assert "failure 1" in result.error


def test_steps_that_only_follow_each_other_are_refused(project):
    m = project.module
    with pytest.raises(
        ConfigError, match=r"execution\.a\.on_failure: none of these would ever run: 'b' runs only where 'a' fails, 'a' runs only"
    ):
        project.pipeline({"a": m.First(), "b": m.First(value=1)}, {"a": {"on_failure": "b"}, "b": {"on_failure": "a"}})


def test_a_step_that_reads_what_failed_cannot_answer_for_it(project):
    m = project.module
    steps = {"a": m.First(), "b": m.Then(before="a"), "c": m.Then(before="b")}
    with pytest.raises(ConfigError, match=r"execution\.a\.on_failure: 'c' reads what comes of 'a', and would never run: name a step"):
        project.pipeline(steps, {"a": {"on_failure": "c"}})
