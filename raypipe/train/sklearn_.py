"""Logistic regression by scikit-learn, exported to ONNX by skl2onnx."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.train.job import Trained, Training
from raypipe.train.model import Logistic


def train(training: Training) -> Trained:
    """Fits at once, in float64, and exports."""
    settings = training.job.model
    assert isinstance(settings, Logistic)
    features_BF, label_B = training.train.load()
    estimator, has_converged = fitted(settings, features_BF, label_B)
    notes = []
    if not has_converged:
        notes = [f"the fit had not converged after {settings.max_iter} steps: add raypipe.Standardize, or raise model.max_iter."]

    def probability(features_BF: Matrix) -> np.ndarray:
        return estimator.predict_proba(features_BF.astype(np.float64))[:, 1]

    return Trained("onnx", export(estimator, features_BF.shape[1]), probability, notes=notes)


def fitted(settings: Logistic, features_BF: Matrix, label_B: np.ndarray) -> tuple[Any, bool]:
    """The estimator, and whether it has converged. In one thread, as the step says that it takes: with more the last bits are others, so
    that they would be on another machine."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    estimator = LogisticRegression(C=settings.C, max_iter=settings.max_iter)
    with warnings.catch_warnings(record=True) as caught, threadpool_limits(1):
        warnings.simplefilter("always", ConvergenceWarning)
        estimator.fit(features_BF.astype(np.float64), label_B)
    return estimator, not any(issubclass(w.category, ConvergenceWarning) for w in caught)


def export(estimator: Any, num_features: int) -> bytes:
    """A fitted logistic regression as ONNX: `features` float32 [rows, features] -> `probability` float64 [rows], the sigmoid in float64."""
    from onnx import TensorProto, helper, numpy_helper
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    inputs: Any = [("features", FloatTensorType([None, num_features]))]
    made: Any = to_onnx(estimator, name="model", initial_types=inputs, options={id(estimator): {"zipmap": False, "raw_scores": True}})
    graph = made.graph
    both = graph.output[1].name
    graph.initializer.append(numpy_helper.from_array(np.array(1, np.int64), "positive"))
    graph.node.append(helper.make_node("Gather", [both, "positive"], ["log_odds"], axis=1))
    graph.node.append(helper.make_node("Cast", ["log_odds"], ["log_odds_64"], to=TensorProto.DOUBLE))
    graph.node.append(helper.make_node("Sigmoid", ["log_odds_64"], ["probability"]))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("probability", TensorProto.DOUBLE, ["rows"]))
    return made.SerializeToString(deterministic=True)
