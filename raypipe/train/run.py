"""A training run by Ray Train: in this process, or in a worker, a process apart that is listened to, ended, and begun again if lost."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from raypipe.core import meter, output
from raypipe.core.errors import ClusterError, RaypipeError, StepFailed
from raypipe.core.frame import trace
from raypipe.core.meter import Cost
from raypipe.core.placement import ENDED, TRIES, most_on_a_node, num_at_once, ray_options
from raypipe.core.transient import is_transient
from raypipe.core.wording import first_line
from raypipe.train import checkpoint
from raypipe.train.job import Fitted, Job, Trained

HEARS_S = 0.5
"""How long the driver waits for the worker before it listens to whether it is to end."""
ENDS_S = 5.0
"""How long Ray Train may take to see that its worker is gone: it looks every half second, and then ends what belongs to it."""
PLACINGS = 5
"""How often Ray Train tries to place the worker, for RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S (60) each; by itself it does so for ever."""

_ONE_AT_A_TIME = threading.Lock()
"""Ray Train's local mode keeps global state: trainings in one process take turns."""


def in_process(job: Job, train: Callable[[], Trained]) -> Trained:
    """Ray Train with `num_workers=0`: with or without a cluster (it starts none)."""
    from ray.train import ScalingConfig
    from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

    with _turn(job), _quiet():
        result: Any = DataParallelTrainer(train, scaling_config=ScalingConfig(num_workers=0)).fit()
    return result.return_value


def apart(job: Job, fit: Callable[[Job], Fitted]) -> Fitted:
    """What `fit` makes of the job in a worker. One that is lost is replaced, TRIES in all, and the new one goes on from the checkpoints.

    Raises what `fit` and `job.alive` raise, and ClusterError where a worker cannot be had, or is lost again. The worker has what the
    step's execution says, else the CPUs that its threads take; it opens no ledger.
    """
    share = _share(job)
    for number in range(1, TRIES + 1):
        # Each writes checkpoints under a name of its own: a worker on a node that was cut off may work on.
        own = replace(job, attempt=f"{job.attempt}w{number}")
        checkpoint.sweep(job.store, job.checkpoints, own.attempt)
        try:
            return _Apart(own, fit, share).fitted()
        except _Lost as lost:
            if number == TRIES:
                raise ClusterError(f"the training: {ENDED}. Its checkpoints are kept: the same command goes on from there") from lost
            job.report(f"the training's worker process ended; another one goes on (try {number + 1} of {TRIES})")
    raise AssertionError


class _Lost(Exception):
    """A process that the training needs has ended before it was done."""


@dataclass(frozen=True)
class _Done:
    """What the worker hands back. Errors are values: Ray would wrap and log what is raised."""

    fitted: Fitted | None
    error: RaypipeError | None
    cost: Cost
    printed: output.Lines
    seconds: float
    """For which the worker's GPUs were held."""


class _Line:
    """An actor between the two: the worker says here who it is, and what it reports."""

    def __init__(self) -> None:
        self.worker: Any = None
        self.texts: list[str] = []

    def begin(self, worker: Any) -> None:
        self.worker = worker

    def say(self, text: str) -> None:
        self.texts.append(text)

    def hear(self, first: int) -> tuple[Any, list[str]]:
        """The worker, once it has begun, and its reports from that number on."""
        return self.worker, self.texts[first:]


