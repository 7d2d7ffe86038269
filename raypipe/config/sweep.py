"""A sweep as it is written, in Hydra's own grammar: which overrides take several values, and the points that follow."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from itertools import islice, product
from pathlib import Path
from typing import Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, ValueType
from hydra.errors import HydraException

from raypipe.config.files import opened, require
from raypipe.core.errors import ConfigError, Problem, nearest

MOST = 1000
"""Points of a sweep: each is composed and planned before the first one runs, which takes some 50 ms a point."""


@dataclass(frozen=True)
class Sweep:
    """How a sweep's points are drawn, run and compared: the key `sweep` of a config. A plain run takes no notice of it."""

    by: str = "train.validation.auc"
    """The figure that the points are compared by: a step, and a figure of what it made."""
    direction: Literal["max", "min"] | None = None
    """Which way is better; null: as the figure's name says (a loss or an error is to be small)."""
    figures: list[str] = field(default_factory=list)
    """Further figures to show, written alike. A point runs no more steps than its figures are made from."""
    over: dict[str, Any] = field(default_factory=dict)
    """Keys and their values as on the command line, e.g. `{train.epochs: "1,2,5"}`; a list of values does as well."""
    trials: int | None = None
    """Draw so many points at random; null: every combination. An interval has no end of values and needs it."""
    seed: int = 0
    """Of that draw."""
    scheduler: Literal["all", "halving"] = "all"
    """`halving`: every point trains for a few epochs, and only the better ones go on, from their checkpoints, with more."""
    reduction: int = 3
    """With `halving`: one point in so many goes on, and has so many times the epochs."""
    num_parallel: int = 1
    """Points at work at once. Trainings in the driver's process take turns in any case."""
    stop_on_failure: bool = False
    """End with the first point that fails; otherwise the others go on."""


@dataclass(frozen=True)
class Axis:
    """A key that takes several values."""

    key: str
    """As it stands before the `=`, with its `+` where it has one."""
    values: tuple[str, ...]
    """As overrides write them; empty of an interval."""
    draw: Callable[[random.Random], str]


def points(overrides: Sequence[str], sweep: Sweep, config: tuple[Path, str]) -> list[dict[str, str]]:
    """The points, each as what it gives to the keys that are swept; `config` is its folder and name, for `glob(...)`.

    Raises ConfigError with everything that is wrong with them.
    """
    axes, problems = _axes(overrides, sweep, config)
    if not problems and not axes:
        problems = [Problem("", "nothing is swept: give a key several values, as in train.epochs=1,2,5 or model=booster,mlp.")]
    if sweep.trials is not None and sweep.trials < 1:
        problems += [Problem("sweep.trials", f"found {sweep.trials}, expected at least 1.")]
    elif sweep.trials is None:
        endless = [axis.key for axis in axes if not axis.values]
        problems += [Problem(key, "an interval has no end of values: say how many points to draw, with --trials N.") for key in endless]
    num = min(math.prod(len(axis.values) or MOST + 1 for axis in axes), sweep.trials or MOST + 1)
    if not problems and num > MOST:
        problems = [Problem("", f"more than {MOST:,} points: draw some of them at random, with --trials N.")]
    if problems:
        raise ConfigError(problems)
    return _drawn(axes, num, sweep.seed) if sweep.trials is not None else _grid(axes)


def first(overrides: Sequence[str], config: tuple[Path, str]) -> list[str]:
    """The overrides with one value of each: what a config says of its sweep is read with them."""
    axes, problems = _axes(overrides, Sweep(), config)
    if problems:
        raise ConfigError(problems)
    return at(overrides, {axis.key: axis.values[0] if axis.values else axis.draw(random.Random(0)) for axis in axes})


def at(overrides: Sequence[str], point: Mapping[str, str]) -> list[str]:
    """The overrides of one point: what is swept has its value, in the place where it stood."""
    told = {_key(text) for text in overrides}
    before = [f"{key}={value}" for key, value in point.items() if key not in told]
    return before + [f"{key}={point[key]}" if (key := _key(text)) in point else text for text in overrides]


