"""A multi-layer perceptron in torch: trained by steps, resumed at any of them, exported to ONNX."""

from __future__ import annotations

import io
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.train.checkpoint import Checkpoint
from raypipe.train.feed import Batch, Feed
from raypipe.train.job import Trained, Training
from raypipe.train.model import Mlp

if TYPE_CHECKING:
    import torch

TENSORS = "tensors.safetensors"
SCORED_ROWS = 65_536
"""Rows of the validation part that are scored at a time."""

Tensors = dict[str, "torch.Tensor"]


def train(training: Training) -> Trained:
    """Trains epoch by epoch; resumed in the middle of one, it ends with the same bytes as an uninterrupted run."""
    settings = training.job.model
    assert isinstance(settings, Mlp)
    with _own_state(training.job.seed, settings.num_threads):
        state = _State.begin(training, settings)
        feed = Feed(training.train, settings.batch_rows, training.job.seed)
        while not training.is_over:
            _epoch(training, state, feed)
        state.model.load_state_dict(state.best)
    state.model.eval()
    model = export(state.model, len(training.train.features))
    return Trained("onnx", model, lambda features_BF: _probability(state.model, features_BF), training.history)


def build(num_features: int, settings: Mlp) -> torch.nn.Sequential:
    """Features [rows, features] -> the log-odds of the positive class [rows, 1]."""
    from torch import nn

    layers: list[nn.Module] = []
    width = num_features
    for hidden in settings.hidden:
        layers += [nn.Linear(width, hidden), nn.ReLU(), *([nn.Dropout(settings.dropout)] if settings.dropout else [])]
        width = hidden
    return nn.Sequential(*layers, nn.Linear(width, 1))


def export(model: torch.nn.Module, num_features: int) -> bytes:
    """ONNX: `features` float32 [rows, features] -> `probability` float64 [rows].

    The sigmoid is taken in float64: onnxruntime's float32 one is right to 1e-7 of 1, which is 1e-4 of a probability of 0.001.
    """
    import torch

    class Probability(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.log_odds = model

        def forward(self, features: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.log_odds(features)[:, 0].double())

    file = io.BytesIO()
    rows = {"features": {0: "rows"}, "probability": {0: "rows"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter by tracing is deprecated; the other one needs onnxscript
        torch.onnx.export(
            Probability().eval(),
            (torch.zeros(2, num_features),),
            file,  # type: ignore[arg-type]
            input_names=["features"],
            output_names=["probability"],
            dynamic_axes=rows,
            dynamo=False,
        )
    return file.getvalue()


@dataclass
class _State:
    """What a step changes; `to_checkpoint` and `begin` are each other's inverse."""

    settings: Mlp
    model: torch.nn.Sequential
    optimizer: torch.optim.Optimizer
    best: Tensors
    """The weights of the best epoch so far."""
    step: int = 0
    """Steps of this epoch that are done."""
    loss_sum: float = 0.0
    """Over the rows of these steps."""
    num_rows: int = 0

    @classmethod
    def begin(cls, training: Training, settings: Mlp) -> _State:
        import torch

        model = build(len(training.train.features), settings)
        optimizer = torch.optim.AdamW(model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay)
        state = cls(settings, model, optimizer, _copy(model.state_dict()))
        if training.resumed:
            state._restore(training.resumed)
        return state

    def to_checkpoint(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        from safetensors.torch import save

        tensors = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        tensors |= {f"best.{name}": value for name, value in self.best.items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        # Two names for one tensor cannot be saved.
        return {"step": self.step, "loss_sum": self.loss_sum, "num_rows": self.num_rows}, {TENSORS: save(_copy(tensors))}

    def _restore(self, checkpoint: Checkpoint) -> None:
        from safetensors.torch import load

        tensors = load(checkpoint.files[TENSORS])
        self.model.load_state_dict(_under("model.", tensors))
        self.best = _under("best.", tensors)
        moments: dict[int, Tensors] = {}
        for name, value in _under("optimizer.", tensors).items():
            index, _, what = name.partition(".")
            moments.setdefault(int(index), {})[what] = value
        self.optimizer.load_state_dict({"state": moments, "param_groups": self.optimizer.state_dict()["param_groups"]})
        self.step, self.loss_sum, self.num_rows = (checkpoint.state[k] for k in ("step", "loss_sum", "num_rows"))


def _epoch(training: Training, state: _State, feed: Feed) -> None:
    """The rest of an epoch, its validation and its checkpoint."""
    job, epoch, began = training.job, len(training.history), time.perf_counter()
    batches = feed.batches(epoch, state.step)
    try:
        for batch in batches:
            job.alive()
            _step(state, batch, [job.seed, epoch, state.step])
            if state.step % job.checkpoint_every_steps == 0 and state.step < feed.num_steps:
                training.save(state.step, *state.to_checkpoint())
    finally:
        batches.close()  # type: ignore[attr-defined]
    train_log_loss = state.loss_sum / state.num_rows
    state.step, state.loss_sum, state.num_rows = 0, 0.0, 0
    training.end_epoch(train_log_loss, _probability(state.model, training.validation[0]), time.perf_counter() - began)
    if training.best_epoch == len(training.history):
        state.best = _copy(state.model.state_dict())
    training.save(0, *state.to_checkpoint())


def _step(state: _State, batch: Batch, randomness: list[int]) -> None:
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    if state.settings.dropout:
        # A seed for each step: the position alone fixes what is dropped, and no generator's state need be kept.
        torch.manual_seed(int(np.random.SeedSequence(randomness).generate_state(1)[0]))
    features_BF, label_B = map(torch.from_numpy, batch)
    state.model.train()
    state.optimizer.zero_grad(set_to_none=True)
    loss = binary_cross_entropy_with_logits(state.model(features_BF)[:, 0], label_B)
    loss.backward()
    state.optimizer.step()
    state.step += 1
    state.loss_sum += loss.item() * len(label_B)
    state.num_rows += len(label_B)


def _probability(model: torch.nn.Module, features_BF: Matrix) -> np.ndarray:
    import torch

    model.eval()
    with torch.no_grad():
        pieces = [torch.sigmoid(model(part)[:, 0].double()) for part in torch.from_numpy(features_BF).split(SCORED_ROWS)]
    return torch.cat(pieces).numpy()


@contextmanager
def _own_state(seed: int, num_threads: int) -> Iterator[None]:
    """The seed and the threads for what runs inside; the process has its own again afterwards."""
    import torch

    threads_before = torch.get_num_threads()
    torch.set_num_threads(num_threads)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(threads_before)


def _copy(tensors: Tensors) -> Tensors:
    return {name: value.detach().clone() for name, value in tensors.items()}


def _under(prefix: str, tensors: Tensors) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
