"""How far the distributions of a table's columns lie from those of the references that a contract names."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import Work
from raypipe.data.contract.against import snapshot_of
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import finding
from raypipe.data.fragment.fragment import Fragment


def distances(work: Work, contract: Contract, parts: Sequence[Fragment]) -> list[dict[str, Json]]:
    """A finding for each column with a bound on its distance, told from the profiles of both tables, which are kept beside their files: a
    file whose profile is there is not read. DataError with every reference that is not there or has no such column."""
    from raypipe.data.statistics.distances import distance
    from raypipe.data.statistics.kept import profile_of

    wanted = {name: column.distance for name, column in contract.columns.items() if column.distance}
    if not wanted or not sum(fragment.num_live for fragment in parts):
        return []
    mine = profile_of(work.store, parts, inline=work.inline, columns=list(wanted))
    made, problems = [], []
    for name, bound in wanted.items():
        there = bound.column or name
        try:
            snapshot, _, others = snapshot_of(work.ledger, bound.against)
            reference = profile_of(work.store, others, inline=work.inline, columns=[there])[there]
            figure = distance(reference, mine[name], bound.measure)
        except DataError as error:
            problems.append(f"column '{name}': its distance from {bound.against} cannot be measured: {error}")
            continue
        about = finding(name, "distance", bound.at_most, contract.columns[name].breach("distance"), None)
        told = {"measure": bound.measure, "against": f"{snapshot.name}@{snapshot.id}.{there}", "figure": round(figure, 6)}
        made.append(about | told | {"rows": sum(f.num_live for f in parts), "examples": [], "passed": figure <= bound.at_most})
    if problems:
        raise DataError("\n".join(problems))
    return made
