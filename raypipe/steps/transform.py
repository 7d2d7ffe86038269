"""Transform: a chain of row-wise functions and fitted transforms, fitted on the training part only, then applied to every row."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

from raypipe.code.recorded import UserCode
from raypipe.core.artifact import Json, Table
from raypipe.core.errors import DataError, Problem, nearest
from raypipe.core.step import Columns, Made, Ref, Work

if TYPE_CHECKING:
    import pyarrow as pa

    from raypipe.core.store import Store
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.table import TableSchema
    from raypipe.data.transform.chain import Chain, FittedChain, Stage

CHAIN = "chain.json"
"""The fitted chain as data, among the artifact's files."""
CODE = "code.json"
"""The recorded source of the chain's functions, by import path; absent where it has none."""
EXAMPLES = "examples.arrow"
"""A few rows of the validation part as they are before the transform: the bundle's sample."""
NUM_EXAMPLES = 8


@dataclass(frozen=True)
class Transform:
    """The table with the model's features: what the chain makes, then every column that it does not touch."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("pyarrow", "numpy")

    label: str | None = None
    """The label's column: it goes round the chain. Set by the slot `label`."""
    entries: dict[str, Any] = field(default_factory=dict)
    """Name -> transform, or function of the user's from `pa.Table` to `pa.Table`, in order."""
    table: Ref[Table] = Ref("split")
    """The step whose table is transformed; it must have a split."""

    @classmethod
    def identity(cls, settings: dict[str, Json]) -> dict[str, Json]:
        """The entries with their order, which a mapping in canonical JSON has none of."""
        return {**settings, "order": list(settings.get("entries", {}))}

    def check(self, where: str, table: Columns | None = None) -> list[Problem]:
        from raypipe.data.transform.flow import check

        names = table.names if table else None
        if names is not None and self.label is not None and self.label not in names:
            return [Problem(f"{where}.label", f"there is no column '{self.label}' in '{self.table}'.{nearest(self.label, names)}")]
        return check(self._entries(), replace(table or Columns(None), label=self.label), where)

    def columns(self, table: Columns) -> Columns:
        from raypipe.data.transform.flow import columns_after

        after = columns_after(self._entries(), replace(table, label=self.label))
        names = None if after.names is None or table.names is None else (*after.names, *(n for n in table.names if n not in after.names))
        return replace(after, names=names, known_afterwards=table.known_afterwards, label=self.label)

    def run(self, work: Work, table: Table) -> Made[Table]:
        from raypipe.data.rows import map_rows
        from raypipe.data.table import TableSchema, fragments, made

        schema = TableSchema.from_json(table.schema)
        parts = fragments(work.ledger, table)
        self._refuse(work, schema)
        work.report(f"fitting {len(self.entries)} transforms on the training part")
        fitted = self._fit(work, schema, parts)
        for note in fitted.notes():
            work.report(note)
        written = map_rows(work, _Apply(fitted.to_json(), self._recorded(), schema.split), parts)
        files = self._files(work, fitted, [n["examples"] for n in written.notes if n["examples"]])
        after = replace(schema, arrow=written.schema, label=self.label, features=tuple(fitted.features.names))
        figures = {"inputs": _inputs(fitted, parts), "num_features": len(fitted.features), "of_rows": table.digest}
        result = made(work, f"{work.pipeline}.{work.step}", after, written.fragments, mode="overwrite", figures=figures)
        digest = hashlib.sha256(f"{result.digest} {files[0].sha256}".encode()).hexdigest()
        return replace(result, digest=digest, files=(*result.files, *files))

    def _entries(self) -> dict[str, Any]:
        from raypipe.data.transform.function import Function

        return {n: Function.of(e) if isinstance(e, UserCode) else e for n, e in self.entries.items()}

    def _recorded(self) -> dict[str, Json]:
        return {e.target: e.recorded for e in self.entries.values() if isinstance(e, UserCode)}

    def _refuse(self, work: Work, schema: TableSchema) -> None:
        from raypipe.data.types import type_name

        if schema.split is None:
            raise DataError(
                f"{work.step}: the table of '{self.table}' has no split, so there is no training part to fit on; let it read a split."
            )
        if self.label not in schema.arrow.names:
            raise DataError(
                f"{work.step}: there is no label '{self.label}' among the columns of '{self.table}': {', '.join(schema.arrow.names)}."
            )
        types = {f.name: type_name(f.type) for f in schema.arrow}
        problems = self.check(work.step, Columns(tuple(schema.arrow.names), types, frozenset(schema.known_afterwards)))
        if problems:
            raise DataError("\n".join(map(str, problems)))

    def _fit(self, work: Work, schema: TableSchema, parts: list[Fragment]) -> FittedChain:
        import pyarrow as pa

        from raypipe.data.map import map_fragments
        from raypipe.data.transform.chain import Chain

        def partials(stage: Stage) -> list[Json]:
            work.alive()
            return map_fragments(_Fit(work.store, stage, self._recorded(), schema.split), parts, inline=work.inline)

        entries = load_functions(self._entries(), self._recorded())
        return Chain(entries, self.label).fit(pa.schema([f for f in schema.arrow if f.name != self.label]), partials)

    def _files(self, work: Work, fitted: FittedChain, examples: list[bytes]) -> list[Any]:
        files = [work.store.write(f"{work.path}/{CHAIN}", json.dumps(fitted.to_json(), sort_keys=True).encode())]
        if recorded := self._recorded():
            files.append(work.store.write(f"{work.path}/{CODE}", json.dumps(recorded, sort_keys=True).encode()))
        return [*files, work.store.write(f"{work.path}/{EXAMPLES}", examples[0])]


