"""What a person mistypes, and what they are told: every problem at once, at its key, with the nearest valid name."""

import subprocess
import sys
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
    assert problems(conf) == {"tran": "unknown. Did you mean 'train'? (conf/p.yaml)"}


def test_everything_at_once(conf: Path):
    found = problems(conf, "model=boster", "train.epochs=many", "split.by=tyme", "transform.scale.colums=[b]", "+gaet.x=1")
    assert set(found) == {"model", "train.epochs", "split.by", "transform.scale.colums", "gaet"}
    assert found["model"] == "there is no option 'boster'. Did you mean 'booster'?"
    assert found["train.epochs"] == "found 'many', expected a whole number."
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
    assert "quote it inside the override, 'source.path=\"lake/day=2026-01-01\"'" in what
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
    (conf / "p.yaml").write_text("name: p\nsource: {path: a}\nlabel: b: c\n")
    assert problems(conf) == {"conf/p.yaml line 3": "no valid YAML: mapping values are not allowed here."}
    (conf / "p.yaml").write_text("name: p\nname: q\n")
    assert problems(conf) == {"conf/p.yaml line 2": "no valid YAML: found duplicate key name."}
    (conf / "p.yaml").write_text("- name\n")
    assert problems(conf) == {"conf/p.yaml": "expected a mapping of settings, found a list."}


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


