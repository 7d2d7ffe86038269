"""What the pass of an ingest over a piece of its source consists of, as far as its settings tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raypipe.core.explain import WRITE, Part, Pass, some
from raypipe.data.contract.contract import Contract

ARROW = ("Parquet", "Csv", "Iceberg", "DuckLake", "HuggingFace")
"""Sources whose rows Arrow reads; others are read in Python, record by record or page by page."""


def passes(source: Any, contract: Contract | None, partition_by: Sequence[str], sort_by: Sequence[str], profile: bool) -> list[Pass]:
    """One: what is checked as it is written is not read again."""
    parts = [_read(source, contract)]
    if contract is not None:
        parts += _contract(contract)
    if partition_by or sort_by:
        told = [f"{how} {', '.join(names)}" for how, names in (("parted by", partition_by), ("sorted by", sort_by)) if names]
        parts.append(Part("layout", "Arrow", ", ".join(told)))
    if profile:
        parts.append(Part("profile", "Arrow", "sketches of every column, kept beside the file"))
    parts.append(WRITE)
    if contract is not None and (told := _of_the_whole(contract)):
        parts.append(Part("judge", "", f"before the commit, over the whole table: {told}"))
    return [Pass("what is new", tuple(parts))]


def _read(source: Any, contract: Contract | None) -> Part:
    kind = type(source).__name__
    names = getattr(source, "columns", None) or (list(contract.columns) if contract is not None and contract.exact else None)
    where = next((str(getattr(source, name)) for name in ("path", "topic", "name") if isinstance(getattr(source, name, None), str)), "")
    told = f"{kind}{f' {where}' if where else ''}: {some(names, 'all columns')}"
    if kind == "PythonSource":
        return Part("read", "Python", f"{told}, as {source.function.target} gives them", cuts=True)
    sums = "; page checksums verified where the files have them" if kind == "Parquet" else ""
    return Part("read", "Arrow" if kind in ARROW else "Python", f"{told}{sums}")


def _contract(contract: Contract) -> list[Part]:
    found = [Part("contract", "Arrow", some(list(contract.columns), ""))]
    return found + ([Part("rules", "Polars", some([rule.sql for rule in contract.rules.values()], ""))] if contract.rules else [])


def _of_the_whole(contract: Contract) -> str:
    distances = [name for name, column in contract.columns.items() if column.distance]
    told = [f"unique {' + '.join(names)}" for names in contract.unique_sets]
    told += [f"the distance of {some(distances, '')}"] if distances else []
    told += ["its size"] if contract.min_rows > 1 or contract.max_rows is not None else []
    return "; ".join(told)
