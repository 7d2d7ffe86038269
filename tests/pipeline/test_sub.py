"""Sub-pipelines: what they stand for, what their names mean, and what is wrong with them, by its place."""

from pathlib import Path
from typing import Any

import pytest

import raypipe as rp
from raypipe.cli.main import main
from raypipe.core.errors import ConfigError
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.cause import overriding
from raypipe.pipeline.chosen import Chosen
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.options import Options

SOURCE = {"_target_": "raypipe.Csv", "path": "x.csv"}
TIDY = {
    "once": {"_target_": "raypipe.Distinct", "table": "rows", "by": ["k"]},
    "sorted": {"_target_": "raypipe.Sort", "table": "once", "by": ["k"]},
}


def of(steps: dict[str, Any], **more: Any) -> Pipeline:
    return assemble({"name": "p", "source": SOURCE, "steps": steps, **more}, ())


def problems(steps: dict[str, Any], **more: Any) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        of(steps, **more)
    return {p.where: p.what for p in error.value.problems}


def sub(rows: str = "source", **more: Any) -> dict[str, Any]:
    return {"pipeline": {"steps": TIDY}, "inputs": {"rows": rows}, **more}


def test_its_steps_stand_in_the_pipeline():
    made = of({"a": sub(), "b": sub("a.sorted"), "last": {"_target_": "raypipe.Sort", "table": "b.sorted", "by": ["k"]}})
    assert {name: node.refs.get("table") for name, node in made.nodes.items()} == {
        "source": None,
        "a.once": "source",
        "a.sorted": "a.once",
        "b.once": "a.sorted",
        "b.sorted": "b.once",
        "last": "b.sorted",
    }
    assert made.nodes["a.sorted"].settings == made.nodes["b.sorted"].settings == {"by": ["k"]}


def test_the_same_from_python():
    def tidy(rows: str) -> rp.Sub:
        steps = {"once": rp.Distinct(table=rp.Ref("rows"), by=["k"]), "sorted": rp.Sort(table=rp.Ref("once"), by=["k"])}
        return rp.Sub(inputs={"rows": rows}, steps=steps)

    assert rp.Pipeline("p", source=rp.Csv("x.csv"), steps={"a": tidy("source"), "b": tidy("a.sorted")}) == of(
        {"a": sub(), "b": sub("a.sorted")}
    )


def test_a_whole_pipeline_under_a_name():
    inner = rp.Pipeline("q", source=rp.Csv("x.csv"), steps={"s": rp.Sort(by=["k"])}, execution={"s": {"retries": 2}})
    made = rp.Pipeline("p", steps={"a": inner, "b": rp.Sort(table=rp.Ref("a.s"), by=["k"])})
    assert list(made.nodes) == ["a.source", "a.s", "b"]
    assert made.nodes["a.s"].refs == {"table": "a.source"}
    assert made.execution["a.s"].retries == 2


def test_one_inside_another():
    outer = {"pipeline": {"steps": {"deep": sub("given"), "end": {"_target_": "raypipe.Sort", "table": "deep.sorted", "by": ["k"]}}}}
    made = of({"a": {**outer, "inputs": {"given": "source"}}})
    assert made.nodes["a.deep.once"].refs["table"] == "source"
    assert made.nodes["a.end"].refs["table"] == "a.deep.sorted"


def test_a_model_s_life_with_a_name_of_its_own():
    life = {"label": "y", "model": {"_target_": "raypipe.Logistic"}, "deploy": None, "infra_validate": None}
    with pytest.raises(ConfigError, match=r"steps.eu.inputs.source: no step of the sub-pipeline reads 'source'"):
        of({"eu": {"pipeline": life, "inputs": {"split": "source", "source": "source"}}})
    made = of({"eu": {"pipeline": life, "inputs": {"split": "source"}}})
    assert [name for name in made.nodes if name.startswith("eu.")] == ["eu.transform", "eu.train", "eu.evaluate", "eu.gate", "eu.register"]
    assert made.nodes["eu.register"].settings["name"] == "p.eu"
    assert made.nodes["eu.transform"].refs["table"] == "source"


