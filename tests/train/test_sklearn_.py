"""The baseline: it fits at once, says when it has not converged, and exports to ONNX."""

from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from raypipe.train.fit import fit
from raypipe.train.model import Logistic
from raypipe.train.sklearn_ import fitted
from tests.train.sample import job


def test_it_fits_at_once_and_its_export_answers_the_same(tmp_path: Path):
    made = fit(job(tmp_path, Logistic()))
    assert made.validation["auc"] > 0.8
    assert (made.history, made.best_epoch, made.resumed_from, made.notes) == ([], None, None, ())
    assert made.export_difference < 1e-5
    assert made.model == fit(job(tmp_path, Logistic())).model


def test_a_fit_that_has_not_converged_says_so(tmp_path: Path):
    reports: list[str] = []
    fit(job(tmp_path, Logistic(max_iter=1), report=reports.append))
    assert reports == ["the fit had not converged after 1 steps: add raypipe.Standardize, or raise model.max_iter."]


def test_the_threads_that_the_machine_has_change_no_bit():
    rng = np.random.default_rng(7)
    features_BF = rng.normal(size=(200_000, 20)).astype(np.float32)
    label_B = (features_BF[:, 0] + rng.normal(size=200_000) > 0).astype(np.float32)
    coefficients = []
    for num_threads in (1, 2):
        with threadpool_limits(num_threads):
            coefficients.append(fitted(Logistic(), features_BF, label_B)[0].coef_.tobytes())
    assert coefficients[0] == coefficients[1]
