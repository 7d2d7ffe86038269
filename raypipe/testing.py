"""What raypipe runs, run in a test of the user's own: a contract, a transform, a whole pipeline, each in a temporary project."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.artifact import Artifact, Table
from raypipe.core.cluster import Cluster, Debug
from raypipe.core.errors import ConfigError, DataError, nearest
from raypipe.core.place import Place, find_project
from raypipe.core.step import Work
from raypipe.core.wording import counted
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.plan import Scene, open_scene
from raypipe.pipeline.run import RunResult

if TYPE_CHECKING:
    from raypipe.data.contract.contract import Contract
    from raypipe.data.contract.trial import Trial
    from raypipe.data.fragment.fragment import Fragment
    from raypipe.data.transform.chain import FittedChain
    from raypipe.data.transform.kernel import Apply, Done
    from raypipe.steps.transform import Transform

NUM_TOLD = 20
"""Rows that differ, or rules that are broken, that an AssertionError tells."""


def check_contract(contract: Any, rows: Any, project_path: Path | str | None = None) -> Trial:
    """What a contract finds in rows (an Arrow table, a Polars or pandas frame) or in files (a path of Parquet, CSV or JSON lines).

    `contract` is a raypipe.Contract, the path of one as YAML, or a schema of pandera's. AssertionError with every rule that is broken, and
    examples with their file and row, where an ingest under it would refuse them.
    """
    from raypipe.data.contract.trial import files_of, trial

    with _scratch(project_path) as work:
        contract = _contract(contract, work.project_path)
        of_files = isinstance(rows, str | Path)
        found = trial(work, contract, files_of(work, str(rows), contract.types()) if of_files else [_OfRows(_arrow(rows))])
    if not found.passed:
        raise AssertionError(_told_rules(found))
    return found


def apply_transform(
    transform: Any, rows: Any, fit_on: Any = None, *, label: str | None = None, project_path: Path | str | None = None
) -> pa.Table:
    """What a transform makes of rows, by the very pass that a run makes over a file: `where`, the chain, `contract`.

    `transform` is a step raypipe.Transform, a mapping of names to entries, one entry, or one function of the user's that can be imported
    from the project. What learns is fitted on `fit_on`, by default on the rows themselves; `label` goes round the chain. DataError where a
    run would fail.
    """
    return _Applied(_transform(transform, label, project_path), rows, fit_on, project_path).table


def assert_same_online(
    transform: Any, rows: Any, fit_on: Any = None, *, label: str | None = None, project_path: Path | str | None = None
) -> pa.Table:
    """The features of the rows, once it is sure that each row alone, as the endpoint gets it, has the same ones, bit for bit.

    AssertionError names the rows and columns that differ: an entry that looks at other rows, say.
    """
    applied = _Applied(_transform(transform, label, project_path), rows, fit_on, project_path)
    inputs = applied.rows.select(applied.chain.inputs.names)
    batch = applied.chain.apply(inputs)
    if batch.num_rows != inputs.num_rows:
        raise AssertionError(f"{inputs.num_rows:,} rows become {batch.num_rows:,}: a request of one row has one answer")
    differing = [line for number in range(inputs.num_rows) for line in _differing(applied.chain, inputs, batch, number)]
    if differing:
        more = [f"... and {len(differing) - NUM_TOLD:,} more"] if len(differing) > NUM_TOLD else []
        raise AssertionError("\n".join(["a row alone is not what it is in a batch:", *differing[:NUM_TOLD], *more]))
    return batch


@dataclass
class Ran:
    """What a pipeline came to in its temporary project, which is there as long as this object is."""

    result: RunResult
    scene: Scene = field(repr=False)
    lines: list[str]
    """What the steps reported on the way, each behind the name of its step."""

    def __getitem__(self, step: str) -> Artifact:
        """The step's artifact, with its `figures`."""
        if step not in self.result.steps:
            raise KeyError(f"there is no step '{step}'.{nearest(step, self.result.steps)}")
        return self.result[step]

    def table(self, step: str, columns: Sequence[str] | None = None, part: str | None = None) -> pa.Table:
        """The rows that the step made; `part` is `train`, `validation` or `test` where they have a split."""
        from raypipe.data.table import read

        artifact = self[step]
        if not isinstance(artifact, Table):
            raise TypeError(f"step '{step}' makes a {artifact.kind}, not a table")
        return read(self.scene.ledger, self.scene.store, artifact, columns, part)

    @property
    def tables(self) -> dict[str, pa.Table]:
        """Step -> its rows, of every step that makes some."""
        made = {name: step.artifact for name, step in self.result.steps.items()}
        return {name: self.table(name) for name, artifact in made.items() if isinstance(artifact, Table)}


