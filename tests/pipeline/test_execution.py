"""Options of a step: their units, and what is shared by all."""

from __future__ import annotations

import pytest

from raypipe.core.units import num_bytes, seconds
from raypipe.pipeline.execution import RUNTIME_ENV, Execution, execution_problems, executions


@pytest.mark.parametrize(
    ("text", "value"), [(5, 5.0), (0.5, 0.5), ("5", 5.0), ("250ms", 0.25), ("1.5m", 90.0), ("2h", 7200.0), ("1d", 86400.0)]
)
def test_times(text: float | str, value: float):
    assert seconds(text) == value


@pytest.mark.parametrize(("text", "value"), [(10, 10), ("4GB", 4_000_000_000), ("512MiB", 512 << 20), ("1 kB", 1000)])
def test_sizes(text: int | str, value: int):
    assert num_bytes(text) == value


def test_what_a_step_says_goes_before_what_is_said_of_all():
    found = executions({"default": {"retries": 2, "timeout": "1h"}, "b": {"retries": 5}}, ["a", "b"])
    assert found == {"a": Execution(retries=2, timeout="1h"), "b": Execution(retries=5, timeout="1h")}
    assert executions({"b": {}}, ["a", "b"]) == {}


def test_what_is_said_of_resources_is_what_the_step_takes_and_its_tasks_reserve():
    execution = Execution(cpus=2, memory="1GB", resources={"tpu": 1})
    assert execution.needs({"CPU": 1.0}) == {"CPU": 2, "memory": 1e9, "tpu": 1}
    assert execution.ray_options() == {"num_cpus": 2, "memory": 1e9, "resources": {"tpu": 1}}
    assert Execution().needs({"CPU": 1.0}) == {"CPU": 1.0}
    assert Execution().ray_options() == {}


def test_a_runtime_env_says_only_what_ray_knows(monkeypatch: pytest.MonkeyPatch):
    written = {"a": {"runtime_env": {"env_var": {}, "pip": ["x"], "env_vars": {"A": 5, "B": "5"}}}}
    assert [(p.where, p.what) for p in execution_problems(written, ["a"])] == [
        ("execution.a.runtime_env.env_var", "unknown: Ray's runtime_env has no 'env_var'. Did you mean 'env_vars'?"),
        ("execution.a.runtime_env.env_vars.A", "found 5, expected text: write '5' in quotes."),
    ]
    monkeypatch.setenv("RAY_RUNTIME_ENV_PLUGINS", "[]")
    assert [p.where for p in execution_problems(written, ["a"])] == ["execution.a.runtime_env.env_vars.A"]


def test_what_ray_knows_of_a_runtime_env():
    from ray.runtime_env import RuntimeEnv

    assert {name.removeprefix("_") for name in RuntimeEnv.known_fields - RuntimeEnv.extensions_fields} == set(RUNTIME_ENV)
