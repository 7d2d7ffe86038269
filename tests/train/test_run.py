"""A training in a worker of its own: the same bytes, on from the last checkpoint where the worker is lost, ended with the step."""

import os
import threading
import time
from pathlib import Path

import pytest

from raypipe.core.errors import ClusterError, DataError, Fenced, StepFailed
from raypipe.core.placement import placed
from raypipe.train import run
from raypipe.train.fit import fit
from raypipe.train.job import Fitted, Job
from raypipe.train.run import apart
from tests.train.sample import MLP, KilledOnce, job, never


def test_a_worker_that_is_killed_is_replaced_by_one_that_goes_on_to_the_bytes_of_a_training_in_the_process(tmp_path: Path, ray_cluster):
    reports: list[str] = []
    no_task_s = threading.Lock()  # what the driver does when it is called cannot travel
    asked = job(tmp_path, MLP, checkpoint_every_steps=5, num_workers=1, report=reports.append, alive=lambda: no_task_s.locked() and None)
    fitted = apart(asked, KilledOnce(tmp_path / "mark"))
    assert fitted.resumed_from == "epoch 1 of 3, step 5"
    assert [text for text in reports if not text.startswith("epoch")] == [
        "the training's worker process ended; another one goes on (try 2 of 2)",
        "resuming from epoch 1 of 3, step 5",
    ]
    assert fitted.model == fit(job(tmp_path / "here", MLP)).model


@pytest.mark.skipif(os.environ.get("RAYPIPE_CHAOS") != "long", reason="another ten seconds for Ray Train's start: RAYPIPE_CHAOS=long")
def test_a_training_that_is_to_end_takes_its_worker_with_it(tmp_path: Path, ray_cluster):
    pids: list[str] = []

    def alive() -> None:
        if pids:
            raise Fenced("another run has claimed this training")

    with pytest.raises(Fenced):
        apart(job(tmp_path, MLP, num_workers=1, report=pids.append, alive=alive), never)
    until = time.monotonic() + 30
    while Path(f"/proc/{pids[0]}").exists():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(("name", "there"), [("num_cpus", "99 CPU, and the cluster has 4"), ("num_gpus", "99 GPU, and the cluster has 0")])
def test_a_worker_that_there_is_no_room_for_is_refused_at_once(tmp_path: Path, ray_cluster, name: str, there: str):
    with placed({name: 99}), pytest.raises(ClusterError, match=there):
        fit(job(tmp_path, MLP, num_workers=1))


def test_what_goes_wrong_in_a_worker_is_told_as_it_would_be_here(tmp_path: Path):
    def unfit(asked: Job) -> Fitted:
        raise DataError("the train part has no rows")

    def broken(asked: Job) -> Fitted:
        print("about to divide")
        raise ZeroDivisionError("division by zero")

    done = run._done(job(tmp_path, MLP), unfit)
    assert (done.fitted, type(done.error), str(done.error)) == (None, DataError, "the train part has no rows")
    done = run._done(job(tmp_path, MLP), broken)
    assert isinstance(done.error, StepFailed)
    assert str(done.error) == "the training failed: ZeroDivisionError: division by zero"
    assert not done.error.transient
    assert "in broken" in done.error.trace
    assert [line.text for line in done.printed.first] == ["about to divide"]
    assert done.cost.cpu_s >= 0


def test_what_ends_ray_trains_run_is_a_lost_worker_a_lack_of_room_or_told_in_a_line():
    from ray.exceptions import RayActorError
    from ray.train import ControllerError, WorkerGroupError
    from ray.train.v2._internal.exceptions import WorkerGroupStartupTimeoutError

    share = {"CPU": 2.0, "GPU": 1.0}
    for lost in (WorkerGroupError("", {0: RayActorError()}), ControllerError(RayActorError()), RayActorError()):
        assert isinstance(run._told(lost, share), run._Lost)
    late = run._told(ControllerError(WorkerGroupStartupTimeoutError(1)), share)
    assert str(late) == "no node had 2 CPU, 1 GPU free for the training's worker, in 5 tries: others of this cluster hold it"
    other = run._told(ControllerError(ValueError("no such folder\nand more")), share)
    assert (type(other), str(other)) == (ClusterError, "Ray Train did not start the training's worker: no such folder")
