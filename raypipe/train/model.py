"""What can be trained: one dataclass of settings a kind of model, and with it the trainer."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from raypipe.core.errors import Problem
from raypipe.core.step import NO_IDENTITY


@dataclass(frozen=True)
class Booster:
    """Gradient-boosted trees by LightGBM. Takes missing values as they are. The same rows and settings give the same bytes."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("lightgbm", "numpy")
    takes_epochs: ClassVar[bool] = True
    takes_missing: ClassVar[bool] = True

    num_leaves: int = 63
    """Leaves of a tree."""
    learning_rate: float = 0.05
    """Share of each tree's answer that is added."""
    rounds_per_epoch: int = 20
    """Trees of an epoch: after each epoch it is validated and a checkpoint is written."""
    max_depth: int = -1
    """Depth of a tree at most; -1: as deep as its leaves allow."""
    min_data_in_leaf: int = 20
    """Rows that a leaf must have."""
    lambda_l1: float = 0.0
    """L1 penalty on leaf values."""
    lambda_l2: float = 0.0
    """L2 penalty on leaf values."""
    max_bin: int = 255
    """Bins of a feature."""
    feature_fraction: float = 1.0
    """Share of the features that each tree may use. Below 1 each epoch computes the scores of all trees so far anew."""
    bagging_fraction: float = 1.0
    """Share of the rows that each tree sees; the same holds."""
    num_threads: int = field(default=0, metadata=NO_IDENTITY)
    """Threads of the training; 0: one a core. The trees are the same with any number."""

    def problems(self) -> list[Problem]:
        return [
            *_below(self.num_leaves, 2, "num_leaves"),
            *_below(self.rounds_per_epoch, 1, "rounds_per_epoch"),
            *_below(self.max_bin, 2, "max_bin"),
            *_not_positive({"learning_rate": self.learning_rate}),
            *_no_share({"feature_fraction": self.feature_fraction, "bagging_fraction": self.bagging_fraction}),
        ]


@dataclass(frozen=True)
class Mlp:
    """A multi-layer perceptron in torch: linear layers with ReLU between them, AdamW, log-loss. Scale its inputs (raypipe.Standardize)."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("torch", "onnx", "numpy")
    takes_epochs: ClassVar[bool] = True
    takes_missing: ClassVar[bool] = False

    hidden: list[int] = field(default_factory=lambda: [64, 64])
    """Width of each hidden layer; empty: a logistic regression."""
    learning_rate: float = 1e-3
    """AdamW's step size."""
    weight_decay: float = 1e-2
    """AdamW's decoupled decay."""
    dropout: float = 0.0
    """Share of each hidden layer that is dropped in a training step."""
    batch_rows: int = 1024
    """Rows of a step."""
    num_threads: int = 1
    """Threads of a step: more pay from some 100,000 weights on. Part of what is trained, since they change the last bits."""

    def problems(self) -> list[Problem]:
        widths = [p for i, width in enumerate(self.hidden) for p in _below(width, 1, f"hidden[{i}]")]
        outside = [] if 0 <= self.dropout < 1 else [Problem("dropout", f"{self.dropout} must be at least 0 and below 1.")]
        sizes = [*_below(self.batch_rows, 1, "batch_rows"), *_below(self.num_threads, 1, "num_threads")]
        rate = _not_positive({"learning_rate": self.learning_rate})
        return [*_not_installed("torch", "Mlp", "raypipe[torch]"), *widths, *rate, *outside, *sizes]


@dataclass(frozen=True)
class Logistic:
    """Logistic regression by scikit-learn, the baseline. It fits at once: there are no epochs. Scale its inputs (raypipe.Standardize)."""

    revision: ClassVar[int] = 2
    distributions: ClassVar[tuple[str, ...]] = ("scikit-learn", "skl2onnx", "onnx", "numpy")
    takes_epochs: ClassVar[bool] = False
    takes_missing: ClassVar[bool] = False

    C: float = 1.0
    """Inverse of the strength of the L2 penalty."""
    max_iter: int = 200
    """Steps of the solver at most; a fit that has not converged by then says so."""

    def problems(self) -> list[Problem]:
        return [*_not_positive({"C": self.C}), *_below(self.max_iter, 1, "max_iter")]


ModelSettings = Booster | Mlp | Logistic


def check_features(types: Mapping[str, str], where: str = "") -> list[Problem]:
    """A problem for each feature that is no number, from Arrow's names of the types; a type that is not known yet is left out."""
    advice = "encode it (raypipe.OneHot, raypipe.Ordinal) or leave it out (raypipe.Select, raypipe.Drop)."
    return [
        Problem(where, f"feature '{name}' is {type_}, a model takes numbers: {advice}")
        for name, type_ in types.items()
        if not _is_number(type_)
    ]


def _is_number(type_: str) -> bool:
    return type_ == "bool" or type_.startswith(("int", "uint", "float", "double", "halffloat"))


def _not_installed(module: str, model: str, extra: str) -> Iterable[Problem]:
    if importlib.util.find_spec(module):
        return []
    return [Problem("", f"{model} needs {module}, which is not installed: pip install '{extra}'.")]


def _below(value: int, least: int, name: str) -> Iterable[Problem]:
    return [] if value >= least else [Problem(name, f"{value} is too small: at least {least}.")]


def _not_positive(values: Mapping[str, float]) -> Iterable[Problem]:
    return [Problem(name, f"{value} must be above 0.") for name, value in values.items() if not value > 0]


def _no_share(values: Mapping[str, float]) -> Iterable[Problem]:
    return [Problem(name, f"{value} must be above 0 and at most 1.") for name, value in values.items() if not 0 < value <= 1]
