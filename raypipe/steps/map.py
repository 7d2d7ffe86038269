"""Map: a function of the user's called for each item of a list, and what it gives gathered into one table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from raypipe.code.given import Given
from raypipe.code.recorded import UserCode
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import ConfigError, DataError, Problem, nearest
from raypipe.core.explain import WRITE, Part, Pass
from raypipe.core.step import NO_IDENTITY, Columns, Function, Look, Made, Ref, Work

if TYPE_CHECKING:
    from raypipe.core.item import Item as Kept
    from raypipe.data.item.chunk import Failure, Mapped
    from raypipe.data.item.item import Item, Items

NUM_TOLD = 10
"""Failed items that the error names."""


@dataclass(frozen=True)
class Map:
    """The rows that the function gives for each item, in the items' order, behind the item's own columns.

    An item's columns are arguments by name; an item that is a single value is the first argument. The function returns a mapping (one row),
    a table, a list of mappings, a single value (the column `value`) or None (no rows). Each item is cached by itself, by the function's
    code and settings, its own values and the tables under `inputs`; one that is there twice is run once.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow",)
    figures: ClassVar[tuple[str, ...]] = ("items", "items_run", "items_found")

    function: Function
    """A function of an item."""
    over: Ref[Table] | None = None
    """The step whose table has an item in each row."""
    items: list[Any] | None = None
    """Or the items themselves: values, or mappings of arguments."""
    inputs: dict[str, Ref[Table]] = field(default_factory=dict)
    """Tables that the function gets whole with each item: its parameter, and the step. The parameter's annotation says as what."""
    takes: list[str] | None = None
    """The columns of `over` that make an item; by default all."""
    gives: dict[str, str] | None = None
    """The columns that the function returns, with their types; by default what the items' results agree on."""
    max_items: int = field(default=100_000, metadata=NO_IDENTITY)
    """More are refused before any is run."""
    chunk_items: int | None = field(default=None, metadata=NO_IDENTITY)
    """Items that a task works on; by default as many as give each task that runs at once four turns."""
    concurrency: int | None = field(default=None, metadata=NO_IDENTITY)
    """Tasks at once, at most; by default as many as the cluster has room for."""

    def check(self, where: str, over: Columns | None = None, **inputs: Columns | None) -> list[Problem]:
        found = [*self._list_problems(where), *self._number_problems(where)]
        if not found:
            found = [*self._argument_problems(where, over), *self._type_problems(where)]
        return found

    def columns(self, over: Columns | None = None, **inputs: Columns) -> Columns:
        marked = frozenset().union(*(known.known_afterwards for known in (over, *inputs.values()) if known is not None))
        names = self._item_names(over)
        if self.gives is None or names is None:
            return Columns(None, {}, marked)
        types = {name: over.types[name] for name in names if over is not None and name in over.types}
        return Columns((*names, *(name for name in self.gives if name not in names)), {**types, **self.gives}, marked)

    def explain(self, over: Columns | None = None, **inputs: Columns) -> list[Pass]:
        gets = ["an item", *(f"{name} as {form}" for name, form in self._given.forms.items())]
        called = Part(self._code.target, "Python", f"gets {', '.join(gets)}; called for each item, in tasks of several", cuts=True)
        return [Pass("every item", (Part("read", "Arrow", "whole tables; page checksums verified"), called, WRITE))]

    def resumes(self, look: Look, fingerprint: str) -> str | None:
        from raypipe.core.items import num_made

        with look.ledger.reading() as connection:
            if not num_made(connection, look.project, fingerprint):
                return None
        digest = (look.identity or {}).get("inputs", {}).get("over")
        over = look.ledger.by_digest("Table", digest) if digest else None
        known = over if isinstance(over, Table) else None
        return self._foreseen(look, known) if known is not None or self.over is None else None

    def foresees(self, look: Look, over: Table | None = None, **inputs: Table) -> str:
        return self._foreseen(look, over)

    def run(self, work: Work, over: Table | None = None, **inputs: Table) -> Made[Table]:
        from raypipe.data.item.gathered import gathered
        from raypipe.data.item.work import Share, run_items

        self._require(work.step, over)
        items = self._listed(work, over)
        keyed = items.keyed(work.identity)
        found = self._found(work, keyed)
        missing = list({item.key: item for item in keyed if item.key not in found}.values())
        if found and missing:
            work.report(f"{_counted(keyed)}: {len(missing):,} to run, {len(found):,} found")
        outcome = run_items(work, self._mapped(work, inputs), missing, Share(self.chunk_items, self.concurrency))
        if outcome.failures:
            raise _failed(work.step, keyed, outcome.failures)
        work.report(f"{_counted(keyed)}: {len(missing):,} run, {len(found):,} found")
        if not keyed and self.gives is None:
            work.report("nothing to map over: the table has the items' columns alone; `gives` says which others it would have")
        written = gathered(work, self._code.target, keyed, items.table, found | outcome.kept, self.gives)
        figures = {"items": len(keyed), "items_run": len(missing), "items_found": len(found)}
        return self._made(work, written, [item.key for item in keyed], [over, *inputs.values()], figures)

    # what is wrong beforehand

    def _list_problems(self, where: str) -> list[Problem]:
        if (self.over is None) == (self.items is None):
            what = "both are there: leave one out" if self.items is not None else "neither is there"
            return [Problem(where, f"a map needs `over`, the name of a step, or `items`, a list; {what}.")]
        found = []
        if self.takes is not None and self.over is None:
            found.append(Problem(f"{where}.takes", "it names columns of `over`, and there is none: write the items as they are to be."))
        if self.items is not None and len(self.items) > self.max_items:
            found.append(Problem(f"{where}.items", _too_many(f"{len(self.items):,} items", self.max_items)))
        if self.items == [] and self.gives is None:
            found.append(Problem(f"{where}.items", "it is empty, and nothing says which columns the table has: say them as `gives`."))
        if self.items and not found:
            try:
                self._listed_items()
            except DataError as error:
                found.append(Problem(f"{where}.items", str(error)))
        return found

    def _number_problems(self, where: str) -> list[Problem]:
        numbers = {"max_items": self.max_items, "chunk_items": self.chunk_items, "concurrency": self.concurrency}
        return [Problem(f"{where}.{n}", f"found {v}, expected at least 1.") for n, v in numbers.items() if v is not None and v < 1]

    def _argument_problems(self, where: str, over: Columns | None) -> list[Problem]:
        names = over.names if over is not None else None
        missing = [c for c in self.takes or () if names is not None and c not in names]
        found = [Problem(f"{where}.takes", f"there is no column '{c}' in '{self.over}'.{nearest(c, names or ())}") for c in missing]
        place, advice = f"{where}.items", ""
        if self.over is not None:
            place, advice = f"{where}.over", " `takes` names the columns that make an item."
        return [*found, *self._given.problems(where, self._item_names(over) if self.items != [] else None, place, advice)]

    def _type_problems(self, where: str) -> list[Problem]:
        from raypipe.data.item.result import declared

        found = []
        for name, type_ in (self.gives or {}).items():
            try:
                declared({name: type_})
            except DataError as error:
                found.append(Problem(f"{where}.gives.{name}", str(error)))
        return found

    # running

    def _require(self, step: str, over: Table | None) -> None:
        """What the data alone tells, before anything runs."""
        if over is None:
            return
        if over.num_rows > self.max_items:
            raise DataError(f"{step}.over: " + _too_many(f"the {over.num_rows:,} rows of '{self.over}', each an item,", self.max_items))
        if problems := self.check(step, over=_columns(over)):
            raise ConfigError(problems)

    def _listed(self, look: Look, over: Table | None) -> Items:
        from raypipe.data.item.item import Items
        from raypipe.data.table import read

        return Items.of_table(read(look.ledger, look.store, over, self.takes)) if over is not None else self._listed_items()

    def _listed_items(self) -> Items:
        from raypipe.data.item.item import Items

        assert self.items is not None, "checked"
        return Items.of_list(self.items, self._given.first)

    def _found(self, work: Work, keyed: list[Item]) -> dict[str, Kept]:
        """What was run before and is there; of a step that is made anew, by this very run alone."""
        from raypipe.core import items

        found = self._recorded(work, keyed, work.run if work.anew or "uncached" in (work.identity or {}) else None)
        lost = {one.file for one in found.values() if one.file is not None and not work.store.holds(one.file)}
        gone = [key for key, one in found.items() if one.file in lost]
        for path in sorted(file.path for file in lost)[:1]:
            work.report(f"the store has lost {path}{' and others' if len(lost) > 1 else ''}: {len(gone):,} items are run again")
        kept = {key: one for key, one in found.items() if key not in gone}
        if kept:
            work.keep(lambda connection: items.use(connection, work.project, list(kept)))
        return kept

    def _recorded(self, look: Look, keyed: list[Item], run: str | None = None) -> dict[str, Kept]:
        from raypipe.core import items

        if look.identity is None:
            return {}
        with look.ledger.reading() as connection:
            return items.find(connection, look.project, list({item.key for item in keyed}), run)

    def _foreseen(self, look: Look, over: Table | None) -> str:
        """`1 of 12 items would run`; nothing of a map that the check, which comes after the plan, refuses."""
        if self.check("", over=_columns(over) if over is not None else None):
            return ""
        if over is not None and over.num_rows > self.max_items:
            return _too_many(f"{over.num_rows:,} items", self.max_items)
        keyed = self._listed(look, over).keyed(look.identity)
        missing = len({item.key for item in keyed}) - len(self._recorded(look, keyed))
        return f"{missing:,} of {_counted(keyed)} would run"

    def _mapped(self, work: Work, inputs: Mapping[str, Table]) -> Mapped:
        from raypipe.data.function.callee import Code
        from raypipe.data.function.whole import Given as GivenTable
        from raypipe.data.item.chunk import Mapped
        from raypipe.data.table import TableSchema, fragments

        forms, tables = self._given.forms, dict[str, GivenTable]()
        for edge, table in inputs.items():
            name, schema = edge.partition(".")[2], TableSchema.from_json(table.schema)
            tables[name] = GivenTable(schema.arrow, fragments(work.ledger, table), forms[name])
        return Mapped(Code(self._code), self._given.gives, self.gives, tables, work.store, work.path)

    def _made(self, work: Work, written: Any, keys: list[str], inputs: list[Table | None], figures: dict[str, Json]) -> Made[Table]:
        """Rows of items are new rows: neither a split's rule nor a label is theirs. A column that was marked stays marked, by name."""
        from raypipe.core import items
        from raypipe.data.table import TableSchema, made

        def use(connection: Any, artifact: str) -> None:
            items.use(connection, work.project, keys, artifact)

        before = [TableSchema.from_json(table.schema) for table in inputs if table is not None]
        marked = tuple(sorted({name for schema in before for name in schema.known_afterwards if name in written.schema.names}))
        schema = TableSchema(written.schema, known_afterwards=marked)
        name = f"{work.pipeline}.{work.step}"
        return made(work, name, schema, written.fragments, mode="overwrite", figures=figures, commits=[use])

    @property
    def _code(self) -> UserCode:
        assert isinstance(self.function, UserCode)
        return self.function

    @property
    def _given(self) -> Given:
        return Given(self._code, self.inputs)

    def _item_names(self, over: Columns | None) -> list[str] | None:
        """The columns of an item, as far as they are known."""
        if self.items is not None:
            return list(dict.fromkeys(n for item in self.items for n in (item if isinstance(item, Mapping) else [self._given.first])))
        return self.takes if self.takes is not None else list(over.names) if over is not None and over.names is not None else None


