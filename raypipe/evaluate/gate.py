"""May this model go on? Its figures against fixed bounds, and against the champion's on the same rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.evaluate.figure import HIGHER_IS_BETTER

SIDES = ("min", "max")


@dataclass(frozen=True)
class Reason:
    """One bound and what was found: `text` is the sentence that a person reads."""

    metric: str
    rule: str
    """`min`, `max` or `max_drop`."""
    figure: float | None
    bound: float
    passed: bool
    text: str
    champion: float | None = None
    """The champion's figure, for `max_drop`."""

    def to_json(self) -> dict[str, Json]:
        return dict(vars(self))


@dataclass(frozen=True)
class Judgement:
    """What the gate says, every bound of it, met or not."""

    passed: bool
    reasons: tuple[Reason, ...]
    note: str = ""
    """What was not compared, and why."""

    def to_json(self) -> dict[str, Json]:
        """`passed`, `reasons` and `note`, as a Verdict's figures."""
        return {"passed": self.passed, "reasons": [reason.to_json() for reason in self.reasons], "note": self.note}

    def text(self) -> str:
        """One line a reason, those that refuse first."""
        ordered = sorted(self.reasons, key=lambda reason: reason.passed)
        lines = [f"{'ok  ' if reason.passed else 'no  '}{reason.text}" for reason in ordered]
        return "\n".join([*lines, *([self.note] if self.note else [])])


def check(where: str, thresholds: Mapping[str, Mapping[str, float]], max_drop: Mapping[str, float]) -> list[Problem]:
    """Everything wrong with a gate's settings, before anything runs; `where` is the config key of the gate."""
    problems = [problem for metric, bounds in thresholds.items() for problem in _check_bounds(f"{where}.thresholds", metric, bounds)]
    for metric, drop in max_drop.items():
        problems += _check_metric(f"{where}.max_drop", metric)
        if not _is_number(drop) or drop < 0:
            problems.append(Problem(f"{where}.max_drop.{metric}", f"{drop!r} is no number of 0 or more"))
    return problems


def judge(
    figures: Mapping[str, Json],
    thresholds: Mapping[str, Mapping[str, float]],
    champion: Mapping[str, Json] | None = None,
    max_drop: Mapping[str, float] | None = None,
) -> Judgement:
    """`figures` and `champion` are those of `Scores.figures` on the same rows; without a champion `max_drop` is not applied, and noted.

    A figure that could not be had meets no bound; where only the champion's could not, the candidate is not worse.
    `max_drop` is how much worse than the champion's a figure may be, whichever way is up.
    """
    drops = dict(max_drop or {})
    reasons = [_against_bound(figures, metric, side, bound) for metric, bounds in thresholds.items() for side, bound in bounds.items()]
    if champion is None:
        note = "There is no champion yet: nothing to compare with." if drops else ""
        return Judgement(all(reason.passed for reason in reasons), tuple(reasons), note)
    _check_same_rows(figures, champion)
    reasons += [_against_champion(figures, champion, metric, drop) for metric, drop in drops.items()]
    return Judgement(all(reason.passed for reason in reasons), tuple(reasons))


def _check_same_rows(figures: Mapping[str, Json], champion: Mapping[str, Json]) -> None:
    ours, theirs = [f"{f.get('rows')} rows, {f.get('positives')} of them positive" for f in (figures, champion)]
    if ours != theirs:
        raise DataError(f"gate: the candidate was scored on {ours}, the champion on {theirs}: they can be compared on the same rows only")


def _check_bounds(where: str, metric: str, bounds: Mapping[str, float]) -> list[Problem]:
    problems = _check_metric(where, metric)
    where = f"{where}.{metric}"
    if not isinstance(bounds, Mapping) or not bounds:
        return [*problems, Problem(where, f"{bounds!r} is no bound; write {{min: 0.6}}, {{max: 0.2}} or both")]
    for side, bound in bounds.items():
        if side not in SIDES:
            problems.append(Problem(f"{where}.{side}", f"a bound is min or max.{nearest(str(side), SIDES)}"))
        elif not _is_number(bound):
            problems.append(Problem(f"{where}.{side}", f"{bound!r} is no number"))
    if not problems and bounds.get("min", float("-inf")) > bounds.get("max", float("inf")):
        problems.append(Problem(where, f"min {bounds['min']} is above max {bounds['max']}: nothing can pass"))
    return problems


def _check_metric(where: str, metric: str) -> list[Problem]:
    return [] if metric in HIGHER_IS_BETTER else [Problem(f"{where}.{metric}", f"no such figure.{nearest(metric, HIGHER_IS_BETTER)}")]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _against_bound(figures: Mapping[str, Json], metric: str, side: str, bound: float) -> Reason:
    figure = figures.get(metric)
    if figure is None:
        return Reason(metric, side, None, bound, False, f"{metric} could not be had: {_why(figures, metric)}")
    passed = figure >= bound if side == "min" else figure <= bound
    words = {("min", True): "reaches", ("min", False): "is below", ("max", True): "is within", ("max", False): "is above"}[side, passed]
    return Reason(metric, side, figure, bound, passed, f"{metric} {_number(figure)} {words} the {side}imum {_number(bound)}")


def _against_champion(figures: Mapping[str, Json], champion: Mapping[str, Json], metric: str, drop: float) -> Reason:
    figure, theirs = figures.get(metric), champion.get(metric)
    if figure is None:
        return Reason(metric, "max_drop", None, drop, False, f"{metric} could not be had: {_why(figures, metric)}", theirs)
    if theirs is None:
        text = f"{metric} is {_number(figure)}; the champion's could not be had: {_why(champion, metric)}"
        return Reason(metric, "max_drop", figure, drop, True, text)
    worse = theirs - figure if HIGHER_IS_BETTER[metric] else figure - theirs
    passed = worse <= drop
    how = f"{_number(worse)} worse than" if worse > 0 else "as good as" if worse == 0 else f"{_number(-worse)} better than"
    text = f"{metric} {_number(figure)} is {how} the champion's {_number(theirs)}; at most {_number(drop)} worse is allowed"
    return Reason(metric, "max_drop", figure, drop, passed, text, theirs)


def _why(figures: Mapping[str, Json], metric: str) -> str:
    return figures.get("reasons", {}).get(metric, "it is not among the figures")


def _number(value: float) -> str:
    """Six digits, so that a figure just beside its bound does not read as equal to it in four."""
    return f"{value:.6g}"