def _axes(overrides: Sequence[str], sweep: Sweep, config: tuple[Path, str]) -> tuple[list[Axis], list[Problem]]:
    """What cannot be read is left to who composes."""
    told = {_key(text) for text in overrides}
    over = [f"{key}={_text(value)}" for key, value in sweep.over.items() if key not in told]
    axes, problems = [], []
    for text in [*over, *overrides]:
        override = _parsed(text)
        if override is None and text in over:
            problems.append(Problem(f"sweep.over.{_key(text)}", f"cannot be read: {text.partition('=')[2]}"))
        if override is None or not override.is_sweep_override():
            if text in over and override is not None:
                axes.append(Axis(_key(text), (text.partition("=")[2],), lambda _: ""))
            continue
        try:
            axes.append(_axis(override, config))
        except (ValueError, HydraException) as error:
            problems += error.problems if isinstance(error, ConfigError) else [Problem(_key(text), f"{error}.")]
    return [replace(axis, draw=_choosing(axis.values)) if axis.values else axis for axis in axes], problems


def _axis(override: Override, config: tuple[Path, str]) -> Axis:
    value, key = override.value(), override.get_key_element()
    if isinstance(value, IntervalSweep):
        return _interval(key, value)
    if override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        values = _options(override, config)
    else:
        values = tuple(dict.fromkeys(islice(replace(override, _value=_exact(value)).sweep_string_iterator(), MOST + 1)))
    if not values:
        raise ConfigError([Problem(override.key_or_group, f"'{override.input_line}' holds no value.")])
    return Axis(key, values, lambda _: "")


def _exact(value: Any) -> Any:
    """In the order written, since it is the draw that is random; and 0.1, 0.2, 0.3 as decimals, where Hydra would add floats."""
    if isinstance(value, RangeSweep) and not isinstance(value.start, int):
        value = replace(value, **{name: Decimal(str(getattr(value, name))) for name in ("start", "stop", "step")})
    return replace(value, shuffle=False)


def _options(override: Override, config: tuple[Path, str]) -> tuple[str, ...]:
    """`model=glob(*)`: the options of a group."""
    require(*config)
    with opened(*config, []) as options:
        found = options.of(override.key_or_group)
        if not found:
            raise ConfigError(
                [Problem(override.key_or_group, f"is no group of options.{nearest(override.key_or_group, options.groups())}")]
            )
    pattern: Any = override._value
    return tuple(pattern.filter(found))


def _interval(key: str, interval: IntervalSweep) -> Axis:
    low, high = interval.start, interval.end
    is_log = "log" in interval.tags
    if low is None or high is None or not low < high or (is_log and low <= 0):
        wanted = "two numbers above 0, the smaller one first" if is_log else "two numbers, the smaller one first"
        raise ConfigError([Problem(key, f"found an interval from {low} to {high}, expected {wanted}.")])

    def draw(dice: random.Random) -> str:
        if isinstance(low, int) and isinstance(high, int):
            return str(round(math.exp(dice.uniform(math.log(low), math.log(high)))) if is_log else dice.randint(low, high))
        drawn = math.exp(dice.uniform(math.log(low), math.log(high))) if is_log else dice.uniform(low, high)
        return f"{drawn:.6g}"

    return Axis(key, (), draw)


def _choosing(values: Sequence[str]) -> Callable[[random.Random], str]:
    return lambda dice: dice.choice(values)


def _grid(axes: Sequence[Axis]) -> list[dict[str, str]]:
    """The last key changes fastest."""
    return [dict(zip((a.key for a in axes), values, strict=True)) for values in product(*(a.values for a in axes))]


def _drawn(axes: Sequence[Axis], num: int, seed: int) -> list[dict[str, str]]:
    """No point twice; fewer where there are no more."""
    dice = random.Random(seed)
    if all(axis.values for axis in axes):
        sizes = [len(axis.values) for axis in axes]
        return [_numbered(axes, number) for number in sorted(dice.sample(range(math.prod(sizes)), num))]
    found = islice(_draws(axes, dice), 20 * num)
    return [dict(point) for point in islice(dict.fromkeys(tuple(point.items()) for point in found), num)]


def _draws(axes: Sequence[Axis], dice: random.Random) -> Iterator[dict[str, str]]:
    while True:
        yield {axis.key: axis.draw(dice) for axis in axes}


def _numbered(axes: Sequence[Axis], number: int) -> dict[str, str]:
    """That point of the grid."""
    values = {}
    for axis in reversed(axes):
        number, place = divmod(number, len(axis.values))
        values[axis.key] = axis.values[place]
    return {axis.key: values[axis.key] for axis in axes}


def _parsed(text: str) -> Override | None:
    try:
        return OverridesParser.create().parse_override(text)
    except HydraException:
        return None


def _key(text: str) -> str:
    return text.partition("=")[0]


def _text(value: Any) -> str:
    """A value of `over` as the command line would have it."""
    if isinstance(value, list):
        return ",".join(map(_text, value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{k}:{_text(v)}" for k, v in value.items()) + "}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
