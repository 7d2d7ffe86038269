from pathlib import Path

import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError
from raypipe.pipeline.assemble import assemble

SOURCE = {"_target_": "raypipe.Csv", "path": "x.csv"}
LIFE = {"name": "p", "source": SOURCE, "label": "y", "model": {"_target_": "raypipe.Logistic"}, "split": {"by": "hash", "key": "k"}}


def problems(values: dict, search: Path = Path()) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        assemble(values, (search,))
    return {p.where: p.what for p in error.value.problems}


def test_a_source_alone_is_a_pipeline():
    assert list(assemble({"name": "p", "source": SOURCE}, ()).nodes) == ["source"]


def test_the_life_of_a_model_has_its_steps_in_order():
    names = ["source", "split", "transform", "train", "evaluate", "gate", "register", "infra_validate", "deploy"]
    assert list(assemble(LIFE, ()).nodes) == names


def test_a_contract_goes_into_the_ingest_and_a_step_that_reports():
    made = assemble({**LIFE, "contract": {"_target_": "raypipe.Contract", "columns": {"k": {"type": "int64"}}}}, ())
    assert made.nodes["source"].settings["contract"] == made.nodes["validate"].settings["contract"]
    assert made.nodes["split"].refs["validated"] == "validate"


def test_an_optional_edge_to_a_slot_that_is_left_out_is_left_open():
    made = assemble({**LIFE, "gate": None, "infra_validate": None}, ())
    assert made.nodes["register"].refs["verdict"] is None
    assert made.nodes["deploy"].refs["cleared"] is None


def test_a_required_step_that_is_left_out_is_told():
    assert "there is no step 'train'" in problems({**LIFE, "train": None})["evaluate.model"]


def test_gate_and_infra_validation_read_what_the_transform_reads():
    made = assemble(
        {**LIFE, "transform": {"table": "made"}, "steps": {"made": {"_target_": "raypipe.Label", "column": "y", "sql": "a > 1"}}}, ()
    )
    assert {made.nodes[n].refs["table"] for n in ("transform", "gate", "infra_validate")} == {"made"}


def test_an_edge_that_carries_another_kind():
    wrong = problems({**LIFE, "evaluate": {"model": "split"}})
    assert wrong["evaluate.model"] == "wants a Model, but step 'split' makes a Table."


def test_a_misspelt_transform_setting():
    assert "Did you mean 'table'?" in problems({**LIFE, "transform": {"tabel": "split"}})["transform.tabel"]


def test_a_label_without_a_model_and_a_model_without_a_label():
    assert "model" in problems({"name": "p", "source": SOURCE, "label": "y"})
    assert "label" in problems({**LIFE, "label": None})


def test_slots_of_a_life_without_a_model():
    bare = {name: value for name, value in LIFE.items() if name not in ("label", "model")}
    steps = {"scale": {"_target_": "raypipe.Standardize", "columns": ["a"]}}
    made = assemble({**bare, "transform": steps}, ())
    assert list(made.nodes) == ["source", "split", "transform"]
    assert list(made.nodes["transform"].settings["entries"]) == ["scale"]
    assert list(problems({**bare, "transform": steps, "train": {"epochs": 5}, "gate": {"thresholds": {}}})) == ["train", "gate"]
    assert list(assemble({**bare, "transform": {}, "train": None}, ()).nodes) == ["source", "split"]


def test_a_step_under_a_slots_name():
    assert "is a slot" in problems({**LIFE, "steps": {"train": {"_target_": "raypipe.Train"}}})["steps.train"]


def test_several_problems_at_once():
    found = problems({**LIFE, "steps": {"a": {"_target_": "raypipe.Lable"}, "b": {"x": 1}}})
    assert set(found) == {"a._target_", "steps.b"}


def test_python_and_yaml_give_the_same_value():
    python = rp.Pipeline(
        "p", source=rp.Csv("x.csv"), label="y", model=rp.Logistic(), split=rp.Split(by="hash", key="k"), train=rp.Train(seed=1)
    )
    assert python == assemble({**LIFE, "train": {"seed": 1, "epochs": 5}}, ())


def test_a_function_of_tables_is_a_step(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "import pyarrow as pa\n\ndef joined(left: pa.Table, right: pa.Table, how: str = 'inner') -> pa.Table:\n    return left\n"
    )
    steps = {
        "other": {"_target_": "raypipe.Ingest", "source": SOURCE},
        "both": {"_target_": "mine.joined", "left": "source", "right": "other", "how": "outer"},
    }
    made = assemble({"name": "p", "source": SOURCE, "steps": steps}, (tmp_path,))
    assert made.nodes["both"].refs == {"left": "source", "right": "other"}
    assert made.nodes["both"].settings == {"how": "outer"}


def test_how_a_source_is_taken_is_said_beside_it(tmp_path):
    from raypipe.pipeline.assemble import assemble

    values = {"name": "p", "source": {"_target_": "raypipe.Sql", "table": "orders", "url": "sqlite:///o.db"}}
    node = assemble({**values, "ingest": {"changed": "replace", "table": "mine"}}, (tmp_path,)).nodes["source"]
    assert node.settings["source"]["table"] == "orders"
    assert (node.settings["changed"], node.settings["table"]) == ("replace", "mine")
    whole = {"_target_": "raypipe.Ingest", "source": values["source"]}
    with pytest.raises(ConfigError, match="ingest: the source is an Ingest already"):
        assemble({**values, "source": whole, "ingest": {"changed": "replace"}}, (tmp_path,))


@pytest.mark.parametrize(("written", "label"), [({}, "late"), ({"label": "other"}, "other"), ({"label": None}, None)])
def test_a_leak_check_looks_at_the_pipelines_label(written: dict, label: str | None):
    values = {
        "name": "p",
        "source": SOURCE,
        "split": {"by": "hash", "key": "id"},
        "label": "late",
        "model": {"_target_": "raypipe.Logistic"},
    }
    node = assemble({**values, "steps": {"leak_check": {"_target_": "raypipe.LeakCheck", **written}}}, ()).nodes["leak_check"]
    assert node.settings.get("label") == label
