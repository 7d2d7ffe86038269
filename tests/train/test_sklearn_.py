"""The baseline: it fits at once, says when it has not converged, and exports to ONNX."""

from pathlib import Path

from raypipe.train.fit import fit
from raypipe.train.model import Logistic
from tests.train.sample import job


def test_it_fits_at_once_and_its_export_answers_the_same(tmp_path: Path):
    fitted = fit(job(tmp_path, Logistic()))
    assert fitted.validation["auc"] > 0.8
    assert (fitted.history, fitted.best_epoch, fitted.resumed_from, fitted.notes) == ([], None, None, ())
    assert fitted.export_difference < 1e-5
    assert fitted.model == fit(job(tmp_path, Logistic())).model


def test_a_fit_that_has_not_converged_says_so(tmp_path: Path):
    reports: list[str] = []
    fit(job(tmp_path, Logistic(max_iter=1), report=reports.append))
    assert reports == ["the fit had not converged after 1 steps: add raypipe.Standardize, or raise model.max_iter."]
