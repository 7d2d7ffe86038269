"""Join: the rows of one table with what another has for the same key."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal

from raypipe.core.artifact import Table
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Made, Ref, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.data.shuffle.match import Counts, Matching
    from raypipe.data.table import TableSchema


@dataclass(frozen=True)
class Join:
    """The left table's rows in their order, each with its matches in the order of the right table, and the right table's columns behind.

    A missing key matches nothing. Whatever is small goes to where the rest is; two large tables are dealt by key, only keys and the right
    table's columns. A column that both have is refused, unless `suffix` renames the right one's.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("duckdb", "pyarrow")
    figures: ClassVar[tuple[str, ...]] = ("left", "right", "matched", "pairs", "most_matches")

    on: str | list[str] | dict[str, str]
    """The columns whose values must be equal; where they have other names on the right, left name -> right name."""
    left: Ref[Table] = Ref("source")
    """The step whose table gives the rows."""
    right: Ref[Table] = Ref("right")
    """The step whose table gives further columns."""
    how: Literal["inner", "left", "semi", "anti", "full"] = "left"
    """`left`: all left rows, null where nothing matches. `inner`: matches alone. `semi`: left rows that have a match, `anti`: that
    have none, both without columns of the right. `full`: left, with right rows that match nothing behind."""
    take: list[str] | None = None
    """The right table's columns to take over; null: all but its keys."""
    suffix: str | None = None
    """What is put behind the name of a right column that the left table has too."""
    validate: Literal["1:1", "1:m", "m:1", "m:m"] | None = None
    """How often a key may be there, left:right; the run fails with the key that is there more often. `m:1`: a row matches one at most."""
    max_key_bytes: int = field(default=1 << 30, metadata=NO_IDENTITY)
    """What the right rows of one key may take in memory (of a `full` or `1:` join those of both tables)."""

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Left and right name of each key."""
        if isinstance(self.on, dict):
            return list(self.on.items())
        return [(name, name) for name in ([self.on] if isinstance(self.on, str) else self.on)]

    def check(self, where: str, left: Columns | None = None, right: Columns | None = None) -> list[Problem]:
        from raypipe.data.names import bytes_problems, column_problems

        found = [Problem(f"{where}.{n}", f"found {v!r}, expected {', '.join(k)}.") for n, v, k in self._words() if v not in k]
        wrong = column_problems(list(dict(self.pairs)) if not isinstance(self.on, str) else [self.on], "on")
        wrong += column_problems(self.take, "take") if self.take else []
        wrong += bytes_problems(self.max_key_bytes, "max_key_bytes")
        found += [Problem(where, text) for text in wrong]
        sides = ((self.left, left, [a for a, _ in self.pairs]), (self.right, right, [*(b for _, b in self.pairs), *(self.take or [])]))
        for step, columns, names in sides if not found else ():
            there = columns.names if columns else None
            missing = [name for name in names if there is not None and name not in there]
            found += [Problem(f"{where}.on", f"there is no column '{c}' in '{step}'.{nearest(c, there or ())}") for c in missing]
        if not found and left and right and left.names is not None and right.names is not None:
            found += self._clashes(where, left.names, right.names)
        return found

    def columns(self, left: Columns, right: Columns) -> Columns:
        names = self._names(left.names or (), right.names or tuple(right.known_afterwards))
        marks = frozenset(self._marks(left.known_afterwards, right.known_afterwards, names))
        if left.names is None or (right.names is None and self.how not in ("semi", "anti")):
            return Columns(None, {}, marks, left.label)
        types = left.types | {new: right.types[old] for old, new in names.items() if old in right.types}
        return replace(left, names=tuple(dict.fromkeys([*left.names, *names.values()])), types=types, known_afterwards=marks)

    def run(self, work: Work, left: Table, right: Table) -> Made[Table]:
        from raypipe.data.shuffle.join import Sides, join
        from raypipe.data.table import TableSchema, fragments, made

        schemas = TableSchema.from_json(left.schema), TableSchema.from_json(right.schema)
        asked = self._matching(work, *schemas)
        sides = Sides(fragments(work.ledger, left), fragments(work.ledger, right))
        part, counts = join(work, asked, sides, self.max_key_bytes)
        for line in self._told(counts):
            work.report(line)
        marks = self._marks(schemas[0].known_afterwards, schemas[1].known_afterwards, asked.names)
        schema = replace(schemas[0], arrow=part.schema, known_afterwards=tuple(sorted(marks)))
        figures = {
            "left": counts.left,
            "right": counts.right,
            "matched": counts.matched,
            "pairs": counts.pairs,
            "most_matches": counts.most,
        }
        return made(work, f"{work.pipeline}.{work.step}", schema, part.fragments, mode="overwrite", figures=figures)

    def _matching(self, work: Work, left: TableSchema, right: TableSchema) -> Matching:
        from raypipe.data.shuffle.match import Matching, comparable
        from raypipe.data.shuffle.meaning import require

        require(work, self.check(work.step, Columns(tuple(left.arrow.names)), Columns(tuple(right.arrow.names))))
        self._refuse_split(work, left, right)
        types, wrong = comparable(left.arrow, right.arrow, self.pairs, f"{work.step}.on")
        require(work, [*wrong, *(self._of_other_type(work, left.arrow, right.arrow) if self.how == "full" else [])])
        on = tuple(a for a, _ in self.pairs), tuple(b for _, b in self.pairs)
        names = self._names(left.arrow.names, right.arrow.names)
        return Matching(self.how, left.arrow, right.arrow, *on, names, self.validate, types)

    def _of_other_type(self, work: Work, left: pa.Schema, right: pa.Schema) -> list[Problem]:
        what = "'{}' is {} on the left and {} on the right: a full join has one column of both; cast one before"
        differing = [(a, left.field(a).type, right.field(b).type) for a, b in self.pairs if left.field(a).type != right.field(b).type]
        return [Problem(f"{work.step}.on", what.format(*found)) for found in differing]

    def _refuse_split(self, work: Work, left: TableSchema, right: TableSchema) -> None:
        """Rows of one part must not get columns of rows of another, and every row must keep what tells its part."""
        from raypipe.data.split import columns

        if right.split is not None and right.split != left.split:
            raise DataError(f"{work.step}: '{self.right}' is split, and not by the rule of '{self.left}'; join before the split.")
        keys = {a for a, b in self.pairs if a == b}
        lost = [name for name in (columns(left.split) if left.split else ()) if name not in keys]
        if lost and right.split is not None:
            why = f"both tables are split by '{lost[0]}', which is not among `on`: rows of training would get values of test rows"
            raise DataError(f"{work.step}: {why}. Add it to `on`, or join before the split.")
        if lost and self.how == "full":
            raise DataError(f"{work.step}: rows of '{self.right}' alone would lack '{lost[0]}', by which '{self.left}' is split.")

    def _words(self) -> list[tuple[str, object, tuple[str, ...]]]:
        words = [("how", self.how, ("inner", "left", "semi", "anti", "full")), ("validate", self.validate, ("1:1", "1:m", "m:1", "m:m"))]
        return [word for word in words if word[1] is not None]

    def _clashes(self, where: str, left: tuple[str, ...], right: tuple[str, ...]) -> list[Problem]:
        names = list(self._names(left, right).values())
        both = [name for name in dict.fromkeys(names) if name in left or names.count(name) > 1]
        told = "both tables have a column '{}'; give a `suffix` for the right one's, or say what to `take`"
        return [Problem(where, told.format(name)) for name in both]

    def _names(self, left: Collection[str], right: Collection[str]) -> dict[str, str]:
        """Right column that is taken over -> its name in the result."""
        if self.how in ("semi", "anti"):
            return {}
        keys = {b for _, b in self.pairs}
        chosen = [name for name in right if name not in keys] if self.take is None else self.take
        return {name: name + self.suffix if self.suffix and name in left else name for name in chosen}

    def _marks(self, ours: Collection[str], theirs: Collection[str], names: dict[str, str]) -> set[str]:
        """Marks of both; what is found by a key that is known only afterwards is known only then."""
        all_marked = any(a in ours or b in theirs for a, b in self.pairs)
        return {*ours, *(new for old, new in names.items() if all_marked or old in theirs)}

    def _told(self, counts: Counts) -> list[str]:
        lines = [f"{counts.matched:,} of {counts.left:,} rows match, {counts.left - counts.matched:,} do not"]
        if counts.most > 1:
            lines.append(f"{counts.pairs:,} matches: up to {counts.most:,} of one row")
        return lines
