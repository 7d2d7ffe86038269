"""How far the distributions of a table's columns lie from those of the references that a contract names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import finding
from raypipe.data.contract.origin import OfTable, Origin
from raypipe.data.contract.references import snapshot_of
from raypipe.data.map import map_fragments

if TYPE_CHECKING:
    from raypipe.core.store import Store
    from raypipe.data.statistics.profile import Profile


def distances(
    work: Work, contract: Contract, origins: Sequence[Origin], num_rows: int, tables: Store | None = None
) -> list[dict[str, Json]]:
    """A finding for each column with a bound on its distance, told from the profiles of both tables, which are kept beside their files: a
    file whose profile is there is not read. DataError with every reference that is not there or has no such column."""
    from raypipe.data.statistics.distances import distance

    wanted = {name: column.distance for name, column in contract.columns.items() if column.distance}
    if not wanted or not num_rows:
        return []
    mine = _profile(work, origins, list(wanted))
    made, problems = [], []
    for name, bound in wanted.items():
        there = bound.column or name
        try:
            snapshot, _, others = snapshot_of(work.ledger, bound.against)
            reference = _profile(work, [OfTable(tables or work.store, part) for part in others], [there])
            figure = distance(reference[there], mine[name], bound.measure)
        except DataError as error:
            problems.append(f"column '{name}': its distance from {bound.against} cannot be measured: {error}")
            continue
        about = finding(name, "distance", bound.at_most, contract.columns[name].breach("distance"), None)
        told = {"measure": bound.measure, "against": f"{snapshot.name}@{snapshot.id}.{there}", "figure": round(figure, 6)}
        made.append(about | told | {"rows": num_rows, "examples": [], "passed": figure <= bound.at_most})
    if problems:
        raise DataError("\n".join(problems))
    return made


def _profile(work: Work, origins: Sequence[Origin], columns: list[str]) -> Profile:
    from raypipe.data.statistics.kept import profile_of
    from raypipe.data.statistics.profile import merge

    fragments = [origin.fragment for origin in origins if isinstance(origin, OfTable)]
    if fragments:
        store = next(origin.store for origin in origins if isinstance(origin, OfTable))
        return profile_of(store, fragments, inline=work.inline, columns=columns)
    return merge(map_fragments(_Measure(columns), origins, inline=work.inline))


@dataclass(frozen=True)
class _Measure:
    """A file -> the profile of its columns. It travels to a task."""

    columns: list[str]

    def __call__(self, origin: Origin) -> Profile:
        from raypipe.data.statistics.profile import Profile, merge

        return merge([Profile.of(rows) for rows, _ in origin.batches(self.columns)])
