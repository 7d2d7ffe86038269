"""Formats that a model may have, and how each turns a feature matrix into probabilities. Bytes of other formats are refused by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from raypipe.bundle.matrix import Matrix
from raypipe.core.errors import DataError

Scorer = Callable[[Matrix], np.ndarray]
"""float32 [rows, features] -> float64 [rows], the probability of the positive class. Safe to call from several threads."""

MODEL_FILES = {"onnx": "model.onnx", "lightgbm": "model.txt"}
"""Format -> the file that holds the model. The closed list of what a bundle may hold."""

DISTRIBUTIONS = {"onnx": "onnxruntime", "lightgbm": "lightgbm"}
"""Format -> the distribution that computes it."""


def check_format(format_: str) -> None:
    """Raises DataError for a format that this version does not run."""
    if format_ == "code":
        raise DataError("a model of format 'code' is not run by this version of raypipe: export it to ONNX or LightGBM text.")
    if format_ not in MODEL_FILES:
        raise DataError(f"unknown model format '{format_}': this version of raypipe runs {' and '.join(MODEL_FILES)}.")


def open_scorer(format_: str, model: bytes, num_features: int) -> Scorer:
    """The model ready to score; raises DataError where the bytes are no such model or take another number of features."""
    check_format(format_)
    return {"onnx": _onnx, "lightgbm": _lightgbm}[format_](model, num_features)


def _onnx(model: bytes, num_features: int) -> Scorer:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise DataError(f"the model is no ONNX model that onnxruntime can run: {error}") from None
    (features,), outputs = session.get_inputs(), session.get_outputs()
    if [o.name for o in outputs] != ["probability"] or len(outputs[0].shape) != 1:
        raise DataError("the ONNX model must have one output, 'probability', of shape [rows].")
    _check_width(features.shape[-1], num_features)
    name = features.name

    def score(features_BF: Matrix) -> np.ndarray:
        answers: Any = session.run(["probability"], {name: features_BF})
        return answers[0].astype(np.float64, copy=False)

    return score


def _lightgbm(model: bytes, num_features: int) -> Scorer:
    import lightgbm as lgb

    if not model.startswith(b"tree\n"):
        raise DataError("the model is no LightGBM text: it must begin with the line 'tree'.")
    try:
        booster = lgb.Booster(model_str=model.decode())
    except (lgb.basic.LightGBMError, UnicodeDecodeError) as error:
        raise DataError(f"the model is no LightGBM text that can be read: {error}") from None
    _check_width(booster.num_feature(), num_features)

    def score(features_BF: Matrix) -> np.ndarray:
        # One thread: 29 us for a row instead of 92, and a replica or a Ray task has one CPU.
        answers: Any = booster.predict(features_BF, num_threads=1)
        return answers.astype(np.float64, copy=False)

    return score


def _check_width(found: object, num_features: int) -> None:
    if found != num_features:
        raise DataError(f"the model takes {found} features, but its signature names {num_features}.")