OVERRIDES = {
    "train.epochs=many": ("train.epochs", "found 'many', expected a whole number."),
    "train.epochs=1.5": ("train.epochs", "found 1.5, expected a whole number."),
    "train.epochs=true": ("train.epochs", "found true, expected a whole number."),
    "train.epochs=null": ("train.epochs", "found null, expected a whole number."),
    "train.early_stopping=soon": ("train.early_stopping", "found 'soon', expected a whole number or null."),
    "train.threshold=f2": ("train.threshold", "found 'f2', expected a number or one of 'f1'."),
    "train=fast": ("train", "found 'fast', expected the settings of a step, or null to leave it out."),
    "train.label=z": ("train.label", "is set by the key `label` at the top level."),
    "train.epochs.most=3": ("train.epochs", 'found {"most": 3}, expected a whole number.'),
    "trian.epochs=3": ("trian", "unknown. Did you mean 'train'?"),
    "+trian.epochs=3": ("trian", "unknown. Did you mean 'train'?"),
    "modle=mlp": ("modle", "unknown. Did you mean 'model'?"),
    "model=boster": ("model", "there is no option 'boster'. Did you mean 'booster'?"),
    "+model=boster": ("model", "there is no option 'boster'. Did you mean 'booster'?"),
    "cluster=kubernetes": ("cluster", "there is no option 'kubernetes'. Valid: attach, debug, local."),
    "model.num_leafs=3": ("model.num_leafs", "unknown: Booster takes no 'num_leafs'. Did you mean 'num_leaves'?"),
    "model._target_=raypipe.Boster": ("model._target_", "raypipe has no 'Boster'. Did you mean 'Booster'?"),
    "model._target_=os.system": (
        "model._target_",
        "'os.system' is of Python's standard library, which a config may not call; wrap it in a function of yours.",
    ),
    "model._partial_=true": (
        "model._partial_",
        "has no meaning here: classes are built and functions are bound by themselves. Leave it out.",
    ),
    "split.by=tyme": ("split.by", "found 'tyme', expected one of 'time', 'hash', 'group', 'stratified', 'folds', 'given'."),
    "split=null label=3": ("label", "found 3, expected text or null."),
    "name=a/b": ("name", "found 'a/b', expected a name of letters, digits, _ and -, e.g. flights."),
    "transform.scael.columns=[b]": (
        "transform.scael.columns",
        "there is no transform or setting 'scael'. Did you mean 'scale'? To add one, write +transform.scael.columns=[b]",
    ),
    "+transform.scael.columns=[b]": (
        "transform.scael",
        "neither a transform (a node with _target_) nor a setting of the step. Did you mean 'scale'?",
    ),
    "transform.tabel=x": (
        "transform.tabel",
        "there is no transform or setting 'tabel'. Did you mean 'table'? To add one, write +transform.tabel=x",
    ),
    "transform.scale.columns=a": ("transform.scale.columns", "found 'a', expected a list of text."),
    "transform.scale.columns=[a,1]": ("transform.scale.columns[1]", "found 1, expected text."),
    "steps.x._target_=raypipe.Label": (
        "steps.x._target_",
        "there is no step 'x'. To add one, write +steps.x._target_=raypipe.Label",
    ),
    "+steps.x.column=a": ("steps.x", "has no _target_: name the import path of a class or function, e.g. _target_: raypipe.Csv."),
    "~transform.skale": ("transform.skale", "there is nothing to take out. Did you mean 'scale'?"),
    "~gate.thresholds.auc": ("gate.thresholds.auc", "there is nothing to take out."),
    "gate.thresholds.auc.min=high": ("gate.thresholds.auc.min", "found 'high', expected a number."),
    "+contract.columns.fare.min=3": ("contract.columns.fare.type", "missing: Column needs 'type' (str)."),
    "transform.scale={}": (
        "transform.scale",
        "an empty mapping is put into what is there, and changes nothing: ~transform.scale takes that out.",
    ),
    "contract.colums={}": ("contract.colums", "unknown: Contract takes no 'colums'. Did you mean 'columns'?"),
    "source.path=a=b": ("source.path=a=b", "the value holds `=`: quote it inside the override, 'source.path=\"a=b\"'."),
    "source.path=[a": ("source.path=[a", "the value cannot be read: quote it inside the override, 'source.path=\"[a\"'."),
    "epochs": ("epochs", "no override: expected KEY=VALUE, e.g. train.epochs=3."),
    "train.epochs=1,2": ("train.epochs", "'train.epochs=1,2' is a sweep over several values; a run takes one. A list is [a,b]."),
    "hydra.run.dir=x": ("hydra.run.dir", "has no effect: raypipe only composes with Hydra. Leave it out."),
    "hydra.searchpath=[pkg://raypipe.nowhere]": ("hydra.searchpath", "there is nothing at raypipe.nowhere."),
    "hydra.searchpath=pkg://a": ("hydra.searchpath", "expected a list of places, e.g. [pkg://churn.conf]."),
    "train.seed=${trian.epochs}": (
        "train.seed",
        "'${trian.epochs}': there is no 'trian.epochs' in the config. Did you mean 'train.epochs'?",
    ),
    "train.seed=${oc.env:RAYPIPE_UNSET}": (
        "train.seed",
        "'${oc.env:RAYPIPE_UNSET}': the environment variable RAYPIPE_UNSET is not set.",
    ),
    "train.seed=${secret:x}": ("train.seed", "'${secret:x}': there is no resolver 'secret'; oc.env reads the environment: ${oc.env:NAME}."),
    "train.seed=${train.seed}": ("train.seed", "'${train.seed}': it refers to itself."),
    "source.path=???": ("source.path", "has no value yet: set it in the config or by source.path=..."),
}


@pytest.mark.parametrize("overrides", OVERRIDES)
def test_what_is_said_of_an_override(conf: Path, overrides: str):
    where, what = OVERRIDES[overrides]
    given = [overrides] if " label" not in overrides else overrides.split()
    found = problems(conf, *given)
    assert found.get(where) == what
    assert len(found) == 1


