"""The model of the flights example by hand: LightGBM in Ray Train's local mode, checkpoints, export, threshold and figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ray.train import ScalingConfig, report
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer
from sklearn import metrics
from steps import Part, feature_names, part_of, prepared, read, sync, write_bytes

EPOCHS, ROUNDS_PER_EPOCH = 5, 20
PARAMETERS = {
    "objective": "binary",
    "metric": "none",
    "verbosity": -1,
    "deterministic": True,
    "force_row_wise": True,
    "num_leaves": 63,
    "learning_rate": 0.05,
    "seed": 0,
}

Numbers = tuple[np.ndarray, np.ndarray]
"""float32 features [rows, features] and labels [rows]."""


def matrix(parts: Sequence[Part], wanted: int, names: list[str]) -> Numbers:
    """Features and labels of one part of the split, float32, a row group at a time."""
    chosen = [part_of(read(part, ["time_hour"])) == wanted for part in parts]
    num_rows = sum(int(mask.sum()) for mask in chosen)
    features_BF, label_B, at = np.empty((num_rows, len(names)), np.float32), np.empty(num_rows, np.float32), 0
    for part, mask in zip(parts, chosen, strict=True):
        if not mask.any():
            continue
        with pq.ParquetFile(part.path, page_checksum_verification=True) as file:
            first = 0
            for number in range(file.num_row_groups):
                rows = file.read_row_group(number, [*names, "late"], use_threads=False)
                rows, first = rows.filter(pa.array(mask[first : first + rows.num_rows])), first + rows.num_rows
                fill(features_BF[at : at + rows.num_rows], rows, names)
                label_B[at : at + rows.num_rows] = rows["late"].to_numpy()
                at += rows.num_rows
    return features_BF, label_B


def fill(features_BF: np.ndarray, rows: pa.Table, names: list[str]) -> None:
    for place, name in enumerate(names):
        features_BF[:, place] = rows[name].to_numpy()


def train(folder: Path, parts: Sequence[Part], fitted: Mapping[str, Any]) -> Path:
    """The bundle's folder: model, transform, sample and what they are."""
    names, made = feature_names(fitted), []

    def fit() -> None:
        made.append(boost(prepared(folder / "checkpoints"), matrix(parts, 0, names), matrix(parts, 1, names)))

    DataParallelTrainer(fit, scaling_config=ScalingConfig(num_workers=0)).fit()
    model, threshold, history = made[0]
    bundle = prepared(folder / "bundle")
    files = {"model.txt": model.encode(), "transform.json": json.dumps(fitted).encode()}
    digests = {name: write_bytes(bundle / name, data) for name, data in files.items()}
    write_bytes(bundle / "bundle.json", json.dumps({"files": digests, "threshold": threshold, "history": history}).encode())
    sync(bundle)
    return bundle


def boost(checkpoints: Path, rows: Numbers, validation: Numbers) -> tuple[str, float, list[Any]]:
    """Five epochs of twenty trees, each validated and kept; the best, compared with itself after export, and its threshold."""
    dataset = lgb.Dataset(*rows, params=PARAMETERS)
    booster = lgb.Booster(PARAMETERS, dataset)
    booster.add_valid(lgb.Dataset(*validation, reference=dataset), "validation")
    history = []
    for epoch in range(1, EPOCHS + 1):
        for _ in range(ROUNDS_PER_EPOCH):
            booster.update()
        ours, theirs = answers(booster.eval_train), answers(booster.eval_valid)
        figures = {"train_log_loss": metrics.log_loss(rows[1], ours), "log_loss": metrics.log_loss(validation[1], theirs)}
        history.append({"epoch": epoch, **figures, "auc": metrics.roc_auc_score(validation[1], theirs)})
        write_bytes(checkpoints / f"{epoch}.txt", booster.model_to_string().encode())
        write_bytes(checkpoints / f"{epoch}.json", json.dumps(history).encode())
        sync(checkpoints)
        report(history[-1])
    best = min(history, key=lambda each: each["log_loss"])["epoch"] * ROUNDS_PER_EPOCH
    text = booster.model_to_string(num_iteration=best)
    exported = np.asarray(lgb.Booster(model_str=text).predict(validation[0]))
    assert np.allclose(exported, np.asarray(booster.predict(validation[0], num_iteration=best)), rtol=1e-5)
    precision, recall, thresholds = metrics.precision_recall_curve(validation[1], exported)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return text, float(thresholds[np.argmax(f1[:-1])]), history


def answers(evaluate: Any) -> np.ndarray:
    kept: list[np.ndarray] = []
    evaluate(feval=lambda probability, _: (kept.append(np.array(probability)), ("kept", 0.0, False))[1])
    return kept[0]


def score(part: Part, model: str, fitted: Mapping[str, Any]) -> pa.Table | None:
    """Label, probability and the columns of the slices, of the test rows."""
    names = feature_names(fitted)
    test = part_of(read(part, ["time_hour"])) == 2
    if not test.any():
        return None
    original = ["carrier", "origin"]
    kept = [name for name in original if name in pq.read_schema(part.path).names]
    rows = read(part, [*names, "late", *kept]).filter(pa.array(test))
    features_BF = np.empty((rows.num_rows, len(names)), np.float32)
    fill(features_BF, rows, names)
    probability = np.asarray(lgb.Booster(model_file=model).predict(features_BF, num_threads=1))
    return pa.table({"late": rows["late"], "probability": probability, **{name: rows[name] for name in kept}})


def evaluate(scores: Sequence[pa.Table], threshold: float) -> dict[str, Any]:
    rows = pa.concat_tables(scores)
    late, probability = rows["late"].to_numpy(), rows["probability"].to_numpy()
    slices = {}
    for name in (name for name in rows.column_names if name not in ("late", "probability")):
        values = rows[name].to_numpy()
        slices[name] = {v: figures_of(late[values == v], probability[values == v], threshold) for v in np.unique(values)}
    bins = np.minimum((probability * 10).astype(int), 9)
    calibration = [[float(probability[bins == b].mean()), float(late[bins == b].mean())] for b in np.unique(bins)]
    return {**figures_of(late, probability, threshold), "calibration": calibration, "slices": slices}


def figures_of(late: np.ndarray, probability: np.ndarray, threshold: float) -> dict[str, Any]:
    if len(late) < 100:
        return {"rows": len(late)}
    said = probability >= threshold
    return {
        "rows": len(late),
        "base_rate": float(late.mean()),
        "auc": metrics.roc_auc_score(late, probability),
        "average_precision": metrics.average_precision_score(late, probability),
        "log_loss": metrics.log_loss(late, probability),
        "brier": metrics.brier_score_loss(late, probability),
        "accuracy": float((said == late).mean()),
        "precision": float(late[said].mean()) if said.any() else None,
        "recall": float(said[late].mean()) if late.any() else None,
    }
