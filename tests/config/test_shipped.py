"""Every option that raypipe ships composes into a config without problems, and says what it is for."""

import shlex
from importlib.resources import files
from pathlib import Path

import pytest

from raypipe.config.compose import compose

SHIPPED = Path(str(files("raypipe.configs")))
OPTIONS = sorted(path.relative_to(SHIPPED) for path in SHIPPED.glob("*/*.yaml"))


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "p.yaml").write_text("defaults: [pipeline, {model: booster}, _self_]\nname: p\nlabel: y\n")
    (tmp_path / "flights.py").write_text("def new_rows(cursor):\n    yield None, cursor\n")
    return tmp_path / "conf"


@pytest.mark.parametrize("option", OPTIONS, ids=str)
def test_an_option_composes_with_the_example_that_it_gives(conf: Path, option: Path):
    lines = (SHIPPED / option).read_text().splitlines()
    comments = [line[2:] for line in lines if line.startswith("# ")]
    examples = [word for comment in comments[1:] for word in shlex.split(comment)]
    others = [] if str(option.parent) == "source" else ["source.path=d"]
    composed = compose(conf, "p", [f"{option.parent}={option.stem}", *others, *examples])
    assert composed.origin(f"{option.parent}._target_") == f"raypipe configs/{option}"
    assert comments, "it says what it is for"
    assert [line.partition(":")[0] for line in lines[len(comments) :]] == ["_target_"], "an option repeats no default"


def test_the_four_groups_are_there():
    assert {str(path.parent) for path in OPTIONS} == {"source", "model", "cluster", "tracker"}
