"""The picture of a sweep: its figure over each key that was swept, in one file that needs no network."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

from raypipe.core.errors import ConfigError, DataError, Problem
from raypipe.loop.sweep import SweepResult
from raypipe.loop.trial import Trial

WIDTH, HEIGHT = 460, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 30, 46
NUM_TICKS = 5
LONGEST = 14
SIDE_BY_SIDE = 8
"""So many values have each a place of its own."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2430; --dim: #6b7280; --line: #e5e7eb; --page: #fff }
:root { --dot: #2f6fde; --best: #d9480f; --bad: #b91c1c }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ee; --dim: #9aa3b2; --line: #313744; --dot: #7aa7ff; --best: #ff9f5a; --bad: #ff7b7b; --page: #14171e }
}
body { font: 14px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--page) }
body { margin: 2rem auto; max-width: 1000px; padding: 0 1rem }
h1 { font-size: 1.3rem; margin: 0 } p { color: var(--dim); margin: .2rem 0 1rem }
.plots { display: flex; flex-wrap: wrap; gap: 1rem } .plots svg { flex: 0 1 460px; max-width: 100%; height: auto }
svg text { font: 11px system-ui, sans-serif; fill: var(--dim) } svg .title { font-size: 13px; fill: var(--ink); font-weight: 600 }
.grid { stroke: var(--line) } .dot { fill: var(--dot); fill-opacity: .75 } .stopped { fill: none; stroke: var(--dot); stroke-width: 1.5 }
.best { fill: var(--best) } .bad { stroke: var(--bad); stroke-width: 1.5 }
.scroll { overflow-x: auto } table { border-collapse: collapse; margin-top: 1.5rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); white-space: nowrap }
th { color: var(--dim); font-weight: 600 } td.word, th.word { text-align: left } tr.best td { color: var(--best); font-weight: 600 }
"""


def require(path: Path) -> None:
    """ConfigError where no plot could be written there: before the first point is run, and not after the last."""
    if path.suffix not in (".html", ".svg"):
        raise ConfigError([Problem("--plot", f"found {path}: a plot is a page (.html) or a picture (.svg).")])
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ConfigError([Problem("--plot", f"{path} cannot be written: expected the name of a file in a folder that is there.")])


def write(path: Path, result: SweepResult) -> None:
    """An HTML page, or one picture where the file is an SVG."""
    try:
        path.write_text(_page(result) if path.suffix == ".html" else _alone(result), encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}") from None


def _page(result: SweepResult) -> str:
    best = f"best: {result.best.point}" if result.best else "no point has the figure"
    counts = f"{len(result.trials)} points, compared by {result.by} ({result.direction}); {best}"
    states = {trial.state for trial in result.trials}
    counts += "; hollow: stopped early" if "STOPPED" in states else ""
    counts += "; \N{MULTIPLICATION X}: failed" if "FAILED" in states else ""
    plots = "\n".join(_panel(result, key) for key in _keys(result))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Sweep {result.id}</title>
<style>{STYLE}</style></head><body>
<h1>Sweep {result.id}</h1><p>{html.escape(counts)}</p>
<div class="plots">
{plots}
</div>
{_table(result)}
</body></html>
"""


def _alone(result: SweepResult) -> str:
    """The panels below each other."""
    keys = _keys(result)
    inner = "".join(f'<g transform="translate(0 {HEIGHT * i})">{_panel(result, key)}</g>' for i, key in enumerate(keys))
    size = f'width="{WIDTH}" height="{HEIGHT * len(keys)}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} style="background: var(--page)"><style>{STYLE}</style>{inner}</svg>\n'


def _keys(result: SweepResult) -> list[str]:
    """Those that take more than one value."""
    keys = result.trials[0].point.changes if result.trials else ()
    return [key for key in keys if len({t.point.changes[key] for t in result.trials}) > 1] or list(keys)


def _panel(result: SweepResult, key: str) -> str:
    across = _Across([t.point.changes[key] for t in sorted(result.trials, key=lambda t: t.point.number)])
    up = _Up([v for t in result.trials if (v := _figure(t, result)) is not None])
    marks = [_mark(t, result, across.place(t.point.changes[key]), up) for t in reversed(result.trials)]
    title = html.escape(f"{result.by} over {key}")
    lines = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{up.place(tick):.1f}" y2="{up.place(tick):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{up.place(tick) + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
        for tick in up.ticks
    ]
    words = [
        f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 22}" text-anchor="middle">{html.escape(_short(text))}</text>' for x, text in across.ticks
    ]
    heading = f'<text class="title" x="{LEFT}" y="16">{title}</text>'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg {size} role="img">{heading}{"".join([*lines, *words, *marks])}</svg>'


