"""A training: what is asked for, what a trainer works with while it runs, and what it has learnt at the end."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.core.artifact import Json
from raypipe.evaluate.metrics import Scores
from raypipe.train import checkpoint
from raypipe.train.checkpoint import Checkpoint
from raypipe.train.model import ModelSettings
from raypipe.train.rows import Part

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.table import TableSchema


@dataclass(frozen=True)
class Job:
    """What is asked for."""

    store: Store
    fragments: Sequence[Fragment]
    """Of the transformed table, in order."""
    schema: TableSchema
    """With `features`, `label` and `split`."""
    model: ModelSettings
    checkpoints: str
    """A folder, relative to the store's root, that is the same for every attempt at this training."""
    attempt: str = "000001-0"
    """`TOKEN-ID`: its checkpoints are named after it, so that an older attempt, should it still be at work, touches none of them."""
    shorter: str = ""
    """The folder of such folders, of trainings that differ in their epochs alone: one with more goes on from one with fewer."""
    epochs: int = 5
    """Passes over the training part; a model that fits at once takes none."""
    seed: int = 0
    """Of weights, order, dropout and sampling."""
    early_stopping: int | None = None
    """Epochs without a better log-loss on the validation part after which training ends; None: never. The best epoch is taken anyway."""
    threshold: Literal["f1"] | float = "f1"
    """From which probability on a row is of the positive class; `f1`: the one with the highest F1 on the validation part."""
    classes: tuple[str, str] | None = None
    """Names of the negative and the positive class; None: the label's two values."""
    checkpoint_every_steps: int = 500
    """Checkpoints within an epoch, of models that train by steps; there is one after each epoch in any case."""
    num_workers: int = 0
    """Of Ray Train's; 0: in this process."""
    num_cpus: float = 1
    """That its threads take: what a worker has of the cluster, where nothing else is said."""
    report: Callable[[str], None] = lambda text: None
    alive: Callable[[], None] = lambda: None
    """Called between steps; what it raises ends the training at once."""


@dataclass(frozen=True)
class Epoch:
    """How one epoch ended."""

    epoch: int
    """From 1 on."""
    train_log_loss: float
    log_loss: float
    """On the validation part."""
    auc: float | None
    """On the validation part; None where it has one class only."""
    seconds: float

    def __str__(self) -> str:
        auc = "" if self.auc is None else f", AUC {self.auc:.4f}"
        return f"epoch {self.epoch}: log-loss {self.train_log_loss:.4f}, validation {self.log_loss:.4f}{auc}"


@dataclass(frozen=True)
class Trained:
    """A trainer's result: the model in its bundle's format, and its own answers to compare the exported ones with."""

    format: Literal["onnx", "lightgbm"]
    model: bytes
    probability: Callable[[Matrix], np.ndarray]
    """The answers of the model before it was exported."""
    history: list[Epoch] = field(default_factory=list)
    notes: Sequence[str] = ()
    """What a person should know, one line each."""


@dataclass
class Training:
    """A job while it runs: its parts, what it resumes from, and the epochs so far."""

    job: Job
    train: Part
    validation: tuple[Matrix, np.ndarray]
    """Features [rows, features] and labels [rows] of the validation part."""
    resumed: Checkpoint | None = None
    history: list[Epoch] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.resumed:
            self.history = [Epoch(**e) for e in self.resumed.state["history"]]

    @property
    def best_epoch(self) -> int:
        """The epoch with the lowest log-loss on the validation part, from 1 on; 0 before the first."""
        return min(self.history, key=lambda e: (e.log_loss, e.epoch)).epoch if self.history else 0

    @property
    def is_over(self) -> bool:
        """Whether the epochs are done, or early stopping says so."""
        done, patience = len(self.history), self.job.early_stopping
        return done >= self.job.epochs or (patience is not None and done - self.best_epoch >= patience)

    def end_epoch(self, train_log_loss: float, probability_B: np.ndarray, seconds: float) -> None:
        """Notes and reports an epoch by its answers to the validation part."""
        scores = Scores.partial(self.validation[1], probability_B).figures()
        epoch = Epoch(len(self.history) + 1, train_log_loss, scores["log_loss"], scores["auc"], round(seconds, 3))
        self.history.append(epoch)
        self.job.report(str(epoch))

    def save(self, step: int, state: Json, files: Mapping[str, bytes]) -> None:
        """Writes a checkpoint: all epochs of the history are done, and `step` steps of the next."""
        state = {**state, "history": [e.__dict__ for e in self.history]}
        made = Checkpoint(len(self.history), step, self.job.epochs, state, files)
        checkpoint.write(self.job.store, self.job.checkpoints, self.job.attempt, made)


@dataclass(frozen=True)
class Fitted:
    """What a training made: the model, and what the bundle and the artifact say of it."""

    format: Literal["onnx", "lightgbm"]
    model: bytes
    classes: tuple[str, str]
    """Names of the negative and the positive class."""
    positive: str
    """The label's value of the positive class, as Arrow casts it to a string."""
    threshold: float
    history: list[dict[str, Json]]
    """Of each epoch: `epoch`, `train_log_loss`, `log_loss`, `auc`, `seconds`; empty for a model that fits at once."""
    best_epoch: int | None
    validation: dict[str, Json]
    """The figures of the validation part (`evaluate.metrics`), at the threshold."""
    num_rows: dict[str, int]
    """Of the parts `train` and `validation`."""
    export_difference: float
    """The largest relative difference of the exported model's answers on the rows of the validation part that were compared."""
    seconds: float
    resumed_from: str | None
    """`epoch 3 of 5, step 120`; None where it began at the beginning."""
    notes: tuple[str, ...] = ()
