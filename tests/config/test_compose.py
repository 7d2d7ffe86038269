"""What a person mistypes, and what they are told: every problem at once, at its key, with the nearest valid name."""

from pathlib import Path

import pytest

from raypipe.config.compose import compose, rows
from raypipe.core.errors import ConfigError

CONFIG = """\
defaults: [pipeline, {model: booster}, _self_]
name: p
source: {path: data}
label: y
split: {by: time, on: at, validation_from: 2013-10-01, test_from: 2013-11-01}
transform:
  scale: {_target_: raypipe.Standardize, columns: [a]}
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "p.yaml").write_text(CONFIG)
    return tmp_path / "conf"


def problems(conf: Path, *overrides: str) -> dict[str, str]:
    with pytest.raises(ConfigError) as error:
        compose(conf, "p", overrides)
    return {p.where: p.what for p in error.value.problems}


def test_options_of_groups_and_values(conf: Path):
    values = compose(conf, "p", ["model=mlp", "model.hidden=[8]", "train.epochs=3"]).values
    assert values["model"] == {"_target_": "raypipe.Mlp", "hidden": [8]}
    assert values["train"] == {"epochs": 3}


def test_a_bare_on_is_a_key_and_no_boolean(conf: Path):
    assert compose(conf, "p").values["split"]["on"] == "at"


@pytest.mark.parametrize("override", ["train.epoch=3", "+train.epoch=3", "++train.epoch=3"])
def test_a_misspelt_setting_with_and_without_plus(conf: Path, override: str):
    assert problems(conf, override) == {"train.epoch": "unknown: Train takes no 'epoch'. Did you mean 'epochs'?"}


def test_a_misspelt_setting_in_the_file(conf: Path):
    (conf / "p.yaml").write_text(CONFIG + "tran: {epochs: 3}\n")
    assert problems(conf) == {"tran": "unknown. Did you mean 'train'?"}


def test_everything_at_once(conf: Path):
    found = problems(conf, "model=boster", "train.epochs=many", "split.by=tyme", "transform.scale.colums=[b]", "+gaet.x=1")
    assert set(found) == {"model", "train.epochs", "split.by", "transform.scale.colums", "gaet"}
    assert found["model"] == "there is no option 'boster'. Did you mean 'booster'?"
    assert found["train.epochs"] == "found 'many', expected int."
    assert "Did you mean 'columns'?" in found["transform.scale.colums"]


def test_a_plus_adds_a_transform_and_a_tilde_takes_one_out(conf: Path):
    values = compose(conf, "p", ["+transform.pick={_target_: raypipe.Select, columns: [a]}", "~transform.scale"]).values
    assert list(values["transform"]) == ["pick"]


def test_taking_out_what_is_not_there(conf: Path):
    assert problems(conf, "~transform.skale") == {"transform.skale": "there is nothing to take out. Did you mean 'scale'?"}


def test_a_slot_left_out(conf: Path):
    assert compose(conf, "p", ["gate=null"]).values["gate"] is None


def test_a_missing_value_of_a_component(conf: Path):
    (conf / "p.yaml").write_text(CONFIG.replace("path: data", "delimiter: ';'"))
    assert problems(conf) == {"source.path": "missing: Csv needs 'path' (str)."}


def test_an_unquoted_equals_sign(conf: Path):
    (what,) = problems(conf, "source.path=lake/day=2026-01-01").values()
    assert "quote it inside the override: 'source.path=\"lake/day=2026-01-01\"'" in what
    assert compose(conf, "p", ['source.path="lake/day=2026-01-01"']).values["source"]["path"] == "lake/day=2026-01-01"


def test_no_override_at_all(conf: Path):
    assert "expected KEY=VALUE" in problems(conf, "epochs")["epochs"]


def test_several_values_for_one_run(conf: Path):
    assert "a run takes one" in problems(conf, "train.epochs=1,2")["train.epochs"]


def test_a_reference_that_cannot_be_resolved(conf: Path):
    (conf / "p.yaml").write_text(CONFIG.replace("path: data", "path: '${oc.env:RAYPIPE_NO_SUCH_THING}'"))
    assert "RAYPIPE_NO_SUCH_THING" in problems(conf)["source.path"]


def test_a_secret_stays_a_reference_in_what_is_kept(conf: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("WHERE_IT_LIES", "canary-7f3")
    (conf / "p.yaml").write_text(CONFIG.replace("path: data", "path: '${oc.env:WHERE_IT_LIES}'"))
    composed = compose(conf, "p")
    assert composed.values["source"]["path"] == "canary-7f3"
    assert "canary" not in str(composed.unresolved)


def test_yaml_that_is_none(conf: Path):
    (conf / "p.yaml").write_text("name: [p\n")
    (where,) = problems(conf)
    assert where.endswith("p.yaml")


def test_an_option_in_the_defaults_that_does_not_exist(conf: Path):
    (conf / "p.yaml").write_text(CONFIG.replace("booster", "boster"))
    (what,) = problems(conf).values()
    assert "Did you mean 'booster'?" in what


def test_no_such_config_and_no_such_folder(conf: Path):
    with pytest.raises(ConfigError, match="Did you mean 'p'"):
        compose(conf, "pp")
    with pytest.raises(ConfigError, match="there is no folder"):
        compose(conf / "x", "p")


def test_a_target_that_does_not_exist(conf: Path):
    (conf / "p.yaml").write_text(CONFIG.replace("Standardize", "Standardise"))
    assert "Did you mean 'Standardize'?" in problems(conf)["transform.scale._target_"]


def test_a_group_of_the_users_own(conf: Path):
    (conf / "model").mkdir()
    (conf / "model" / "small.yaml").write_text("_target_: raypipe.Booster\nnum_leaves: 7\n")
    assert compose(conf, "p", ["model=small"]).values["model"]["num_leaves"] == 7


def test_the_origin_of_each_value(conf: Path):
    origins = {key: origin for key, _, origin in rows(compose(conf, "p", ["train.epochs=3", "model=mlp"]))}
    assert origins["train.epochs"] == "override train.epochs=3"
    assert origins["source.path"] == "conf/p.yaml"
    assert origins["model._target_"] == "raypipe configs/model/mlp.yaml"
    assert origins["cluster._target_"] == "raypipe configs/cluster/local.yaml"