def run_pipeline(
    pipeline: Pipeline | Path | str,
    overrides: Sequence[str] = (),
    *,
    name: str | None = None,
    upto: str | None = None,
    rows: Mapping[str, Any] | None = None,
    sample: float = 1.0,
    cluster: Cluster = Debug(),
    check: bool = True,
    effects: bool = False,
) -> Ran:
    """A whole pipeline (a value, or the folder of a config with its overrides) in this process, with a ledger and a store of its own.

    `upto` is the last step, with all that it is made from; without it every step runs. `rows`: step -> what its source has in this test,
    instead of the files it names. `sample` takes a share of each source's rows. A step of
    the user's own that acts on the world is left out, with what reads it, unless `effects`. AssertionError, with what was told, where the
    run does not end well; not with `check=False`.
    """
    from raypipe.pipeline.driver import Options, StepEvent
    from raypipe.pipeline.run import run

    place, found = _opened(pipeline, overrides, name)
    folder = Path(tempfile.mkdtemp(prefix="raypipe-test-"))
    found = found if upto is None else _upto(found, upto)
    found = _with_rows(found if effects else _without_effects(found, place), rows or {}, folder)
    scene = open_scene(sample=sample, place=replace(place, ledger_url=f"sqlite:///{folder}/ledger.db", store_root=str(folder / "store")))
    lines: list[str] = []

    def tell(event: StepEvent) -> None:
        if event.what == "progress":
            lines.append(f"{event.step}: {event.why}")

    made = Ran(RunResult("", found.name), scene, lines)
    weakref.finalize(made, _end, scene, folder)
    made.result = run(found, scene, Options(cluster=cluster, on_event=tell))
    if check and made.result.exit_code:
        raise AssertionError("\n".join([str(made.result), *lines]))
    return made


def _end(scene: Scene, folder: Path) -> None:
    scene.ledger.close()
    shutil.rmtree(folder, ignore_errors=True)


def _opened(pipeline: Pipeline | Path | str, overrides: Sequence[str], name: str | None) -> tuple[Place, Pipeline]:
    """With the user's project: its folder is where sources and code are looked for."""
    if isinstance(pipeline, Pipeline):
        if overrides:
            raise ConfigError("overrides are of a config: give its folder, or make the Pipeline as it should be")
        return find_project(None, Path(pipeline.project_path or Path.cwd())), pipeline
    from raypipe.cli.pipeline import config_name
    from raypipe.config.compose import compose
    from raypipe.pipeline.assemble import assemble

    folder = Path(pipeline)
    place = find_project(folder, Path.cwd())
    composed = compose(folder, config_name(folder, name), tuple(overrides))
    return place, assemble(composed.values, (place.path,))


