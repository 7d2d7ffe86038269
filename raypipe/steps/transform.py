"""Transform: a chain of row-wise functions and fitted transforms, fitted on the training part only, then applied to every row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from raypipe.code.recorded import UserCode
from raypipe.core.artifact import File, Json, Table
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import NO_IDENTITY, Columns, Commit, Look, Made, Ref, Work

if TYPE_CHECKING:
    from raypipe.core.explain import Pass
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.increment import Increment
    from raypipe.data.table import TableSchema
    from raypipe.data.transform.chain import FittedChain, Stage
    from raypipe.data.transform.kernel import Apply
    from raypipe.data.transform.passes import Training, Transformed
    from raypipe.data.transform.refit import Fitted
    from raypipe.data.transform.where import Where

CHAIN = "chain.json"
"""The fitted chain as data, among the artifact's files."""
CODE = "code.json"
"""The recorded source of the chain's functions, by import path; absent where it has none."""
EXAMPLES = "examples.arrow"
"""A few rows of the validation part as they are before the transform: the bundle's sample."""


@dataclass(frozen=True)
class Transform:
    """The table with the model's features: what the chain makes, then every column that it does not touch.

    Reading, `where`, the chain, `contract` and `profile` are one pass over each file; entries that learn take passes over the training part
    before it.
    """

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow", "numpy", "polars")
    figures: ClassVar[tuple[str, ...]] = (
        "rows_in",
        "rows_left_out",
        "rows_dropped",
        "rows_quarantined",
        "contract",
        "fit",
        "inputs",
        "num_features",
        "of_rows",
        "fragments_computed",
        "rows_computed",
    )

    label: str | None = None
    """The label's column: it goes round the chain. By default the table's own, where it has one; without any the chain makes no features,
    and may use columns that are known only afterwards: what it makes of them is known only afterwards, too. The slot `label` sets it."""
    where: str | None = None
    """An SQL condition: rows that do not meet it are left out and counted, whatever their part. A request is not asked."""
    entries: dict[str, Any] = field(default_factory=dict)
    """Name -> transform, or function of the user's from `pa.Table` to `pa.Table`, in order."""
    contract: Any = None
    """What the transformed rows must be: raypipe.Contract."""
    profile: bool = field(default=False, metadata=NO_IDENTITY)
    """Whether the table is described as it is written; otherwise that is done when it is first asked for."""
    table: Ref[Table] = Ref("split")
    """The step whose table is transformed; it must have a split where an entry learns."""
    refit: Literal["never", "on_drift", "always"] = "always"
    """When the data has changed: `always` fits anew, so that every row is transformed anew where the fit comes out different. `never` keeps
    the fit that there is, and only new files are transformed. `on_drift` keeps it as long as no column that a fit reads has drifted."""
    refit_above: float = 0.2
    """On drift: the population stability index, from the training part of the fit to that of now, above which a column has drifted."""

    @classmethod
    def identity(cls, settings: dict[str, Json]) -> dict[str, Json]:
        """The entries with their order, which a mapping in canonical JSON has none of."""
        return {**settings, "order": list(settings.get("entries", {}))}

    @classmethod
    def observes(cls, settings: dict[str, Json]) -> bool:
        return settings.get("contract") is not None or settings.get("refit", "always") != "always"

    def observe(self, look: Look, table: Table) -> Json:
        """What the contract compares with, and the fit that may stay."""
        from raypipe.data.contract.references import observed as compared
        from raypipe.data.transform.refit import observed as fit

        against = compared(look, self.contract) if self.contract is not None else None
        kept = {"fit": fit(look, table)} if self.refit != "always" else {}
        return ({"against": against} if against else {}) | kept or None

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.transform.flow import check

        names = table.names if table else None
        if names is not None and self.label is not None and self.label not in names:
            return [Problem(f"{where}.label", f"there is no column '{self.label}' in '{self.table}'.{nearest(self.label, names)}")]
        found = [Problem(f"{where}.contract", text) for text in (self.contract.problems() if self.contract is not None else ())]
        found += [Problem(f"{where}.where", text) for text in self._where_problems(table)]
        if not self.refit_above > 0:
            found.append(
                Problem(f"{where}.refit_above", f"found {self.refit_above}, expected a number above 0: 0.1 is little, 0.25 is much.")
            )
        before = self._before(table or Columns(None))
        more = check(self._entries(), before, where)
        found += self._query_problems(before, where) + ([] if more else self._contract_problems(before, where))
        return found + more

    def columns(self, table: Columns) -> Columns:
        from raypipe.data.transform.flow import columns_after

        before = self._before(table)
        after = columns_after(self._entries(), before)
        names = None if after.names is None or table.names is None else (*after.names, *(n for n in table.names if n not in after.names))
        marks = table.known_afterwards if before.label else table.known_afterwards | after.known_afterwards
        return replace(after, names=names, known_afterwards=marks, label=before.label, features=after.features if before.label else None)

    def foresees(self, look: Look, table: Table) -> str:
        from raypipe.data.increment import foreseen
        from raypipe.data.transform.refit import BUT

        return foreseen(look, table, BUT)

    def explain(self, table: Columns) -> list[Pass]:
        from raypipe.data.transform.explain import passes

        return passes(self._entries(), self._condition(), self.contract, self.profile, self._before(table))

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.table import TableSchema, fragments
        from raypipe.data.transform.passes import judge, transform

        schema = TableSchema.from_json(table.schema)
        schema = replace(schema, label=self.label or schema.label)
        parts = fragments(work.ledger, table)
        self._refuse(work, schema)
        where = self._where(schema)
        fit = self._fitted(work, schema, parts, where)
        fitted, name = fit.chain, f"{work.pipeline}.{work.step}"
        kernel = self._kernel(work, fitted, schema, where)
        new = self._increment(work, table, kernel, name)
        done = transform(work, kernel, new)
        figures = {**self._counts(work, done, table), **judge(work, kernel, done, name), **fit.figures}
        files, commits = self._files(work, fitted, kernel, parts, schema), self._beside(work, name, done)
        figures |= {"inputs": _inputs(fitted, parts), "num_features": len(fitted.features), "of_rows": table.digest}
        result = done.whole.made(work, name, self._after(schema, done, fitted), figures, commits)
        digest = hashlib.sha256(f"{result.digest} {files[0].sha256}".encode()).hexdigest()
        breaches = [File(f.path, f.size, f.sha256) for f in done.breaches]
        return replace(result, digest=digest, files=(*result.files, *files, *fit.files, *breaches))

    def _before(self, table: Columns) -> Columns:
        return replace(table, label=self.label or table.label)

    def _where_problems(self, table: Columns | None) -> list[str]:
        from raypipe.data.transform.where import problems

        return problems(self.where, table) if self.where is not None else []

    def _query_problems(self, table: Columns, where: str) -> list[Problem]:
        from raypipe.data.transform.query import problems

        return problems(self._written(), table, where)

    def _contract_problems(self, before: Columns, where: str) -> list[Problem]:
        """Columns that the contract states and that cannot be there, or are of another type, as far as that is known."""
        from raypipe.data.contract.fit import misfits
        from raypipe.data.transform.flow import cannot_be, columns_after
        from raypipe.data.types import is_type, parse_type

        if self.contract is None or self.contract.problems():
            return []
        after, stated = columns_after(self._entries(), before), self.contract.types()
        types = {**before.types, **after.types}
        names = self.columns(before).names
        known = names if names is not None else [name for name in types if name in stated]
        found = {name: parse_type(types[name]) if is_type(types.get(name, "")) else None for name in known}
        told = misfits(found, stated, self.contract.exact, whole=names is not None)
        missing = cannot_be(self._entries(), before, list(stated)) if names is None else []
        told += [f"no column '{name}' is in the table or made by the chain.{nearest(name, before.names or ())}" for name in missing]
        return [Problem(f"{where}.contract", text) for text in told]

    def _entries(self) -> dict[str, Any]:
        from raypipe.data.transform.query import without_queries

        return without_queries(self._written())

    def _written(self) -> dict[str, Any]:
        from raypipe.data.transform.function import Function

        return {n: Function.of(e) if isinstance(e, UserCode) else e for n, e in self.entries.items()}

    def _condition(self) -> str | None:
        from raypipe.data.transform.query import condition

        return condition(self.where, self.entries)

    def _recorded(self) -> dict[str, Json]:
        return {e.target: e.recorded for e in self.entries.values() if isinstance(e, UserCode)}

    def _refuse(self, work: Work, schema: TableSchema) -> None:
        learning = [name for name, entry in self._entries().items() if entry.learns() and not hasattr(entry, "function")]
        if schema.split is None and learning:
            raise DataError(
                f"{work.step}: the table of '{self.table}' has no split, so there is no training part to fit "
                f"{', '.join(learning)} on; let it read a split."
            )
        if schema.label is not None and schema.label not in schema.arrow.names:
            raise DataError(
                f"{work.step}: there is no label '{schema.label}' among the columns of '{self.table}': {', '.join(schema.arrow.names)}."
            )
        problems = self.check(work.step, _columns_of(schema))
        if problems:
            raise DataError("\n".join(map(str, problems)))

    def _where(self, schema: TableSchema) -> Where | None:
        from raypipe.data.transform.where import Where

        condition = self._condition()
        return None if condition is None else Where.over(condition, schema.arrow)

    def _fit(self, work: Work, schema: TableSchema, parts: list[Fragment], where: Where | None) -> FittedChain:
        import pyarrow as pa

        from raypipe.data.transform.chain import Chain
        from raypipe.data.transform.passes import Training, learn, reached
        from raypipe.data.transform.where import of_part

        def partials(stage: Stage) -> list[Json]:
            work.report(f"fitting {', '.join(stage.names)} on the training part")
            part = of_part(schema.split, schema.arrow, "train")
            return learn(work, _Fit(Training(work.store, stage, schema.split, where, part), self._recorded()), reached(parts, where, part))

        entries = load_functions(self._entries(), self._recorded())
        fitted = Chain(entries, schema.label).fit(pa.schema([f for f in schema.arrow if f.name != schema.label]), partials)
        for note in fitted.notes():
            work.report(note)
        return fitted

    def _fitted(self, work: Work, schema: TableSchema, parts: list[Fragment], where: Where | None) -> Fitted:
        """The chain, fitted anew, or as it was where it may stay."""
        from raypipe.data.transform.refit import Describe, Fitted, fitted, fitted_on
        from raypipe.data.transform.where import of_part

        def anew() -> FittedChain:
            return self._fit(work, schema, parts, where)

        if self.refit == "always":
            return Fitted(anew())
        names = fitted_on(self._entries(), schema.arrow.names, schema.label)
        describe = Describe(work.store, names, schema.split, where, of_part(schema.split, schema.arrow, "train"))
        return fitted(work, self.refit, self.refit_above, parts, describe, (anew, lambda chain: _Recorded(chain, self._recorded()).load()))

    def _increment(self, work: Work, table: Table, kernel: Apply, name: str) -> Increment:
        from raypipe.data.contract.breaches import table_of
        from raypipe.data.increment import increment
        from raypipe.data.transform.refit import BUT

        depends = [json.dumps(kernel.chained.to_json(), sort_keys=True), kernel.split, kernel.against.to_json()]
        keeps_out = self.contract is not None and self.contract.keeps_out
        new = increment(work, table, depends, BUT, beside=table_of(name) if keeps_out else None)
        if str(new):
            work.report(str(new))
        return new

    def _kernel(self, work: Work, fitted: FittedChain, schema: TableSchema, where: Where | None) -> Apply:
        from raypipe.data.contract.against import NOTHING
        from raypipe.data.contract.references import against
        from raypipe.data.transform.kernel import Apply

        others = NOTHING if self.contract is None else against(work, self.contract)
        chained = _Recorded(fitted.to_json(), self._recorded())
        return Apply(work.store, work.path, schema.arrow, chained, schema.split, where, self.contract, others, self.profile)

    def _after(self, schema: TableSchema, done: Transformed, fitted: FittedChain) -> TableSchema:
        from raypipe.data.transform.flow import marked

        names, marks = done.whole.schema.names, schema.known_afterwards
        if schema.label is None:
            made = marked(self._entries(), _columns_of(schema), [n for n in names if n in fitted.features.names])
            marks = tuple(sorted({*made, *(n for n in marks if n in names and n not in fitted.features.names)}))
        features = tuple(fitted.features.names) if schema.label is not None else None
        return replace(schema, arrow=done.whole.schema, known_afterwards=marks, features=features)

    def _counts(self, work: Work, done: Transformed, table: Table) -> dict[str, Json]:
        """What became of the rows; each kernel has reconciled its own. DataError where fragments were lost."""
        counts = {"rows_in": done.sum("rows"), **{f"rows_{what}": done.sum(what) for what in ("left_out", "dropped", "quarantined")}}
        lost = table.num_rows - sum(counts.values()) + counts["rows_in"] - done.whole.num_rows
        if lost:
            raise DataError(f"{work.step}: {lost:,} of {table.num_rows:,} rows are neither written nor counted: {counts}")
        if condition := self._condition():
            work.report(f"{counts['rows_left_out']:,} of {table.num_rows:,} rows do not meet `{condition}`: left out")
        return counts

    def _beside(self, work: Work, name: str, done: Transformed) -> Sequence[Commit]:
        if self.contract is None or not self.contract.keeps_out:
            return ()
        from raypipe.data.contract.breaches import breaches_commits, breaches_target

        anew = done.whole.increment.before is None
        to = breaches_target(work, name, done.whole.schema, anew=anew)
        return breaches_commits(work, name, to, done.breaches, anew=anew)

    def _files(self, work: Work, fitted: FittedChain, kernel: Apply, parts: list[Fragment], schema: TableSchema) -> list[File]:
        from raypipe.data.transform.passes import examples

        rows = examples(work.store, parts, fitted.inputs, schema.split, kernel.where, schema.arrow)
        files = [work.store.write(f"{work.path}/{CHAIN}", json.dumps(fitted.to_json(), sort_keys=True).encode())]
        if recorded := self._recorded():
            files.append(work.store.write(f"{work.path}/{CODE}", json.dumps(recorded, sort_keys=True).encode()))
        return [*files, work.store.write(f"{work.path}/{EXAMPLES}", rows)]


