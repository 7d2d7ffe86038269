"""Tries, time limits and waiting for another run, as a run of small steps meets them."""

from __future__ import annotations

import json
import threading
import time

import pytest

from raypipe.core.errors import ConfigError


def test_what_may_be_gone_is_tried_again_and_each_try_is_told_and_recorded(project):
    result = project.run({"a": project.module.Fails(times=2, kind="ConnectionError")}, {"a": {"retries": 2, "backoff": 0.05}})
    assert result.state == "done", result.error
    assert project.log == ["a begins"] * 3
    first, second = project.told("retried")
    assert "try 1 of 3 failed" in first
    assert "failure 1" in first
    assert "try 2 of 3 failed" in second
    assert result.steps["a"].why == "never made (try 3 of 3)"
    with project.scene.ledger.reading() as connection:
        from sqlalchemy import select

        from raypipe.core.schema import events

        details = [row.detail for row in connection.execute(select(events).where(events.c.what == "retried"))]
    assert [(d["step"], d["try"], d["of"]) for d in details] == [("a", 1, 3), ("a", 2, 3)]


def test_a_secret_in_an_error_is_not_recorded(project, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PRICES_API_KEY", "failure")
    result = project.run({"a": project.module.Fails(kind="ConnectionError")}, {"a": {"retries": 1, "backoff": 0, "on_failure": "continue"}})
    assert result.state == "failed"
    database = b"".join(path.read_bytes() for path in (project.folder / ".raypipe").glob("ledger.db*"))
    assert b"*** 1" in database
    assert b"failure 1" not in database


@pytest.mark.parametrize("kind", ["ValueError", "DataError", "StoreError"])
def test_a_users_error_and_wrong_data_are_not_tried_again(project, kind: str):
    result = project.run({"a": project.module.Fails(kind=kind)}, {"default": {"retries": 5, "backoff": 0.01}})
    assert result.state == "failed"
    assert project.log == ["a begins"]
    assert "failure 1" in result.error


def test_the_wait_between_tries_doubles_and_a_share_of_it_is_chance(project):
    began = time.monotonic()
    project.run({"a": project.module.Fails(times=3, kind="ConnectionError")}, {"a": {"retries": 3, "backoff": "200ms"}})
    assert 0.5 * 1.4 <= time.monotonic() - began < 1.4 + 1


@pytest.mark.parametrize("deaf", [False, True])
def test_a_try_that_takes_too_long_is_ended_and_tried_again(project, deaf: bool):
    steps = {"a": project.module.Slow(seconds=20, deaf=deaf), "b": project.module.First()}
    began = time.monotonic()
    result = project.run(steps, {"a": {"timeout": "300ms", "retries": 1, "backoff": 0.01}})
    assert time.monotonic() - began < 6
    assert result.error == "step 'a' took longer than its timeout of 300ms"
    assert project.log.count("a begins") == 2
    assert "a ends" not in project.log
    assert result.steps["b"].made


def test_a_step_that_another_run_makes_is_waited_for_and_then_a_hit(project):
    steps = {"a": project.module.Slow(seconds=1.0)}
    other = threading.Thread(target=lambda: project.run(steps))
    other.start()
    while "a begins" not in project.log:
        time.sleep(0.01)
    result = project.run(steps)
    other.join()
    assert result.steps["a"].state == "HIT"
    assert project.log.count("a begins") == 1
    (waited,) = project.told("waiting")
    assert waited.startswith("run ")
    assert "is making it" in waited


def test_without_waiting_the_run_leaves_with_75_and_says_who_holds_the_step(project):
    steps = {"a": project.module.Slow(seconds=1.0)}
    other = threading.Thread(target=lambda: project.run(steps))
    other.start()
    while "a begins" not in project.log:
        time.sleep(0.01)
    result = project.run(steps, wait=False)
    other.join()
    assert result.exit_code == 75
    assert result.error.startswith("step 'a': run ")
    assert "is making it" in result.error


def test_lost_bytes_are_said_and_made_again(project):
    """A step's artifact whose file is gone is no HIT."""
    from raypipe.pipeline.plan import plan

    (project.folder / "data.csv").write_text("a,b\n1,2\n")
    import raypipe

    steps = {"source": raypipe.Ingest(source=raypipe.Csv(path="data.csv"))}
    assert project.run(steps, cluster=raypipe.Debug()).state == "done"
    for file in (project.folder / ".raypipe" / "store").rglob("*.parquet"):
        file.unlink()
    (step,) = plan(project.pipeline(steps), project.scene).steps
    assert step.state == "RUN"
    assert "the store has lost" in step.why
    result = project.run(steps, cluster=raypipe.Debug())
    assert "the store has lost" in result.steps["source"].why
    assert plan(project.pipeline(steps), project.scene).nothing_to_do


def test_how_steps_are_carried_out_is_no_part_of_their_identity(project):
    steps = {"a": project.module.First()}
    project.run(steps)
    result = project.run(steps, {"a": {"retries": 3, "timeout": "1h", "on_failure": "continue"}})
    assert result.steps["a"].state == "HIT"


def test_everything_wrong_with_it_is_said_at_once(project):
    wrong = {
        "b": {"retries": 1},
        "a": {
            "retry": 2,
            "timeout": "soon",
            "retries": -1,
            "memory": "much",
            "on_failure": "contine",
            "cache": "never",
            "notify": {"mail": 1},
        },
        "default": {"when": "a.value > 1"},
    }
    with pytest.raises(ConfigError) as error:
        project.pipeline({"a": project.module.First()}, wrong)
    said = {p.where: p.what for p in error.value.problems}
    assert json.dumps(sorted(said)) == json.dumps(
        sorted(
            [
                "execution.b",
                *(f"execution.a.{n}" for n in ("retry", "timeout", "retries", "memory", "on_failure", "cache", "notify")),
                "execution.default.when",
            ]
        )
    )
    assert "Did you mean 'retries'?" in said["execution.a.retry"]
    assert "Did you mean 'continue'?" in said["execution.a.on_failure"]


def test_a_step_is_not_run_for_its_own_failure(project):
    with pytest.raises(ConfigError, match=r"cannot be run for its own failure. Valid: b, continue, finish, stop."):
        project.pipeline({"a": project.module.First(), "b": project.module.First()}, {"a": {"on_failure": "a"}})


HANGS = """
import time
from pathlib import Path
import pyarrow as pa

def rows() -> pa.Table:
    with Path("{folder}/begun").open("a") as stream:
        stream.write("begins ")
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            time.sleep(1)
        except BaseException:  # as deaf as compiled code
            pass
    return pa.table({{"a": [1]}})

def where(n: int = 0) -> pa.Table:
    import ray
    resources = ray.get_runtime_context().get_assigned_resources()
    return pa.table({{"cpus": [resources.get("CPU", 0.0)]}})
"""


def test_a_step_whose_ray_task_hangs_is_ended_and_its_retry_has_the_cpus(project, ray_cluster: None):
    import ray

    from raypipe.core.cluster import Local

    (project.folder / "hangs.py").write_text(HANGS.format(folder=project.folder))
    from hangs import rows  # type: ignore[import-not-found]

    result = project.run({"a": rows}, {"a": {"timeout": "5s", "retries": 1, "backoff": 0, "cpus": 4}}, cluster=Local(num_cpus=4))
    assert "longer than its timeout of 5s" in result.error
    assert (project.folder / "begun").read_text() == "begins begins "
    until = time.monotonic() + 5  # Ray's own count of what is free comes late
    while ray.available_resources().get("CPU") != 4 and time.monotonic() < until:
        time.sleep(0.1)
    assert ray.available_resources()["CPU"] == 4


def test_a_steps_resources_reach_its_tasks(project, ray_cluster: None):
    (project.folder / "places.py").write_text(HANGS.format(folder=project.folder))
    from places import where  # type: ignore[import-not-found]

    from raypipe.core.cluster import Local
    from raypipe.pipeline.reach import table

    project.run({"a": where}, {"a": {"cpus": 2}}, cluster=Local(num_cpus=4))
    assert table("p.a", project_path=project.folder).to_arrow().to_pydict() == {"cpus": [2.0]}


def test_two_steps_that_need_the_whole_machine_queue_and_more_is_refused_at_once(project, ray_cluster: None):
    from raypipe.core.cluster import Local

    takes = project.module.Takes
    steps = {"a": takes(cpus=4, value=1), "b": takes(cpus=4, value=2)}
    result = project.run(steps, cluster=Local(num_cpus=4))
    assert result.state == "done"
    assert [line.split()[1] for line in project.log] == ["begins", "ends", "begins", "ends"]
    (waited,) = project.told("waiting")
    assert "waits for 4 CPUs of this machine: step" in waited
    result = project.run({"c": takes(value=3)}, {"c": {"cpus": 64}}, cluster=Local(num_cpus=4))
    assert result.exit_code == 2
    assert result.error == "execution.c: asks for 64 CPUs, and there are 4 CPUs in all (this machine)."
    result = project.run({**steps, "a": takes(cpus=4, value=5, seconds=2), "b": takes(cpus=4, value=6)}, {"default": {"deadline": "200ms"}})
    assert "Its deadline of 0.2 s has passed" in result.error
