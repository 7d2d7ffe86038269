"""Ingest: takes what is new in a source into a table, checked by a contract as it is written."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from raypipe.core.artifact import Json, Table
from raypipe.core.errors import Problem
from raypipe.core.step import NO_IDENTITY, Columns, Look, Made, Work
from raypipe.data.ingest.policy import Policy

if TYPE_CHECKING:
    from raypipe.core.explain import Pass
    from raypipe.data.ingest.ingest import Intaken, Order
    from raypipe.data.source.piece import Limit, New


@dataclass(frozen=True)
class Ingest:
    """Appends what the table does not hold yet of a source, each file, row or message exactly once."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow",)
    figures: ClassVar[tuple[str, ...]] = (
        "new_pieces",
        "rows_read",
        "rows_sampled",
        "rows_dropped",
        "rows_quarantined",
        "rows_replaced",
        "records_quarantined",
        "files_quarantined",
        "contract",
    )

    source: Any
    """Where the rows are: raypipe.Parquet, raypipe.Csv, raypipe.Sql, raypipe.Kafka, ..."""
    contract: Any = None
    """What the rows must be: raypipe.Contract. One that leaves no rows out is no part of the fingerprint, but for marks and types."""
    table: str | None = None
    """Name of the table, to share it between pipelines; by default PIPELINE.STEP."""
    changed: Literal["refuse", "replace", "ignore"] = "refuse"
    """Of a file whose content has changed since it was taken: refused by name, its rows are replaced in one commit, or nothing."""
    gone: Literal["refuse", "keep"] = "refuse"
    """Of a file that is not there any more: refused by name, or its rows stay."""
    duplicates: Literal["refuse", "skip"] = "refuse"
    """Of a file with the content of another one: refused by name, or left out and told."""
    on_bad: Literal["fail", "quarantine"] = "fail"
    """Of a file or a message that cannot be read: nothing is taken, or it goes to the table NAME~quarantine with its place and the reason,
    and the rest goes on; a file is tried again when its content has changed."""
    partition_by: list[str] = field(default_factory=list)
    """How the table's files are parted from now on: columns, or `year(at)`, `bucket(16, id)`, ...; empty: as they are."""
    sort_by: list[str] = field(default_factory=list)
    """By which rows are sorted within a file from now on: columns, or `at desc`; empty: as they are."""
    add_columns: bool = False
    """Whether columns that the table lacks are added to it; the rows before have null in them. Otherwise they are refused by name."""
    widen_columns: bool = False
    """Whether columns are widened where values no longer fit (int32 to int64, say). Otherwise they are refused by name."""
    fill_columns: bool = False
    """Whether columns that the rows lack are filled with their default, or null. Otherwise they are refused by name."""
    profile: bool = field(default=False, metadata=NO_IDENTITY)
    """Whether the statistics of each file are computed as it is written, for about the CPU of writing it; otherwise they are when
    `raypipe tables profile` first asks for them, which reads it again."""

    @classmethod
    def identity(cls, settings: dict[str, Json]) -> dict[str, Json]:
        """The settings that shape the rows."""
        from raypipe.data.contract.contract import shaping

        contract = settings.pop("contract", None) or {}
        marks = sorted(n for n, c in contract.get("columns", {}).items() if c.get("known") == "afterwards")
        return {**settings, "known_afterwards": marks, "contract": shaping(contract)}

    def observe(self, look: Look) -> Json:
        """The state of the source: a digest of its files' paths, sizes and content; a watermark; offsets."""
        from raypipe.data.ingest.progress import source_state

        return source_state(look, self.source, self.contract, self.table_of(look))

    def check(self, where: str) -> list[Problem]:
        from raypipe.data.lake.partition import setting_problems

        parts = {f"{where}.source": self.source, f"{where}.contract": self.contract, where: self.policy}
        found = [Problem(at, text) for at, part in parts.items() if hasattr(part, "problems") for text in part.problems()]
        types = self.contract.types() if self.contract is not None and self.contract.exact and not found else None
        laid_out = setting_problems(self.partition_by, self.sort_by, types)
        return found + [Problem(f"{where}.{key}", text) for key, text in laid_out]

    def columns(self) -> Columns:
        return self.contract.columns_of() if self.contract is not None else Columns(None)

    def explain(self) -> list[Pass]:
        from raypipe.data.ingest.explain import passes

        return passes(self.source, self.contract, self.partition_by, self.sort_by, self.profile)

    def run(self, work: Work) -> Made[Table]:
        from raypipe.data.ingest.ingest import take

        return take(work, self._order(work)).made

    def stale(self, look: Look, artifact: Table) -> str | None:
        """The table was changed since by a person or another step, and that is kept: the artifact is to be the table as it is now."""
        from raypipe.data.lake.snapshot import find, newest_of

        with look.ledger.reading() as connection:
            now = newest_of(connection, look.project, artifact.name)
            if now is None or now.id == artifact.snapshot:
                return None
            then = find(connection, look.project, artifact.name, artifact.snapshot)
        if now.chain == then.chain:
            return None
        return f"its table was changed since: snapshot {now.id}, by {now.mode}"

    def ahead(self, look: Look, limit: Limit | None = None) -> New:
        """What the source has that the table has not taken, or a part of it of about that size."""
        from raypipe.data.ingest.progress import ahead

        return ahead(look, self.source, self.contract, self.table_of(look), limit)

    def foresees(self, look: Look) -> str:
        """The files by their names, where the source has files and only some are new."""
        if not hasattr(self.source, "suffixes"):
            return ""
        new = self.ahead(look)
        parts = {"new": [p.name for p in new.pieces], "changed": [p.name for p in new.changed], "gone": list(new.gone)}
        return "; ".join(f"{what}: {_some(names)}" for what, names in parts.items() if names)

    def is_news(self, new: New) -> bool:
        """Whether there is anything to take, or to refuse."""
        return bool(new.pieces or (new.changed and self.changed != "ignore") or (new.gone and self.gone != "keep"))

    def batch(self, work: Work, limit: Limit, *, checks_files: bool) -> Intaken:
        """A part of what is new, of about that size."""
        from raypipe.data.ingest.ingest import take

        return take(work, replace(self._order(work), limit=limit, checks_files=checks_files))

    def _order(self, work: Work) -> Order:
        from raypipe.data.ingest.ingest import Order
        from raypipe.data.lake.evolve import NewColumns
        from raypipe.data.lake.partition import layout

        laid_out = layout(self.partition_by, self.sort_by) if self.partition_by or self.sort_by else None
        new_columns = NewColumns(self.add_columns, self.widen_columns, self.fill_columns)
        about = {"layout": laid_out, "new_columns": new_columns, "profile": self.profile}
        return Order(self.source, self.table_of(work), self.contract, self.policy, **about)

    @property
    def policy(self) -> Policy:
        """What becomes of files that are not as they should be."""
        return Policy(self.changed, self.gone, self.duplicates, self.on_bad)

    def table_of(self, look: Look) -> str:
        """The name of the table; of a sample it is another one."""
        name = self.table or f"{look.pipeline}.{look.step}"
        return name if look.sample >= 1 else f"{name}~{look.sample:g}"


NUM_NAMED = 3


def _some(names: list[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - NUM_NAMED:,} more" if len(names) > NUM_NAMED else ""
    return f"{', '.join(names[:NUM_NAMED])}{more}"
