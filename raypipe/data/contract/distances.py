"""How far the distributions of a table's columns lie from those of the references that a contract names."""

from __future__ import annotations

from collections.abc import Sequence

from raypipe.core.artifact import Json
from raypipe.core.step import Work
from raypipe.data.contract.contract import Contract
from raypipe.data.fragment.fragment import Fragment


def distances(work: Work, contract: Contract, parts: Sequence[Fragment]) -> list[dict[str, Json]]:
    """A finding for each column with a bound on its distance."""
    return []