def _with_rows(pipeline: Pipeline, rows: Mapping[str, Any], folder: Path) -> Pipeline:
    """The pipeline, these of whose sources have these rows."""
    import pyarrow.parquet as pq

    from raypipe.data.source.parquet import Parquet
    from raypipe.pipeline.lower import lower
    from raypipe.pipeline.write import to_arrow

    sources = [name for name, node in pipeline.nodes.items() if "source" in node.settings]
    if wrong := [name for name in rows if name not in sources]:
        raise ConfigError(f"rows of '{wrong[0]}': there is no such source.{nearest(wrong[0], sources)}")
    nodes = dict(pipeline.nodes)
    for name, table in rows.items():
        path = folder / f"{name}.parquet"
        pq.write_table(to_arrow(name, table), path, write_page_checksum=True)
        nodes[name] = replace(nodes[name], settings={**nodes[name].settings, "source": lower(Parquet(str(path)))})
    return Pipeline.of(pipeline.name, nodes)


def _upto(pipeline: Pipeline, last: str) -> Pipeline:
    from raypipe.pipeline.graph import reads

    if last not in pipeline.nodes:
        raise ConfigError(f"upto='{last}': there is no such step.{nearest(last, pipeline.nodes)}")
    wanted, left = set(), [last]
    while left:
        name = left.pop()
        wanted.add(name)
        left += [other for other in reads(pipeline.nodes[name]) if other not in wanted]
    return Pipeline.of(pipeline.name, {name: node for name, node in pipeline.nodes.items() if name in wanted})


def _without_effects(pipeline: Pipeline, place: Place) -> Pipeline:
    """raypipe's own act on the temporary ledger alone."""
    from raypipe.pipeline.build import defines

    acts = {
        name for name, node in pipeline.nodes.items() if not node.target.startswith("raypipe.") and defines(node, "standing", (place.path,))
    }
    kept: dict[str, Node] = {name: node for name, node in pipeline.nodes.items() if name not in acts}
    while gone := [name for name, node in kept.items() if any(ref and ref not in kept for ref in node.refs.values())]:
        for name in gone:
            del kept[name]
    return Pipeline.of(pipeline.name, kept)


@dataclass(frozen=True)
class _OfRows:
    """Rows in memory, as a contract reads them."""

    rows: pa.Table
    path: str = "rows"
    name: str = "rows"
    tells_rows: bool = True
    size: int = 0

    def batches(self, columns: Sequence[str] | None = None) -> Iterator[tuple[pa.Table, Any]]:
        import numpy as np

        yield self.rows if columns is None else self.rows.select(list(columns)), np.arange(1, self.rows.num_rows + 1)


@contextmanager
def _scratch(project_path: Path | str | None) -> Iterator[Work]:
    """What a step works with, in the user's project folder, with a ledger and a store that are gone afterwards."""
    place = find_project(None, Path(project_path) if project_path else Path.cwd())
    with tempfile.TemporaryDirectory(prefix="raypipe-test-") as folder:
        scene = open_scene(place=replace(place, ledger_url=f"sqlite:///{folder}/ledger.db", store_root=f"{folder}/store"))
        try:
            look = scene.look("testing", "step")
            yield Work(**{name: getattr(look, name) for name in look.__dataclass_fields__}, path="testing/step", inline=True)
        finally:
            scene.ledger.close()


def _written(work: Work, name: str, rows: Any) -> Fragment:
    from raypipe.data.fragment.fragment import write_fragment

    return write_fragment(work.store, f"{work.path}/{name}.parquet", _arrow(rows))


def _arrow(rows: Any) -> pa.Table:
    from raypipe.pipeline.write import to_arrow

    return to_arrow("rows", rows)


def _contract(given: Any, project_path: Path) -> Contract:
    from raypipe.config.contract import read_contract
    from raypipe.data.contract.contract import Contract
    from raypipe.data.contract.pandera_ import is_schema

    if isinstance(given, str | Path):
        return read_contract(project_path / given)
    if not isinstance(given, Contract) and not is_schema(given):
        found = type(given).__name__
        raise ConfigError(f"contract is {found}, expected a raypipe.Contract, the path of one as YAML, or a schema of pandera's")
    contract = given if isinstance(given, Contract) else Contract.of(given)
    if problems := contract.problems():
        raise ConfigError("\n".join(problems))
    return contract


