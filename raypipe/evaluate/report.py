"""The figures of an evaluation as plain text, for a person who must decide whether to trust the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from raypipe.core.artifact import Json

TITLES = {
    "auc": "AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "expected_calibration_error": "expected calibration error",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
COLUMNS = ("rows", "base_rate", "auc", "average_precision", "brier", "log_loss")
"""The figures shown for a slice."""


def report(figures: Mapping[str, Json], *, max_slices: int = 12) -> str:
    """What `Sliced.figures` (or `Scores.figures`) gives, as text; of each sliced column the `max_slices` largest, the others counted."""
    parts = [_whole(figures), _calibration(figures)]
    parts += [_slices(column, values, max_slices) for column, values in figures.get("slices", {}).items()]
    return "\n\n".join(part for part in parts if part)


def _whole(figures: Mapping[str, Json]) -> str:
    rows, reasons = figures["rows"], figures.get("reasons", {})
    lines = [f"{rows:,} rows, {figures['positives']:,} positive: base rate {_number(figures['base_rate'])}"]
    for name, title in TITLES.items():
        value = figures.get(name)
        if value is None and name not in reasons:
            continue
        at = f" at threshold {_number(figures['threshold'])}" if name in ("accuracy", "precision", "recall", "f1") else ""
        lines.append(f"  {title + at:<32} {_number(value)}" + (f"  ({reasons[name]})" if value is None else _error(figures, name)))
    return "\n".join(lines)


def _error(figures: Mapping[str, Json], name: str) -> str:
    error = figures.get("errors", {}).get(name)
    return f"  (within {error:.1g})" if error else ""


def _calibration(figures: Mapping[str, Json]) -> str:
    bins = [row for row in figures.get("calibration", []) if row["rows"]]
    if not bins:
        return ""
    rows = [[f"{b['from']:.1f}-{b['to']:.1f}", f"{b['rows']:,}", _number(b["mean_probability"]), _number(b["positive_rate"])] for b in bins]
    return "Calibration\n" + _table(["probability", "rows", "said", "came"], rows)


def _slices(column: str, values: Mapping[str, Mapping[str, Json]], max_slices: int) -> str:
    shown = sorted(values.items(), key=lambda item: (-item[1]["rows"], item[0]))[:max_slices]
    rows = [[value, *(_cell(name, figures) for name in COLUMNS)] for value, figures in shown]
    left = len(values) - len(shown)
    table = f"By {column}\n" + _table([column, "rows", "base rate", "AUC", "AP", "Brier", "log loss"], rows)
    return table + (f"\n  and {left} smaller" if left > 0 else "")


def _cell(name: str, figures: Mapping[str, Json]) -> str:
    if name == "rows":
        return f"{figures['rows']:,}"
    return _number(figures[name]) if name in figures else "too few"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.4f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their widest cell; the first to the left, figures to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    lines = [[row[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(row[1:], widths[1:], strict=True))] for row in [head, *rows]]
    return "\n".join("  " + "  ".join(line).rstrip() for line in lines)
