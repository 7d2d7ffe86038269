"""What a benchmark claims: one line each, measured in this run, and exit status 1 if one falls short."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Claim:
    """`measured` against `bound`, both in `unit`; at most the bound, unless `at_least`."""

    name: str
    measured: float
    bound: float
    unit: str = "x"
    at_least: bool = False
    detail: str = ""
    """The figures that `measured` was made from."""

    @property
    def holds(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound

    def __str__(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "holds" if self.holds else "falls short"
        measured, bound = (f"{number} {self.unit}".strip() for number in (f"{self.measured:.3g}", f"{self.bound:g}"))
        line = f"{self.name}: {measured}, bound {sign} {bound}, {verdict}"
        return f"{line} ({self.detail})" if self.detail else line


def main(measure: Callable[[bool], Iterable[Claim]], arguments: list[str] | None = None) -> int:
    """Runs `measure(quick)`, prints a line for each claim as it is made, and returns the exit status."""
    parser = argparse.ArgumentParser(description=sys.modules[measure.__module__].__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, less data: to see that it runs, not to judge by")
    parser.add_argument("--json", action="store_true", help="a JSON object a line instead of text")
    asked = parser.parse_args(arguments)
    held = True
    for claim in measure(asked.quick):
        held = held and claim.holds
        print(json.dumps({**asdict(claim), "holds": claim.holds}) if asked.json else claim, flush=True)
    return 0 if held else 1


def interleaved(rounds: int, measures: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    """Each measure once a round, in turn, every other round in the reverse order: what slows the machine slows all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        for name in list(measures)[:: -1 if number % 2 else 1]:
            found[name].append(measures[name]())
    return found


def ratio(found: Mapping[str, list[float]], ours: str, theirs: str) -> float:
    return statistics.median(found[ours]) / statistics.median(found[theirs])


def spread(found: Mapping[str, list[float]], unit: str) -> str:
    """`ours 0.52 (0.50-0.61) s, ...`: each measure's median, least and most."""
    return ", ".join(f"{name} {statistics.median(x):.3g} ({min(x):.3g}-{max(x):.3g}) {unit}" for name, x in found.items())
