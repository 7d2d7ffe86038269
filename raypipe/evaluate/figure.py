"""The names of a binary classifier's figures, importable without NumPy, for `check` and `plan`."""

from __future__ import annotations

HIGHER_IS_BETTER: dict[str, bool] = {
    "rows": True,
    "base_rate": True,
    "auc": True,
    "average_precision": True,
    "log_loss": False,
    "brier": False,
    "expected_calibration_error": False,
    "accuracy": True,
    "precision": True,
    "recall": True,
    "f1": True,
}
"""The figures that are one number each, and which way is up: these are what a gate may bound."""

FIGURES = (*HIGHER_IS_BETTER, "positives", "threshold", "calibration", "reasons", "errors")
"""Everything that `Scores.figures` may hold."""
