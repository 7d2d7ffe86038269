"""Split: which rows are for training, for validation and for testing, as a rule that travels with the table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from raypipe.core.artifact import Json, Report, Table
from raypipe.core.errors import ConfigError, DataError, Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.tally import Tally


@dataclass(frozen=True)
class Split:
    """Writes no rows: its artifact is the table that it reads, with the rule. Tables derived from it keep rule and columns."""

    revision: ClassVar[int] = 1
    driver_only: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("parts", "strata")

    by: Literal["time", "hash", "group", "stratified", "folds", "given"]
    """`time`: train before `validation_from`, test from `test_from` on. `hash`: shares of the values of `key`, stable as data grows.
    `group`: the same with a `key` of several columns. `stratified`: shares within each value of `within`. `folds`: one of k folds is for
    validation. `given`: a column says it."""
    table: Ref[Table] = Ref("source")
    """The step whose table is split."""
    validated: Ref[Report] | None = field(default=Ref("validate"), metadata=NO_IDENTITY)
    """The report that must have passed; only an order, no part of the fingerprint."""
    on: str | None = None
    """By time: the column of times."""
    validation_from: str | None = None
    """By time: ISO date or time from which on rows are for validation."""
    test_from: str | None = None
    """By time: ISO date or time from which on rows are for testing."""
    embargo: str | None = None
    """By time: how long before each of the two bounds rows belong to no part: `90s`, `30m`, `36h`, `7d` or `2w`."""
    key: str | list[str] | None = None
    """By hash: the column whose equal values stay together. By group, stratified and folds: one column, or several."""
    validation: float = 0.1
    """By hash, group and stratified: share of the keys for validation, 0 to 1."""
    test: float = 0.1
    """By hash, group, stratified and folds: share of the keys for testing, 0 to 1; of folds it is held out first."""
    salt: str = ""
    """Where a `key` is hashed: another salt deals the keys anew."""
    within: str | None = None
    """Stratified: the column within each of whose values the shares are kept."""
    exact: bool = False
    """Stratified: false deals by hash alone, so that no row ever changes its part and shares are kept in expectation; true gives each part
    exactly its share of the rows of each value, to the nearest row, and a few rows at the cuts change their part when data grows."""
    folds: int = 5
    """By folds: how many."""
    fold: int = 0
    """By folds: the one that is for validation, from 0 on; the others are for training."""
    column: str | None = None
    """Given: the column that says train, validation or test."""
    parts: dict[str, str] = field(default_factory=dict)
    """Given: what other values of the column mean, e.g. `{dev: validation, held_back: none}`; `none` is no part."""

    def rule(self) -> Json:
        """The rule as JSON, as data/split.py reads it; a stratified one still without its cuts."""
        from raypipe.data.rule import SETTINGS
        from raypipe.data.split import rule

        return rule(self.by, **{name: getattr(self, name) for name in SETTINGS[self.by] if name != "cuts"})

    def check(self, where: str, table: Columns | None = None, validated: Columns | None = None) -> list[Problem]:
        from raypipe.data.tally import counted

        if unread := self._unread(where):
            return unread
        name = {"time": "on", "given": "column"}.get(self.by, "key")
        if getattr(self, name) is None:
            return [Problem(f"{where}.{name}", f"a split by {self.by} needs the name of a column.")]
        try:
            reads = counted(self.rule())
        except ConfigError as error:
            return [Problem(where, str(error))]
        if table is None or table.names is None:
            return []
        missing = [(column, "within" if column == self.within else name) for column in reads if column not in table.names]
        return [Problem(f"{where}.{key}", f"there is no column '{c}' in '{self.table}'.{nearest(c, table.names)}") for c, key in missing]

    def _unread(self, where: str) -> list[Problem]:
        """Settings of another kind of split that this one would pass over in silence."""
        from raypipe.data.rule import SETTINGS

        readers = {name: [by for by in SETTINGS if name in SETTINGS[by]] for names in SETTINGS.values() for name in names}
        readers["exact"] = ["stratified"]
        given = [f.name for f in fields(self) if f.name in readers and getattr(self, f.name) != _default(f)]
        return [
            Problem(f"{where}.{name}", f"a split by {self.by} does not read it, only one by {' or '.join(readers[name])}: leave it out.")
            for name in given
            if self.by not in readers[name]
        ]

    def columns(self, table: Columns, validated: Columns | None = None) -> Columns:
        return table

    def run(self, work: Work, table: Table, validated: Report | None = None) -> Made[Table]:
        from raypipe.data.increment import seen
        from raypipe.data.reconcile import reconciled
        from raypipe.data.table import TableSchema, fragments, restated

        parts = fragments(work.ledger, table)
        exact = self.by == "stratified" and self.exact
        rule, found = self._exact(work, parts) if exact else self._counted(work, parts)
        reconciled(work.step, table.num_rows, sum(found.parts))
        self._refuse_empty(work, found.counts())
        for line in found.lines(rule):
            work.report(line)
        figures = {"parts": found.counts(), **({"strata": found.shares()} if found.strata else {})}
        made = restated(work.ledger, table, replace(TableSchema.from_json(table.schema), split=rule), figures)
        return made if exact else replace(made, files=(seen(work, parts), *made.files))

    def _counted(self, work: Work, parts: list[Fragment]) -> tuple[Json, Tally]:
        """The rule, and how many rows each part has: of what was counted before only the sums are needed."""
        from raypipe.data.increment import grown
        from raypipe.data.tally import Tally, tally_of

        rule, before, start = self.rule(), grown(work, parts), Tally()
        if before:
            artifact, new = before
            start = Tally.of_figures(artifact.num_rows, artifact.figures)
            work.report(f"{len(new):,} of {len(parts):,} fragments are new: only their rows are counted")
        found = tally_of(rule, _pieces(work, before[1] if before else parts, rule), start)
        found.refuse(rule)
        return rule, found

    def _exact(self, work: Work, parts: list[Fragment]) -> tuple[Json, Tally]:
        """The rule with cuts made from all rows."""
        from raypipe.data.strata import cuts
        from raypipe.data.tally import tally_of

        rule = self.rule()
        tally_of(rule, _pieces(work, parts, rule)).refuse(rule)
        rule |= {"cuts": cuts(rule, lambda: _pieces(work, parts, rule))}
        return rule, tally_of(rule, _pieces(work, parts, rule))

    def _refuse_empty(self, work: Work, counts: dict[str, int]) -> None:
        told = ", ".join(f"{part} {n:,}" for part, n in counts.items())
        if empty := [part for part, n in counts.items() if not n]:
            do = {"time": "move the bounds of the split", "given": "have the column name every part"}.get(
                self.by, "give it a greater share, a key with more values, or another salt"
            )
            raise DataError(f"{work.step}: no row falls into {' and '.join(empty)} ({told}); {do}.")


def _default(field: Field[Any]) -> Any:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _pieces(work: Work, parts: list[Fragment], rule: Json) -> Iterator[pa.Table]:
    from raypipe.data.fragment.together import read_batches
    from raypipe.data.tally import counted

    for piece in read_batches(work.store, parts, list(counted(rule))):
        work.alive()
        yield piece