def _mark(trial: Trial, result: SweepResult, x: float, up: _Up) -> str:
    """A dot; hollow where others were better before it was done; a cross at the bottom where there is no figure."""
    figure = _figure(trial, result)
    told = f"{trial.point.number}: {trial.point}" + (f" ({trial.epochs} epochs)" if trial.epochs else "")
    title = f"<title>{html.escape(f'{told}: {trial.state if figure is None else _number(figure)}')}</title>"
    if figure is None:
        y = HEIGHT - BOTTOM
        return f'<path class="bad" d="M{x - 4:.1f} {y - 4}l8 8m0 -8l-8 8">{title}</path>'
    kind = "best" if trial is result.best else "stopped" if trial.state == "STOPPED" else "dot"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{up.place(figure):.1f}" r="{6 if kind == "best" else 4.5}">{title}</circle>'


class _Across:
    """Values from left to right: side by side where they are few or no numbers, else in proportion, or in that of their logarithms."""

    def __init__(self, values: Sequence[str]):
        self.values = list(dict.fromkeys(values))
        numbers = [_as_number(value) for value in self.values]
        if None not in numbers:
            self.values.sort(key=float)
        self.numbers = [n for n in numbers if n is not None] if None not in numbers and len(numbers) > SIDE_BY_SIDE else []
        self.is_log = bool(self.numbers) and min(self.numbers) > 0 and max(self.numbers) / min(self.numbers) >= 20

    def place(self, value: str) -> float:
        if not self.numbers:
            return LEFT + (WIDTH - LEFT - RIGHT) * (self.values.index(value) + 0.5) / len(self.values)
        low, high = self._scaled(min(self.numbers)), self._scaled(max(self.numbers))
        return LEFT + 16 + (WIDTH - LEFT - RIGHT - 32) * (self._scaled(float(value)) - low) / (high - low)

    @property
    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers, or as many of the values as there is room for."""
        found: list[tuple[float, str]] = []
        for value in map(_number, self._round()) if self.numbers else self.values:
            room = 7 * len(_short(value)) + 10
            if not found or self.place(value) - found[-1][0] >= room:
                found.append((self.place(value), value))
        return found

    def _round(self) -> list[float]:
        low, high = min(self.numbers), max(self.numbers)
        if self.is_log:
            powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
            steps = [n * 10.0**power for power in powers for n in ((1, 2, 5) if len(powers) < 4 else (1,))]
        else:
            steps = _Up([low, high]).ticks
        return [step for step in steps if low <= step <= high]

    def _scaled(self, value: float) -> float:
        return math.log(value) if self.is_log else value


class _Up:
    """The figure from the bottom to the top, with round numbers beside it."""

    def __init__(self, values: Sequence[float]):
        low, high = (min(values), max(values)) if values else (0.0, 1.0)
        spread = (high - low) or abs(high) or 1.0
        rough = spread / (NUM_TICKS - 1)
        size = 10 ** math.floor(math.log10(rough))
        self.step = next(size * n for n in (1, 2, 5, 10) if size * n >= rough)
        self.low, self.high = math.floor(low / self.step) * self.step, math.ceil(high / self.step) * self.step
        if self.low == self.high:
            self.low, self.high = self.low - self.step, self.high + self.step

    @property
    def ticks(self) -> list[float]:
        return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]

    def place(self, value: float) -> float:
        return HEIGHT - BOTTOM - 8 - (HEIGHT - TOP - BOTTOM - 16) * (value - self.low) / (self.high - self.low)


def _table(result: SweepResult) -> str:
    keys, names = list(result.trials[0].point.changes), list(dict.fromkeys(n for t in result.trials for n in t.figures)) or [result.by]
    with_epochs = ["epochs"] if any(t.epochs for t in result.trials) else []
    head = "".join(
        f'<th class="{"word" if h in keys or h == "state" else ""}">{html.escape(h)}</th>' for h in _heads(keys, with_epochs, names)
    )
    rows = "\n".join(_row(result, trial, keys, with_epochs, names) for trial in result.trials)
    return f'<div class="scroll"><table><tr>{head}</tr>\n{rows}\n</table></div>'


def _heads(keys: list[str], with_epochs: list[str], names: list[str]) -> list[str]:
    return ["point", *keys, *with_epochs, *names, "state", "seconds"]


def _row(result: SweepResult, trial: Trial, keys: list[str], with_epochs: list[str], names: list[str]) -> str:
    words = [f'<td class="word">{html.escape(trial.point.changes[key])}</td>' for key in keys]
    figures = ["" if (v := trial.figures.get(name)) is None else _number(v) for name in names]
    numbers = [f"<td>{text}</td>" for text in [*([str(trial.epochs or "")] if with_epochs else []), *figures]]
    state = f'<td class="word" title="{html.escape(trial.error, quote=True)}">{trial.state}</td><td>{trial.seconds:.1f}</td>'
    return f"<tr{' class=best' if trial is result.best else ''}><td>{trial.point.number}</td>{''.join([*words, *numbers])}{state}</tr>"


def _figure(trial: Trial, result: SweepResult) -> float | None:
    value = trial.figures.get(result.by)
    return value if value is not None and math.isfinite(value) else None


def _as_number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _number(value: float) -> str:
    return f"{value:.5g}"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"
