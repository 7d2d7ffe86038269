"""Fitting a model: the parts surveyed, the trainer run by Ray Train, the exported model compared, the threshold chosen."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from raypipe.bundle.bundle import TOLERANCE, farthest
from raypipe.bundle.scorer import open_scorer
from raypipe.core.errors import DataError, StoreError
from raypipe.core.transient import is_transient
from raypipe.data.types import type_name
from raypipe.evaluate.metrics import Scores
from raypipe.train import checkpoint
from raypipe.train.checkpoint import Checkpoint, CheckpointInfo
from raypipe.train.job import Fitted, Job, Trained, Training
from raypipe.train.label import Label, two_classes
from raypipe.train.model import Booster, Mlp, check_features
from raypipe.train.rows import PARTS, Part, Survey, survey
from raypipe.train.run import apart, in_process

COMPARED_ROWS = 10_000
"""Rows of the validation part on which the exported model is compared: all of 60,000 cost a booster a fifteenth of its training."""


def fit(job: Job) -> Fitted:
    """Trains, resuming from the newest checkpoint that verifies, and exports: here, or in a worker apart.

    Raises DataError for a label or features that cannot be trained on, for a part without rows, and where the exported model's
    answers are not the trained one's within TOLERANCE; ClusterError where a worker cannot be had, or is lost; and whatever `job.alive`
    raises.
    """
    if job.num_workers:
        return apart(job, fit_in_worker)
    checkpoint.sweep(job.store, job.checkpoints, job.attempt)
    return _fitted(job, in_process)


def fit_in_worker(job: Job) -> Fitted:
    """The same by who is inside of Ray Train already, and holds no lease."""
    return _fitted(job, lambda _, train: train())


def _fitted(job: Job, run: Callable[[Job, Callable[[], Trained]], Trained]) -> Fitted:
    """`run` is given the training itself."""
    began = time.perf_counter()
    train, validation, label = _parts(job)
    info, resumed = _begun(job)
    training = Training(job, train, validation.load(), resumed)
    trained = run(job, lambda: _trainer(job)(training))
    for note in trained.notes:
        job.report(note)
    probability_B, difference = exported(trained, training.validation[0])
    scores = Scores.partial(training.validation[1], probability_B)
    threshold = best_f1(scores) if job.threshold == "f1" else float(job.threshold)
    return Fitted(
        format=trained.format,
        model=trained.model,
        classes=label.classes,
        positive=label.positive,
        threshold=threshold,
        history=[dict(epoch.__dict__) for epoch in trained.history],
        best_epoch=training.best_epoch or None,
        validation=scores.figures(threshold),
        num_rows={part.name: part.num_rows for part in (train, validation)},
        export_difference=difference,
        seconds=time.perf_counter() - began,
        resumed_from=str(info) if info else None,
        notes=tuple(trained.notes),
    )


def exported(trained: Trained, features_BF: np.ndarray) -> tuple[np.ndarray, float]:
    """The exported model's answers, and how far they lie from the trained one's at most, on COMPARED_ROWS spread over the rows.

    DataError above TOLERANCE.
    """
    probability_B = open_scorer(trained.format, trained.model, features_BF.shape[1])(features_BF)
    every = max(1, len(features_BF) // COMPARED_ROWS)
    difference = farthest(probability_B[::every], trained.probability(np.ascontiguousarray(features_BF[::every])))
    if not difference <= TOLERANCE:
        raise DataError(
            f"the model exported as {trained.format} answers the validation part differently from the trained one: by {difference:.1e} "
            f"(relative; {TOLERANCE:.0e} is allowed). Scale its inputs (raypipe.Standardize): large numbers lose digits in float32."
        )
    return probability_B, difference


def best_f1(scores: Scores) -> float:
    """The threshold with the highest F1, the higher one of equals: half-way between two scores, so that a last bit decides nothing."""
    chosen_positives, chosen_rows = (np.cumsum(counts[::-1])[::-1] for counts in (scores.positives, scores.rows))
    f1 = 2 * chosen_positives / (chosen_rows + scores.positives.sum())
    best = len(f1) - 1 - int(np.argmax(f1[::-1]))
    below = scores.scores[best - 1] if best else 0.0
    return float((below + scores.scores[best]) / 2)


def _begun(job: Job) -> tuple[CheckpointInfo | None, Checkpoint | None]:
    """Where this training goes on, by itself or by one with fewer epochs."""
    if info := checkpoint.latest(job.store, job.checkpoints, job.report):
        job.report(f"resuming from {info}")
        return info, checkpoint.read(job.store, info)
    if job.shorter and (info := checkpoint.of_shorter(job.store, job.shorter, job.epochs)):
        try:
            found = checkpoint.read(job.store, info)
        except StoreError as error:
            if is_transient(error):
                raise
            return None, None  # its own training has replaced it meanwhile
        job.report(f"going on from a training of fewer epochs: {info}")
        return info, found
    return None, None


def _parts(job: Job) -> tuple[Part, Part, Label]:
    schema, features = job.schema, job.schema.features
    if schema.split is None or schema.label is None or not features:
        raise DataError("the table of a training needs a split, a label and features: let it read a Transform of a Split.")
    problems = check_features({name: type_name(schema.arrow.field(name).type) for name in features})
    if problems:
        raise DataError("\n".join(map(str, problems)))
    found = survey(job.store, job.fragments, schema.split, schema.label, () if job.model.takes_missing else features)
    _refuse_missing(job, found)
    label = two_classes(schema.arrow.field(schema.label), found, job.classes)
    train, validation = (
        Part(name, job.store, tuple(found.groups[name]), tuple(features), label.name, label.positive, job.model.takes_missing)
        for name in PARTS
    )
    return train, validation, label


def _refuse_missing(job: Job, found: Survey) -> None:
    for part in PARTS:
        if not found.groups[part]:
            raise DataError(f"the {part} part has no rows: move the split's bounds.")
    if found.missing:
        listed = ", ".join(f"'{name}' ({count:,} rows)" for name, count in found.missing.items())
        raise DataError(f"features without a value: {listed}. {type(job.model).__name__} takes none: fill them in (raypipe.Impute).")


def _trainer(job: Job) -> Callable[[Training], Trained]:
    if isinstance(job.model, Booster):
        from raypipe.train.booster import train
    elif isinstance(job.model, Mlp):
        from raypipe.train.torch_ import train
    else:
        from raypipe.train.sklearn_ import train
    return train