def _told_rules(found: Trial) -> str:
    """A line a rule, with its first examples."""
    from raypipe.data.contract.findings import refusals

    head = f"the contract is broken ({counted(found.num_rows, 'row')} looked at):"
    return "\n".join([head, *found.problems, *refusals(found.rules)][: NUM_TOLD + 1])


def _transform(transform: Any, label: str | None, project_path: Path | str | None) -> Transform:
    """The step as a run builds it: functions of the user's by their recorded source."""
    from raypipe.pipeline.build import component
    from raypipe.pipeline.lower import lower, search_paths
    from raypipe.steps.transform import Transform

    search = search_paths(project_path)
    if isinstance(transform, Transform):
        step = component(lower(transform), search)
        return step if label is None else replace(step, label=label)
    entries = transform if isinstance(transform, Mapping) else {"entry": transform}
    for name, entry in entries.items():
        if not callable(entry) and not hasattr(entry, "problems"):
            what = f"transform.{name}" if entries is transform else "transform"
            raise ConfigError(f"{what} is {type(entry).__name__}, expected an entry such as raypipe.Standardize, or a function of yours")
    return Transform(label=label, entries={name: component(lower(entry), search) for name, entry in entries.items()})


class _Applied:
    """A transform fitted and applied, as a run does it to a file."""

    def __init__(self, step: Transform, rows: Any, fit_on: Any, project_path: Path | str | None):
        from raypipe.data.fragment.fragment import read_fragment
        from raypipe.data.rows import Item
        from raypipe.data.table import TableSchema

        self.rows = _arrow(rows)
        with _scratch(project_path) as work:
            part = _written(work, "rows", self.rows)
            learnt = part if fit_on is None else _written(work, "fit_on", fit_on)
            schema = TableSchema(self.rows.schema, label=step.label if step.label in self.rows.column_names else None)
            _refuse(step, schema)
            where = step._where(schema)
            self.chain: FittedChain = step._fit(work, schema, [learnt], where)
            kernel = step._kernel(work, self.chain, schema, where)
            done = kernel(Item(0, part))
            _judge(work, kernel, done)
            self.table = read_fragment(work.store, done.fragment)


def _judge(work: Work, kernel: Apply, done: Done) -> None:
    """DataError where the contract refuses the rows."""
    from raypipe.data.contract.judgement import New, Stays, judged

    if kernel.contract is not None:
        refused = [done.refused] if done.refused else []
        new = New([done.note["findings"]], [done.fragment], {done.fragment.path: "rows"}, refused)
        judged(work, kernel.contract, Stays(), new, kernel.against, table="rows")


def _refuse(step: Transform, schema: Any) -> None:
    from raypipe.core.step import Columns
    from raypipe.data.types import type_name

    types = {f.name: type_name(f.type) for f in schema.arrow}
    if problems := step.check("transform", Columns(tuple(types), types, label=schema.label)):
        raise DataError("\n".join(map(str, problems)))


def _differing(chain: FittedChain, inputs: pa.Table, batch: pa.Table, number: int) -> Iterator[str]:
    """A line a column of the row."""
    alone = chain.apply(inputs.slice(number, 1))
    types, wanted = ([f"{f.name} {f.type}" for f in table.schema] for table in (alone, batch))
    if types != wanted:
        yield f"row {number + 1}: columns {', '.join(types)} alone, {', '.join(wanted)} in the batch"
        return
    for name in batch.column_names:
        one, many = (table.column(name).combine_chunks() for table in (alone, batch.slice(number, 1)))
        if not _same_bits(one, many):
            yield f"row {number + 1}, column '{name}': {one[0].as_py()!r} alone, {many[0].as_py()!r} in the batch"


def _same_bits(one: pa.Array, many: pa.Array) -> bool:
    if pa.types.is_floating(one.type):
        width = pa.int64() if one.type == pa.float64() else pa.int32() if one.type == pa.float32() else pa.int16()
        return one.is_valid().equals(many.is_valid()) and one.view(width).equals(many.view(width))
    return one.equals(many)