def _columns(table: Table) -> Columns:
    return Columns(tuple(column["name"] for column in table.schema["columns"]))


def _counted(keyed: list[Item]) -> str:
    twice = len(keyed) - len({item.key for item in keyed})
    return f"{len(keyed):,} item{'' if len(keyed) == 1 else 's'}{f' ({twice:,} of them the same as others)' if twice else ''}"


def _too_many(what: str, most: int) -> str:
    return (
        f"{what} are more than {most:,} (`max_items`). raypipe.Distinct makes a table of the values that some columns have; work on every "
        "row is for raypipe.MapBatches."
    )


def _failed(step: str, keyed: list[Item], failures: list[Failure]) -> DataError:
    """One error for all: the step is tried again where all of them may be gone at the next try."""
    done = len({item.key for item in keyed}) - len(failures)
    lines = [f"  {failure.item}: {failure.what}" for failure in failures[:NUM_TOLD]]
    more = [f"  and {len(failures) - NUM_TOLD:,} more"] if len(failures) > NUM_TOLD else []
    kept = f"; the others, {done:,}, are done and are not run again" if done else ""
    error = DataError("\n".join([f"step '{step}': {len(failures):,} of {_counted(keyed)} failed{kept}", *lines, *more]))
    error.transient = all(failure.transient for failure in failures)
    error.trace = "\n\n".join(f"{failure.item}\n{failure.trace}" for failure in failures[:NUM_TOLD] if failure.trace)
    return error
