"""Figures that conditions read, known or not before anything runs."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from raypipe.cli.main import main
from raypipe.code.shape import shape
from raypipe.config.compose import compose
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.figures import figures_of, misnamed
from raypipe.pipeline.plan import open_scene
from tests.rules.source import modules

STEPS = """
steps:
  sums: {_target_: raypipe.Aggregate, table: source, by: [plan], make: {num: "count(*)"}}
  once: {_target_: raypipe.Distinct, table: source, by: [plan]}
  joined: {_target_: raypipe.Join, left: source, right: sums, on: plan}
  sorted: {_target_: raypipe.Sort, table: source, by: [age]}
  ranked: {_target_: raypipe.Window, table: source, partition_by: [plan], order_by: [age], make: {place: "row_number() over ()"}}
  old: {_target_: raypipe.Label, table: source, column: is_old, sql: age > 60}
  leaks: {_target_: raypipe.LeakCheck, table: split, keys: [customer_id], label: left}
  answers: {_target_: raypipe.Predict, table: split, model: train, keep: [customer_id]}
  batches: {_target_: raypipe.MapBatches, table: source, function: {_target_: own.same}}
  each: {_target_: raypipe.Map, function: {_target_: own.length}, over: once, takes: [plan]}
  back: {_target_: raypipe.FromTable, name: churn.source}
  copied: {_target_: raypipe.Write, table: source, into: copy, mode: upsert, key: [customer_id]}
  whole: {_target_: raypipe.Compact, table: copied}
  ended: {_target_: raypipe.Expire, table: copied, keep_last: 3}
  called: {_target_: own.both, left: source, right: sums}
  mine: {_target_: own.Mine}
"""
OWN = """
import pyarrow as pa
from raypipe import Made, Ref, Report, Table

def same(rows: pa.Table) -> pa.Table:
    return rows

def length(plan: str) -> int:
    return len(plan)

def both(left: pa.Table, right: pa.Table) -> pa.Table:
    return left

class Mine:
    def run(self, work) -> Made[Report]:
        return Made("mine", figures={"score": 1})
"""


@pytest.fixture
def steps(churn: Path) -> Path:
    with (churn / "conf" / "churn.yaml").open("a") as stream:
        stream.write(STEPS)
    (churn / "own.py").write_text(OWN)
    return churn


def test_no_step_has_a_figure_that_it_does_not_say(steps: Path):
    """Of each kind of step that there is, run once; each figure that a kind always has is seen."""
    assert main(["run", "cluster=debug"]) == 0
    scene, pipeline = open_scene(steps), assemble(compose(steps / "conf", "churn").values, (steps,))
    for name, node in pipeline.nodes.items():
        artifact, _ = scene.ledger.nearest("churn", name) or (None, None)
        assert artifact is not None, name
        said = figures_of(node, (steps,))
        assert said is not None or name == "mine"
        assert [figure for figure in artifact.figures if said is not None and misnamed(name, figure, said)] == [], name
        unseen = {figure.partition(".")[0] for figure in said or ()} - artifact.figures.keys() - SOMETIMES
        assert unseen == set(), name
    assert {node.target for node in pipeline.nodes.values() if node.target.startswith("raypipe.")} == kinds()


SOMETIMES = {"strata", "fit", "contract", "rows_deleted", "errors", "reasons"}


def kinds() -> set[str]:
    """Every step of raypipe's own that a pipeline may name."""
    found = set()
    for module in modules():
        if module.room == "steps":
            names = [node.name for node in module.tree.body if isinstance(node, ast.ClassDef)]
            found |= {target for name in names if "run" in shape(target := f"{module.name}.{name}", ()).members}
    return found - {"raypipe.steps.function.FunctionStep"}


@pytest.mark.parametrize(
    ("when", "says"),
    [
        ("evaluate.acu > 0.7", "execution.deploy.when: 'evaluate' has no figure 'acu'. Did you mean 'auc'?"),
        ("evaluate.auc > 0.7 and gate.pased", "execution.deploy.when: 'gate' has no figure 'pased'. Did you mean 'passed'?"),
        ("train.auc > 0.7", "Did you mean 'validation.auc'? There are: best_epoch, epochs, export_difference"),
        ("train.validation.acu > 0.7", "'train' has no figure 'validation.acu'. Did you mean 'validation.auc'?"),
        (
            "source.rows > 0",
            "execution.deploy.when: 'source' has no figure 'rows'. Did you mean 'num_rows'? There are: contract, files_quarantined,",
        ),
        ("old.droped == 0", "'old' has no figure 'droped'. Did you mean 'dropped'?"),
        ("called.rows_in.lefft > 0", "'called' has no figure 'rows_in.lefft'. Did you mean 'rows_in.left'?"),
        ("train.validation.auc > 0.7 and source.num_rows > 10 and called.rows_in.left > 0 and split.parts.train > 0", ""),
        ("source.contract.digest != '' and evaluate.precision >= 0", ""),
    ],
)
def test_a_figure_that_a_step_never_has(steps: Path, capsys: pytest.CaptureFixture[str], when: str, says: str):
    for verb in ("check", "plan"):
        code = main([verb, f'+execution.deploy.when="{when}"'])
        out, err = capsys.readouterr()
        assert code == (2 if says else 0), out + err
        assert says in " ".join((out + err).split())


def test_a_figure_that_a_class_of_the_users_gives_is_let_through_and_told(steps: Path, capsys: pytest.CaptureFixture[str]):
    words = ['+execution.deploy.when="mine.score > 0 and source.num_rows > 0"', "cluster=debug"]
    told = "execution.deploy.when: whether there is mine.score only the run can tell: the step's class gives figures of its own"
    for verb in ("check", "plan"):
        assert main([verb, *words]) == 0
        assert told in capsys.readouterr().out
    assert main(["run", "--only", "mine", *words]) == 0
    capsys.readouterr()
    assert main(["plan", *words]) == 0
    assert "only the run can tell" not in capsys.readouterr().out