class _Apart:
    """One worker's training as the driver sees it."""

    def __init__(self, job: Job, fit: Callable[[Job], Fitted], share: dict[str, float]):
        self.job, self.share, self.environment = job, share, ray_options().get("runtime_env")
        self.line = _actor().remote()
        self.worker: Any = None
        self.num_heard = 0
        self.outcome: _Done | BaseException | None = None
        self.call = _called(job, fit, self.line)
        # Ray Train's own call hears nothing until the training is over.
        self.thread = threading.Thread(target=self._fit, name="ray train", daemon=True)

    def fitted(self) -> Fitted:
        import ray

        self.thread.start()
        try:
            while self.thread.is_alive():
                self.thread.join(HEARS_S)
                self.job.alive()
                self._hear()
            with contextlib.suppress(_Lost):  # what it came to is known by now
                self._hear()
        except BaseException:
            self._end()
            raise
        finally:
            ray.kill(self.line)  # a worker that has not begun yet ends where it calls
        return self._value()

    def _hear(self) -> None:
        import ray
        import ray.exceptions

        try:
            self.worker, texts = ray.get(self.line.hear.remote(self.num_heard), timeout=HEARS_S)
        except ray.exceptions.GetTimeoutError:
            return
        except ray.exceptions.RayError as error:
            raise _Lost from error
        self.num_heard += len(texts)
        for text in texts:
            self.job.report(text)

    def _end(self) -> None:
        import ray

        if self.worker is not None:
            ray.kill(self.worker)
            self.thread.join(ENDS_S)

    def _value(self) -> Fitted:
        outcome = self.outcome
        if isinstance(outcome, BaseException):
            raise _told(outcome, self.share) from outcome
        assert outcome is not None
        meter.add(replace(outcome.cost, gpu_s=outcome.seconds * self.share.get("GPU", 0.0)))
        output.hand_on(outcome.printed, "worker")
        if outcome.error:
            raise outcome.error
        assert outcome.fitted is not None
        return outcome.fitted

    def _fit(self) -> None:
        """Ray Train's run, in the thread. Nothing is kept in its folder: the checkpoints are raypipe's."""
        from ray.train import FailureConfig, RunConfig, ScalingConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        try:
            with tempfile.TemporaryDirectory(prefix="raypipe-train-") as folder, _quiet():
                scaling = ScalingConfig(num_workers=1, resources_per_worker=self.share, use_gpu="GPU" in self.share)
                tries = FailureConfig(max_failures=0, max_preemption_failures=0, controller_failure_limit=PLACINGS - 1)
                run = RunConfig(storage_path=folder, failure_config=tries, worker_runtime_env=self.environment)
                self.outcome = DataParallelTrainer(self.call, scaling_config=scaling, run_config=run).fit().return_value
        except BaseException as error:
            self.outcome = error


def _called(job: Job, fit: Callable[[Job], Fitted], line: Any) -> Callable[[], _Done]:
    """What Ray Train calls in the worker. Of the driver it has the job's settings, and the line."""
    asked = replace(job, report=_Say(line), alive=_ended_from_outside)

    def call() -> _Done:
        import ray

        ray.get(line.begin.remote(ray.get_runtime_context().current_actor))
        done = _done(asked, fit)
        ray.get(line.hear.remote(0))  # whatever was said before has arrived then
        return done

    return call


@dataclass(frozen=True)
class _Say:
    line: Any

    def __call__(self, text: str) -> None:
        self.line.say.remote(text)


def _ended_from_outside() -> None:
    """The driver holds the lease, and ends the worker's process where it lost it."""


def _done(job: Job, fit: Callable[[Job], Fitted]) -> _Done:
    began, printed, fitted, failed = time.monotonic(), output.Lines(), None, None
    with meter.task() as spent, output.heard(printed, alone=True):
        try:
            fitted = fit(job)
        except RaypipeError as error:
            failed, failed.trace = error, trace(error)
        except Exception as error:
            failed = StepFailed(f"the training failed: {traceback.format_exception_only(error)[-1].strip()}")
            failed.transient, failed.trace = is_transient(error), traceback.format_exc()
    return _Done(fitted, failed, spent.cost, printed, time.monotonic() - began)


@lru_cache(maxsize=1)
def _actor() -> Any:
    import ray

    return ray.remote(num_cpus=0)(_Line)


def _share(job: Job) -> dict[str, float]:
    """What the worker has of the cluster, by Ray's names. ClusterError where no node has so much."""
    said = ray_options()
    named = {"CPU": said.get("num_cpus"), "GPU": said.get("num_gpus"), "memory": said.get("memory"), **said.get("resources", {})}
    share = {name: float(amount) for name, amount in named.items() if amount}
    if "num_cpus" not in said:
        share["CPU"] = min(job.num_cpus, most_on_a_node("CPU"))
    num_at_once(share)
    return share


def _told(error: BaseException, share: dict[str, float]) -> BaseException:
    """What ended Ray Train's run, as the step is to hear of it."""
    import ray.exceptions
    from ray.train import ControllerError, WorkerGroupError

    if isinstance(error, (WorkerGroupError, ray.exceptions.RayError)):
        return _Lost()
    if not isinstance(error, ControllerError):
        return error
    if isinstance(error.controller_failure, ray.exceptions.RayActorError):
        return _Lost()  # as it began
    if "StartupTimeout" not in type(error.controller_failure).__name__:
        return ClusterError(f"Ray Train did not start the training's worker: {first_line(error.controller_failure)}")
    asked = ", ".join(f"{amount:g} {name}" for name, amount in share.items())
    return ClusterError(f"no node had {asked} free for the training's worker, in {PLACINGS} tries: others of this cluster hold it")


@contextlib.contextmanager
def _turn(job: Job) -> Iterator[None]:
    while not _ONE_AT_A_TIME.acquire(timeout=1):
        job.alive()
    try:
        yield
    finally:
        _ONE_AT_A_TIME.release()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Ray Train says on every call that it runs in the process, and repeats each report."""
    loggers = [logging.getLogger(name) for name in ("ray.train", "ray.train.v2")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
