"""What is said of a defaults list that cannot be followed: every entry at once, with the nearest valid name."""

from pathlib import Path

import pytest

from raypipe.config.compose import compose
from raypipe.core.errors import ConfigError

WHERE = "conf/p.yaml defaults"
LISTS = {
    "[pipelin, {model: booster}, _self_]": [
        "`pipeline` is not in the list: it brings the slots and where to run; put it first.",
        "there is no config 'pipelin'. Did you mean 'pipeline'?",
    ],
    "[pipeline, {model: boster}, _self_]": ["there is no option 'boster' of the group 'model'. Did you mean 'booster'?"],
    "[pipeline, {modle: booster}, {model: mpl}, _self_]": [
        "there is no group 'modle'. Did you mean 'model'?",
        "there is no option 'mpl' of the group 'model'. Did you mean 'mlp'?",
    ],
    "[pipeline, {override source: parket}, _self_]": [
        "there is no option 'parket' of the group 'source'. Did you mean 'parquet'?",
        "{override source: ...} stands before an entry that overrides nothing; entries with `override` come last.",
    ],
    "[pipeline, {override sorce: csv}]": ["there is no group 'sorce'. Did you mean 'source'?"],
    "[pipeline, {source: parquet}, _self_]": [
        "'source' is chosen by `pipeline` already; write {override source: ...} at the end of the list."
    ],
    "[pipeline, {model: booster}, {model: mlp}, _self_]": ["'model' is chosen twice; keep one."],
    "[pipeline, 3, _self_]": ["found 3; expected entries such as pipeline, {model: booster}, _self_, {override source: csv}."],
    "{model: booster}": ["found {'model': 'booster'}, expected a list: [pipeline, {model: booster}, _self_]."],
    "pipeline": ["found 'pipeline', expected a list: [pipeline, {model: booster}, _self_]."],
}


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    return tmp_path / "conf"


def said(conf: Path, text: str, *overrides: str) -> list[tuple[str, str]]:
    (conf / "p.yaml").write_text(text)
    with pytest.raises(ConfigError) as error:
        compose(conf, "p", overrides)
    return [(p.where, p.what) for p in error.value.problems]


@pytest.mark.parametrize("entries", LISTS)
def test_a_list_that_cannot_be_followed(conf: Path, entries: str):
    assert said(conf, f"defaults: {entries}\nname: p\n") == [(WHERE, what) for what in LISTS[entries]]


def test_the_overrides_problems_are_told_with_it(conf: Path):
    found = said(conf, "defaults: [pipeline, {model: boster}]\nname: p\n", "train.epochs=a=b", "cluster=loca")
    assert [where for where, _ in found] == ["train.epochs=a=b", "cluster", WHERE]


def test_a_config_without_pipeline_still_says_what_is_wrong(conf: Path):
    (conf / "p.yaml").write_text("name: p\nsource: {_target_: raypipe.Csv, path: d}\n")
    assert compose(conf, "p").values["cluster"] == {"_target_": "raypipe.Local"}


def test_a_list_of_a_file_further_down(conf: Path):
    (conf / "model").mkdir()
    (conf / "model" / "mine.yaml").write_text("defaults: [nowhere]\n")
    found = said(conf, "defaults: [pipeline, {model: mine}]\nname: p\n")
    assert found == [("conf/model/mine.yaml", "its defaults list cannot be followed: names 'model/nowhere', which does not exist.")]


def test_optional_entries_may_be_absent(conf: Path):
    (conf / "p.yaml").write_text("defaults: [pipeline, {optional model: house}, _self_]\nname: p\n")
    assert "model" not in compose(conf, "p", ["source.path=d"]).values
