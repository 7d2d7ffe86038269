"""Gradient-boosted trees by LightGBM."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.train.job import Trained, Training
from raypipe.train.model import Booster

if TYPE_CHECKING:
    import lightgbm as lgb

MODEL = "model.txt"


def train(training: Training) -> Trained:
    """Trains epoch by epoch, or goes on from the model text of a checkpoint: the trees are those of an uninterrupted run, byte for byte."""
    import lightgbm as lgb

    settings = training.job.model
    assert isinstance(settings, Booster)
    sampled = settings.bagging_fraction < 1 or settings.feature_fraction < 1
    features_BF, label_B = training.train.load()
    dataset = lgb.Dataset(features_BF, label_B, params=_parameters(training, 0), free_raw_data=not sampled)
    del features_BF  # LightGBM lets go of it once it has its bins
    held_out = lgb.Dataset(*training.validation, reference=dataset, free_raw_data=not sampled)
    booster = lgb.Booster(model_str=training.resumed.files[MODEL].decode()) if training.resumed else None
    while not training.is_over:
        # LightGBM cannot save its random state: with sampling each epoch starts anew from a seed of its own, as a resumed run does.
        epochs = 1 if sampled else training.job.epochs - len(training.history)
        watch = _Watch(training, settings.rounds_per_epoch, label_B)
        booster = lgb.train(
            _parameters(training, len(training.history)),
            dataset,
            num_boost_round=epochs * settings.rounds_per_epoch,
            valid_sets=[held_out],
            init_model=booster,
            keep_training_booster=True,
            callbacks=[watch],
        )
    assert booster is not None
    return _trained(training, booster, training.best_epoch * settings.rounds_per_epoch)


def _trained(training: Training, booster: lgb.Booster, num_trees: int) -> Trained:
    def probability(features_BF: Matrix) -> np.ndarray:
        answers: Any = booster.predict(features_BF, num_iteration=num_trees)
        return answers

    return Trained("lightgbm", _text(booster, num_trees), probability, training.history)


class _Watch:
    """Called by LightGBM after each tree: ends epochs, writes their checkpoints, and stops early."""

    def __init__(self, training: Training, rounds_per_epoch: int, label_B: np.ndarray):
        self.training, self.rounds_per_epoch, self.label_B = training, rounds_per_epoch, label_B
        self.num_rounds, self.began = 0, time.perf_counter()

    def __call__(self, env: Any) -> None:
        import lightgbm as lgb

        self.training.job.alive()
        self.num_rounds += 1
        if self.num_rounds % self.rounds_per_epoch:
            return
        train_log_loss = _log_loss(self.label_B, _answers(env.model.eval_train))
        seconds, self.began = time.perf_counter() - self.began, time.perf_counter()
        self.training.end_epoch(train_log_loss, _answers(env.model.eval_valid), seconds)
        self.training.save(0, {}, {MODEL: _text(env.model)})
        if self.training.is_over:
            raise lgb.EarlyStopException(env.iteration, [])


def _parameters(training: Training, epoch: int) -> dict[str, Any]:
    settings = training.job.model
    assert isinstance(settings, Booster)
    return {
        "objective": "binary",
        "metric": "none",
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": settings.num_threads,
        "num_leaves": settings.num_leaves,
        "learning_rate": settings.learning_rate,
        "max_depth": settings.max_depth,
        "min_data_in_leaf": settings.min_data_in_leaf,
        "lambda_l1": settings.lambda_l1,
        "lambda_l2": settings.lambda_l2,
        "max_bin": settings.max_bin,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1 if settings.bagging_fraction < 1 else 0,
        "seed": training.job.seed,
        "bagging_seed": training.job.seed * 1_000 + 2 * epoch,
        "feature_fraction_seed": training.job.seed * 1_000 + 2 * epoch + 1,
    }


def _answers(evaluate: Any) -> np.ndarray:
    """The probabilities that LightGBM keeps of a dataset, through its hook for metrics: nothing is predicted again."""
    kept: list[np.ndarray] = []

    def keep(probability_B: np.ndarray, _: Any) -> tuple[str, float, bool]:
        kept.append(np.array(probability_B, np.float64))
        return "kept", 0.0, False

    evaluate(feval=keep)
    return kept[0]


def _log_loss(label_B: np.ndarray, probability_B: np.ndarray) -> float:
    p = np.clip(probability_B, 1e-15, 1 - 1e-15)
    return float(-np.where(label_B > 0, np.log(p), np.log1p(-p)).mean())


def _text(booster: lgb.Booster, num_trees: int | None = None) -> bytes:
    """The model as text, without the list of parameters at its end: threads are in it, and nothing that predicting needs."""
    text = booster.model_to_string(num_iteration=num_trees)
    head, _, rest = text.partition("\nparameters:")
    return (head + rest.partition("end of parameters\n")[2]).encode()