FILES = {
    "label: ${a\n": {
        "label": "the text is no reference that can be read: expected ${key} or ${oc.env:NAME}; write \\${ for the plain characters."
    },
    "": {"name": "missing: the pipeline needs a name, e.g. name: flights."},
    "train: [1]\n": {"train": "found [1], expected the settings of a step, or null to leave it out. (conf/p.yaml)"},
    "train: {epoch: 3}\n": {"train.epoch": "unknown: Train takes no 'epoch'. Did you mean 'epochs'? (conf/p.yaml)"},
    "split: {on: at}\n": {"split.by": "missing: Split needs 'by' (Literal['time', 'hash', 'group', 'stratified', 'folds', 'given'])."},
    "model: raypipe.Booster\n": {
        "model": "found 'raypipe.Booster', expected a node with _target_, or an option of the group. (conf/p.yaml)"
    },
    "steps: {x: raypipe.Label}\n": {
        "steps.x": "found 'raypipe.Label', expected a node with _target_, or an option of the group. (conf/p.yaml)"
    },
    "steps: {a/b: {_target_: raypipe.Label, column: a, sql: b}}\n": {
        "steps.a/b": "'a/b' is no name for a step: letters, digits, _ and -, beginning with a letter. (conf/p.yaml)"
    },
    "steps: [x]\n": {"steps": 'found ["x"], expected a mapping of names to steps. (conf/p.yaml)'},
    "transform: {scale: {_target_: flights.scale}}\n": {
        "transform.scale._target_": (
            "cannot find 'flights.scale': there is no module 'flights' in FOLDER or among the installed packages. (conf/p.yaml)"
        )
    },
    "contract: {columns: {a: {type: int64, on_breach: dorp}}}\n": {
        "contract.columns.a.on_breach": "found 'dorp', expected one of 'fail', 'quarantine', 'drop', 'warn' "
        "or a mapping of names to one of 'fail', 'quarantine', 'drop', 'warn'. (conf/p.yaml)"
    },
}


@pytest.mark.parametrize("text", FILES)
def test_what_is_said_of_a_file(conf: Path, text: str):
    name = "name: p\n" if text else ""
    (conf / "p.yaml").write_text(f"defaults: [pipeline, _self_]\n{name}source: {{path: d}}\n{text}")
    assert problems(conf) == {where: what.replace("FOLDER", str(conf.parent)) for where, what in FILES[text].items()}


def test_functions_of_the_users_are_checked_against_their_signature(conf: Path):
    (conf.parent / "flights_of_ours.py").write_text("raise SystemExit\ndef clip(table, low: float, high: float = 1.0): ...\n")
    given = ["+transform.clip={_target_: flights_of_ours.clip, hihg: 2, high: x}"]
    assert problems(conf, *given) == {
        "transform.clip.hihg": "unknown: flights_of_ours.clip takes no 'hihg'. Did you mean 'high'?",
        "transform.clip.high": "found 'x', expected a number.",
        "transform.clip.low": "missing: flights_of_ours.clip needs 'low' (float).",
    }
    assert compose(conf, "p", ["+transform.clip={_target_: flights_of_ours.clip, low: 0}"]).values["transform"]["clip"]["low"] == 0


def test_swapping_by_group_where_the_config_names_none(conf: Path):
    (conf / "p.yaml").write_text(CONFIG.replace("{model: booster}, ", ""))
    assert compose(conf, "p", ["model=logistic"]).values["model"] == {"_target_": "raypipe.Logistic"}
    assert compose(conf, "p", ["+model=logistic", "cluster=debug"]).values["cluster"] == {"_target_": "raypipe.Debug"}
    for override in ("~tracker", "tracker=null"):
        assert compose(conf, "p", [override]).values["tracker"] == {"_target_": "raypipe.NoTracker"}


def test_an_experiment_is_added_over_the_config(conf: Path):
    (conf / "experiment").mkdir()
    (conf / "experiment" / "wide.yaml").write_text("# @package _global_\ntrain: {epochs: 50}\nmodel: {num_leaves: 255}\n")
    composed = compose(conf, "p", ["+experiment=wide"])
    assert (composed.values["train"], composed.values["model"]["num_leaves"]) == ({"epochs": 50}, 255)
    assert composed.origin("train.epochs") == "conf/experiment/wide.yaml"
    assert problems(conf, "experiment=wdie") == {"experiment": "there is no option 'wdie'. Did you mean 'wide'?"}


def test_options_of_another_package(conf: Path, monkeypatch: pytest.MonkeyPatch):
    package = conf.parent / "house_configs"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "model" / "house.yaml").write_text("_target_: raypipe.Booster\nnum_leaves: 9\n")
    monkeypatch.syspath_prepend(str(conf.parent))
    given = ["hydra.searchpath=[pkg://house_configs]", "model=house"]
    composed = compose(conf, "p", given)
    assert (composed.values["model"]["num_leaves"], composed.origin("model.num_leaves")) == (9, "house_configs/model/house.yaml")
    (conf / "p.yaml").write_text(CONFIG + "hydra: {searchpath: [pkg://house_configs]}\n")
    assert "hydra" not in compose(conf, "p", ["model=house"]).values