EACH = {
    "pipeline": {"steps": {"mean": {"_target_": "raypipe.Aggregate", "table": "rows", "make": {"m": "avg({of})"}, "where": "k > {least}"}}},
    "inputs": {"rows": "source"},
}


def test_for_each_value_of_a_list():
    made = of({"a": {**EACH, "each": {"of": ["x", "y"], "least": [1, 2]}}})
    assert list(made.nodes) == ["source", "a.x-1.mean", "a.x-2.mean", "a.y-1.mean", "a.y-2.mean"]
    assert made.nodes["a.y-1.mean"].settings == {"make": {"m": "avg(y)"}, "where": "k > 1"}
    typed = {"pipeline": {"steps": {"s": {**TIDY["sorted"], "by": "{by}"}}}, "each": {"by": ["k"]}, "inputs": {"once": "source"}}
    assert of({"a": typed}).nodes["a.k.s"].settings == {"by": "k"}


def test_how_its_steps_are_carried_out():
    own = {"default": {"timeout": "1h"}, "sorted": {"retries": 1, "when": "once.num_rows > rows.num_rows", "on_failure": "once"}}
    written = sub(pipeline={"steps": TIDY, "execution": own})
    execution = {"a": {"sorted": {"retries": 3}}, "b.once": {"when": "a.once.num_rows > 1"}, "default": {"backoff": "2s"}}
    made = of({"a": written, "b": sub()}, execution=execution).execution
    assert (made["a.sorted"].retries, made["a.sorted"].timeout, made["a.sorted"].on_failure) == (3, "1h", "a.once")
    assert made["a.sorted"].when == "steps['a.once'].num_rows > source.num_rows"
    assert (made["a.once"].timeout, made["b.once"].timeout) == ("1h", None)
    assert made["b.once"].when == "steps['a.once'].num_rows > 1"
    assert made["b.sorted"].backoff == "2s"


def one(**step: Any) -> dict[str, Any]:
    return {"pipeline": {"steps": {"s": {"_target_": "raypipe.Sort", "by": ["k"], **step}}}}


BAD: list[tuple[dict[str, Any], str, str]] = [
    (
        one(table="row"),
        "a.s.table",
        "there is no step 'row' in the sub-pipeline 'a', and nothing is bound to the name: write inputs: {row: STEP}. Valid: s.",
    ),
    (one(table="t") | {"inputs": {"t": "sorce"}}, "steps.a.inputs.t", "there is no step 'sorce'. Did you mean 'source'?"),
    (one(table="s"), "a.s.table", "the step reads itself."),
    (one(table="t") | {"inputs": {"t": "source", "u": "source"}}, "steps.a.inputs.u", "no step of the sub-pipeline reads 'u'."),
    (one(table="t") | {"inputs": {"t": "source", "s": "source"}}, "steps.a.inputs.s", "'s' is a step of the sub-pipeline itself."),
    (one() | {"input": {}}, "steps.a.input", "unknown: a sub-pipeline has no 'input'. Did you mean 'inputs'?"),
    ({"pipeline": "tidy"}, "steps.a.pipeline", "found 'tidy', expected slots and `steps`, as in a pipeline."),
    (
        {"pipeline": {"stepps": {}}},
        "steps.a.pipeline.stepps",
        "unknown: a sub-pipeline has slots, `steps` and `execution`. Did you mean 'steps'?",
    ),
    (one() | {"inputs": ["t"]}, "steps.a.inputs", "found ['t'], expected a mapping of names to steps, e.g. {rows: split}."),
    (one() | {"each": {"c": []}}, "steps.a.each", "found {'c': []}, expected names and lists of values, e.g. {carrier: [UA, AA]}."),
    (one() | {"each": {"c": ["a/b"]}}, "steps.a.each.c", "'a/b' cannot stand in a step's name: letters, digits, _ and -."),
    (one() | {"each": {"c": [1, 1]}}, "steps.a.each.c", "1 is there twice."),
    (
        one() | {"each": {"c": ["x", "x-y"], "d": ["y-z", "z"]}},
        "steps.a.each",
        "x, y-z and x-y, z would both be named 'x-y-z': write values without that -.",
    ),
    (one(table="t") | {"inputs": {"t": "a.s"}}, "a.s.table", "the step reads itself."),
]


