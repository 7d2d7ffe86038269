"""What the passes of a transform consist of, as far as its settings and the columns of its input tell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from raypipe.core.explain import WRITE, Part, Pass, some
from raypipe.core.step import Columns
from raypipe.data.transform.around import touched
from raypipe.data.transform.chain import Chain, needed_for
from raypipe.data.transform.derive import Derive
from raypipe.data.transform.entry import Drop, Entry, Select
from raypipe.data.transform.function import Function
from raypipe.data.transform.where import can_prune


def passes(entries: Mapping[str, Entry], where: str | None, contract: Any, profile: bool, columns: Columns) -> list[Pass]:
    """A pass for each stage of learning, then the one that applies, judges and writes."""
    found = [_learning(entries, names, where) for names in Chain(entries).plan_stages()]
    reads = touched(entries)
    all_columns = some(columns.names, "all columns")
    parts = [Part("read", "Arrow", f"{all_columns}; page checksums verified{_pruned(where)}"), *_where(where)]
    parts += [_entry(name, entry, "") for name, entry in entries.items()]
    if contract is not None:
        parts.append(Part("contract", "Arrow", some([*contract.columns, *contract.rules], "")))
    if profile:
        parts.append(Part("profile", "Arrow", "sketches of every column, kept beside the file"))
    return [*found, Pass("every row", (*parts, WRITE), _around(reads, columns))]


def _learning(entries: Mapping[str, Entry], names: Sequence[str], where: str | None) -> Pass:
    kept, reads = needed_for(entries, names)
    parts = [
        Part("read", "Arrow", f"{some(sorted(reads) if reads is not None else None, 'all columns')}{_pruned(where)}"),
        *_where(where),
    ]
    parts += [_entry(name, e, "learns " if name in names else "") for name, e in entries.items() if name in kept and not _is_name(e)]
    return Pass("the training part", tuple(parts))


def _is_name(entry: Entry) -> bool:
    return isinstance(entry, Select | Drop)


def _where(where: str | None) -> list[Part]:
    if where is None:
        return []
    return [Part("where", "Arrow" if can_prune(where) else "Polars", where)]


def _pruned(where: str | None) -> str:
    return "; row groups that cannot meet where are left unread" if where is not None and can_prune(where) else ""


def _entry(name: str, entry: Any, does: str) -> Part:
    kind = type(entry).__name__
    if isinstance(entry, Function):
        taken = "every column that reaches it" if entry.takes is None else some(entry.takes, "")
        told = "" if entry.takes is not None else ": none goes round it"
        return Part(name, "Python", f"{does}{entry.target} gets {taken}{told}", cuts=True)
    if isinstance(entry, Derive):
        return Part(name, "Polars", "; ".join(f"{column} = {sql}" for column, sql in entry.columns.items()))
    return Part(name, "" if _is_name(entry) else "NumPy", f"{does}{kind} {some(entry.columns, '')}")


def _around(reads: set[str] | None, columns: Columns) -> str:
    if reads is None:
        return ""
    if columns.names is None:
        return f"all but {some(sorted(reads), '')}" if reads else "all columns"
    return some([name for name in columns.names if name not in reads], "")