def test_references_to_values_to_defaults_and_within_text(conf: Path):
    given = [
        "train.seed=${model.rounds_per_epoch}",
        "evaluate.min_rows=${train.epochs}",
        "source.path=data/${name}/x",
        "+steps.s=${transform.scale}",
    ]
    composed = compose(conf, "p", given)
    assert (composed.values["train"]["seed"], composed.values["evaluate"]["min_rows"]) == (20, 5)
    assert composed.values["source"]["path"] == "data/p/x"
    assert composed.values["steps"]["s"] == {"_target_": "raypipe.Standardize", "columns": ["a"]}
    assert composed.unresolved["train"]["seed"] == "${model.rounds_per_epoch}"


def test_lists_by_place(conf: Path):
    assert compose(conf, "p", ["transform.scale.columns.0=b"]).values["transform"]["scale"]["columns"] == ["b"]
    assert problems(conf, "transform.scale.columns.7=b") == {
        "transform.scale.columns.7": "'transform.scale.columns.7' is no place in a list of 1; set the whole list, e.g. columns=[a,b]."
    }


def test_mappings_are_merged_and_lists_replaced(conf: Path):
    composed = compose(conf, "p", ["split={validation_from: 2014-01-01}", "gate.thresholds={auc: {min: 0.5}}"])
    assert composed.values["split"] == {"by": "time", "on": "at", "validation_from": "2014-01-01", "test_from": "2013-11-01"}
    assert composed.values["gate"]["thresholds"] == {"auc": {"min": 0.5}}


def test_every_problem_has_its_line_and_nothing_of_hydras_is_said(conf: Path):
    with pytest.raises(ConfigError) as error:
        compose(conf, "p", [text for text in OVERRIDES if " label" not in text and not text.startswith(("hydra.search", "name"))])
    assert len(error.value.problems) >= 30
    for word in ("struct", "full_key", "object_type", "Hydra's", "omegaconf", "Traceback", "HYDRA"):
        assert word not in str(error.value)


def test_rows_show_declared_defaults_with_the_class_that_declares_them(conf: Path):
    found = {key: (value, origin) for key, value, origin in rows(compose(conf, "p", ["train.seed=1"]))}
    assert found["train.epochs"] == (5, "default of raypipe.Train")
    assert found["model.num_leaves"] == (63, "default of raypipe.Booster")
    assert found["train.seed"] == (1, "override train.seed=1")
    assert "train.label" not in found


def test_origins_name_the_last_that_said_it(conf: Path):
    origins = compose(conf, "p", ["split.by=time", "split={on: then}", "~transform.scale"]).origins
    assert (origins["split.by"], origins["split.on"]) == ("override split.by=time", "override split={on: then}")
    assert origins["split.test_from"] == "conf/p.yaml"
    assert not any(key.startswith("transform.scale") for key in origins)


def test_hydras_own_state_is_left_as_it_was(conf: Path):
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra

    with initialize_config_dir(str(conf), version_base="1.3"):
        before = GlobalHydra.instance().hydra
        compose(conf, "p")
        assert GlobalHydra.instance().hydra is before
    compose(conf, "p")
    assert not GlobalHydra.instance().is_initialized()
    assert sorted(path.name for path in conf.parent.iterdir()) == ["conf"]


def test_composing_imports_neither_ray_nor_torch_nor_the_users_module(conf: Path):
    (conf.parent / "heavy_of_ours.py").write_text("import torch, ray\ndef f(table): ...\n")
    program = (
        "import sys, pathlib; from raypipe.config.compose import compose; "
        f"compose(pathlib.Path({str(conf)!r}), 'p', ['+transform.f={{_target_: heavy_of_ours.f}}']); "
        "print(sorted({'ray', 'torch', 'heavy_of_ours', 'pandas', 'polars', 'sklearn', 'lightgbm'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