@pytest.mark.parametrize(("step", "where", "what"), BAD)
def test_what_is_wrong_has_its_place(step: dict[str, Any], where: str, what: str):
    assert problems({"a": step})[where] == what


def test_options_of_what_is_not_its_own_are_told():
    execution = {"rows": {"retries": 1}, "once": {"retry": 1}}
    found = problems({"a": sub(pipeline={"steps": TIDY, "execution": execution})})
    assert found["steps.a.pipeline.execution.rows"] == "is an input: say it where that step stands."
    assert "Did you mean 'retries'?" in found["steps.a.pipeline.execution.once.retry"]


def test_the_override_that_changed_a_step_of_one():
    overrides = ["steps.a.pipeline.steps.sorted.by=[j]", "steps.b.pipeline.train.epochs=2", "steps.c.x=1"]
    assert overriding(overrides, "a.sorted", "by") == overrides[0]
    assert overriding(overrides, "b.train", "epochs") == overrides[1]
    assert not overriding(overrides, "a.once", "by")


CONFIG = """\
defaults: [pipeline, _self_, {override source: csv}]
name: shop
source: {path: data.csv}
steps:
  a:
    inputs: {rows: source}
    pipeline:
      steps:
        once: {_target_: raypipe.Distinct, table: rows, by: [k]}
        sorted: {_target_: raypipe.Sort, table: once, by: [k]}
"""


def test_run_planned_and_made_anew_by_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "shop.yaml").write_text(CONFIG)
    (tmp_path / "data.csv").write_text("k,v\n2,1\n1,2\n1,3\n")
    monkeypatch.chdir(tmp_path)
    conf = ["-cd", "conf", "-cn", "shop"]
    assert main(["run", *conf, "cluster=debug"]) == 0
    assert rp.table("shop.a.sorted").to_arrow().to_pydict() == {"k": [1, 2], "v": [2, 1]}
    inner = rp.Sub(inputs={"rows": "source"}, steps={n: {**s, "table": "rows" if n == "once" else "once"} for n, s in TIDY.items()})
    pipeline = rp.Pipeline("shop", source=rp.Csv("data.csv"), steps={"a": inner})
    assert {s.name: s.state for s in rp.plan(pipeline).steps} == {"source": "HIT", "a.once": "HIT", "a.sorted": "HIT"}, (
        "the same fingerprints"
    )
    assert Chosen.of(pipeline, only=["a"]).only == {"a.once", "a.sorted"}
    chosen = Chosen.of(pipeline, only=["a.sorted"], force=["a.sorted"])
    result = rp.run(pipeline, options=Options(cluster=rp.Debug(), chosen=chosen))
    assert {name: step.state for name, step in result.steps.items()} == {"source": "HIT", "a.once": "HIT", "a.sorted": "RUN"}
    capsys.readouterr()
    assert main(["plan", *conf, "steps.a.pipeline.steps.sorted.by=[v]"]) == 0
    assert "(override steps.a.pipeline.steps.sorted.by=[v])" in " ".join(capsys.readouterr().out.split())
    assert main(["check", *conf, "steps.a.pipeline.steps.sorted.by=3"]) == 2
    assert "steps.a.pipeline.steps.sorted.by" in capsys.readouterr().err
    assert main(["check", *conf, "+execution.a.sorted.retry=3"]) == 2
    assert "execution.a.sorted.retry" in capsys.readouterr().err