def load_functions(entries: Mapping[str, Any], recorded: Mapping[str, Json]) -> dict[str, Any]:
    """The entries with the functions of the user's loaded from their recorded source."""
    return {
        n: replace(e, function=UserCode(e.target, {}, recorded[e.target]).load()) if getattr(e, "target", None) else e
        for n, e in entries.items()
    }


def _refuse_moved(split: Json, rows: pa.Table, features: pa.Table) -> None:
    """A row's part is told by columns of the split, here and behind: changed ones would put rows of one part into another."""
    from raypipe.data.split import columns

    for name in columns(split):
        if name in features.column_names and not _is_same(features.column(name), rows.column(name)):
            raise DataError(
                f"the transform changes column '{name}', by which the rows are split into parts: from here on a row of one part would be "
                "taken for one of another. Split by another column, or let a function copy it first and transform the copy."
            )


def _is_same(made: pa.ChunkedArray, before: pa.ChunkedArray) -> bool:
    import pyarrow as pa

    try:
        return made.equals(before) or (made.type != before.type and made.cast(before.type).equals(before))
    except pa.ArrowException:
        return False


def _inputs(fitted: FittedChain, parts: list[Fragment]) -> list[Json]:
    """The columns that a request must bring: name, Arrow type, and whether null was ever seen in them."""
    from raypipe.data.types import type_name

    nulls = {f.name: any(p.stats.get(f.name, {}).get("nulls") for p in parts) for f in fitted.inputs}
    return [{"name": f.name, "type": type_name(f.type), "nullable": nulls[f.name]} for f in fitted.inputs]


@dataclass(frozen=True)
class _Fit:
    """A fragment's training rows -> the states of one stage. It travels to a task with the functions' source, not with the functions."""

    store: Store
    stage: Stage
    recorded: Mapping[str, Json]
    split: Json

    def __getstate__(self) -> dict[str, Any]:
        entries: dict[str, Any] = dict(self.stage.chain.entries)
        bare = {n: replace(e, function=None) if hasattr(e, "function") else e for n, e in entries.items()}
        return {**self.__dict__, "stage": replace(self.stage, chain=replace(self.stage.chain, entries=bare))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        chain: Chain = state["stage"].chain
        loaded = replace(chain, entries=load_functions(chain.entries, state["recorded"]))
        self.__dict__.update(state, stage=replace(state["stage"], chain=loaded))

    def __call__(self, fragment: Fragment) -> Json:
        from raypipe.data.fragment.fragment import read_fragment
        from raypipe.data.split import columns, mask

        wanted = list(dict.fromkeys([*self.stage.columns, *columns(self.split)]))
        rows = read_fragment(self.store, fragment, wanted)
        return self.stage(rows.filter(mask(self.split, rows, "train")))


class _Apply:
    """Rows -> features and the columns that went round; notes a few validation rows as they were."""

    def __init__(self, chain: Json, recorded: Mapping[str, Json], split: Json):
        self.chain, self.recorded, self.split = chain, recorded, split
        self._fitted: FittedChain | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_fitted": None}

    def __call__(self, rows: pa.Table) -> tuple[pa.Table, Json]:
        features = self._loaded().apply(rows)
        _refuse_moved(self.split, rows, features)
        around = [n for n in rows.column_names if n not in features.column_names]
        for name in around:
            features = features.append_column(rows.schema.field(name), rows.column(name))
        return features, {"examples": self._examples(rows)}

    def _loaded(self) -> FittedChain:
        from raypipe.data.transform.chain import FittedChain

        if self._fitted is None:
            functions = {target: UserCode(target, {}, recorded).load() for target, recorded in self.recorded.items()}
            self._fitted = FittedChain.from_json(self.chain, functions)
        return self._fitted

    def _examples(self, rows: pa.Table) -> bytes | None:
        import pyarrow as pa

        from raypipe.data.split import mask

        found = rows.filter(mask(self.split, rows, "validation")).slice(0, NUM_EXAMPLES).select(self._loaded().inputs.names)
        if not found.num_rows:
            return None
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, found.schema) as writer:
            writer.write_table(found)
        return sink.getvalue().to_pybytes()