def load_functions(entries: Mapping[str, Any], recorded: Mapping[str, Json]) -> dict[str, Any]:
    """The entries with the functions of the user's loaded from their recorded source."""
    return {
        n: replace(e, function=UserCode(e.target, {}, recorded[e.target]).load()) if getattr(e, "target", None) else e
        for n, e in entries.items()
    }


def _columns_of(schema: TableSchema) -> Columns:
    from raypipe.data.types import type_name

    types = {f.name: type_name(f.type) for f in schema.arrow}
    return Columns(tuple(schema.arrow.names), types, frozenset(schema.known_afterwards), schema.label)


def _inputs(fitted: FittedChain, parts: list[Fragment]) -> list[Json]:
    """The columns that a request must bring: name, Arrow type, and whether null was ever seen in them."""
    from raypipe.data.types import type_name

    nulls = {f.name: any(p.stats.get(f.name, {}).get("nulls") for p in parts) for f in fitted.inputs}
    return [{"name": f.name, "type": type_name(f.type), "nullable": nulls[f.name]} for f in fitted.inputs]


@dataclass(frozen=True)
class _Fit:
    """The kernel that learns. It travels to a task with the functions' source, not with the functions."""

    training: Training
    recorded: Mapping[str, Json]

    def __getstate__(self) -> dict[str, Any]:
        entries: dict[str, Any] = dict(self.training.stage.chain.entries)
        bare = {n: replace(e, function=None) if hasattr(e, "function") else e for n, e in entries.items()}
        return {**self.__dict__, "training": self._with(bare)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__["training"] = self._with(load_functions(self.training.stage.chain.entries, self.recorded))

    def _with(self, entries: Mapping[str, Any]) -> Training:
        chain = replace(self.training.stage.chain, entries=entries)
        return replace(self.training, stage=replace(self.training.stage, chain=chain))

    def __call__(self, fragment: Fragment) -> list[Json]:
        return self.training(fragment)


@dataclass(frozen=True)
class _Recorded:
    """A fitted chain as data, with the recorded source of its functions."""

    chain: Json
    recorded: Mapping[str, Json]

    def to_json(self) -> Json:
        return self.chain

    def load(self) -> FittedChain:
        from raypipe.data.transform.chain import FittedChain

        functions = {target: UserCode(target, {}, recorded).load() for target, recorded in self.recorded.items()}
        return FittedChain.from_json(self.chain, functions)
