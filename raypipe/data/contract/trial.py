"""A contract tried on rows that lie somewhere: files of any kind or a table, without a pipeline, and nothing is written there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, DataError
from raypipe.core.step import Look, Work
from raypipe.data.contract.contract import Contract
from raypipe.data.contract.findings import is_measured, passed
from raypipe.data.contract.judgement import judgement, looked_at, of_table, sizes, utc_now
from raypipe.data.contract.origin import OfSource, Origin
from raypipe.data.contract.references import against
from raypipe.data.fragment.fragment import read_fragment
from raypipe.data.source.csv import Csv
from raypipe.data.source.jsonl import JsonLines
from raypipe.data.source.parquet import Parquet
from raypipe.data.source.piece import NOTHING as NO_PROGRESS
from raypipe.data.source.piece import Source

if TYPE_CHECKING:
    from collections.abc import Mapping

    from raypipe.core.store import Store


@dataclass(frozen=True)
class Trial:
    """What a contract finds."""

    rules: list[dict[str, Json]]
    num_rows: int
    problems: Sequence[str] = ()
    """Files that cannot be read, columns that do not fit: what is in them was not judged."""
    refused: pa.Table | None = field(default=None, repr=False)
    """The first rows that break a rule which fails, with file, row and reasons."""

    @property
    def passed(self) -> bool:
        """Whether an ingest under this contract would take the rows, those apart that it drops or quarantines."""
        return not self.problems and all(passed(rule) or rule["on_breach"] == "warn" for rule in self.rules)

    def to_json(self) -> dict[str, Json]:
        return {"passed": self.passed, "rows": self.num_rows, "problems": list(self.problems), "rules": self.rules}


def trial(
    work: Work, contract: Contract, origins: Sequence[Origin], tables: Store | None = None, now: Callable[[], datetime] = utc_now
) -> Trial:
    """Judges the rows. The work's store is scratch paper; `tables` is where the tables lie that the contract names. DataError where one of
    those is not there."""
    others = against(work, contract, tables)
    seen = looked_at(work, contract, origins, others)
    whole = [] if seen.problems else of_table(work, contract, origins, seen.num_rows, tables)
    # Where no file could be read, that there are no rows is not the contract's matter.
    size = sizes(work, contract, seen.num_rows) if seen.num_rows or not seen.problems else []
    rules = judgement(contract, [*seen.rules, *whole, *size], now())
    rows = [read_fragment(work.store, part) for part in seen.refused]
    return Trial(rules, seen.num_rows, seen.problems, pa.concat_tables(rows) if rows else None)


KINDS = (Parquet, Csv, JsonLines)


def files_of(look: Look, path: str, types: Mapping[str, pa.DataType] | None = None) -> list[Origin]:
    """The files that a path names (a file, a folder, a pattern, a URL), as what their names say: Parquet, CSV or JSON lines. DataError
    where there are none; ConfigError where the names do not say it."""
    source = source_of(look.project_path, path)
    return [OfSource(source, piece, types or {}) for piece in source.new(look, NO_PROGRESS, None).pieces]


def source_of(project_path: Path, path: str) -> Source:
    """Of that kind."""
    for kind in KINDS:
        if path.lower().endswith(kind.suffixes):
            return kind(path)
    folder = project_path / path
    names = [p.name.lower() for p in folder.rglob("*") if p.is_file()] if folder.is_dir() else []
    found = [kind for kind in KINDS if any(name.endswith(kind.suffixes) for name in names)]
    if len(found) == 1:
        return found[0](path)
    if not folder.exists() and not any(sign in path for sign in "*?[") and "://" not in path:
        raise DataError(f"{path}: there is no such file, folder or table")
    said = (
        f"it has files of several kinds ({', '.join(k.__name__ for k in found)})" if found else "its name does not say of what kind it is"
    )
    endings = ", ".join(f"*{kind.suffixes[0]}" for kind in KINDS)
    raise ConfigError(f"{path}: {said}. Name the files by a pattern that ends as they do, such as {endings}.")


def broken(rule: Mapping[str, Json]) -> bool:
    """Whether anything breaks it, allowed or not."""
    return not passed(rule) if is_measured(rule) else bool(rule["figure"])
