"""Where a project lies, from where somebody stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from raypipe.core.errors import ConfigError
from raypipe.core.place import find_project


def test_the_parent_of_the_config_folder_comes_first(tmp_path: Path):
    (tmp_path / "raypipe.toml").write_text("")
    place = find_project(tmp_path / "flights" / "conf", tmp_path, {})
    assert place.path == tmp_path / "flights"
    assert place.name == "flights"
    assert place.ledger_url == f"sqlite:///{tmp_path}/flights/.raypipe/ledger.db"
    assert place.store_root == f"{tmp_path}/flights/.raypipe/store"
    assert not (tmp_path / "flights").exists()


def test_a_config_folder_is_found_relative_to_where_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert find_project(Path("../flights/conf"), Path.cwd(), {}).path == tmp_path / "flights"
    assert find_project(Path("conf"), Path.cwd(), {}).path == tmp_path / "sub"


def test_else_the_nearest_folder_upwards_with_a_raypipe_toml(tmp_path: Path):
    (tmp_path / "raypipe.toml").write_text('project = "planes"')
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    place = find_project(None, deep, {})
    assert (place.path, place.name) == (tmp_path, "planes")


def test_else_the_folder_itself(tmp_path: Path):
    assert find_project(None, tmp_path, {}).path == tmp_path


def test_the_environment_moves_ledger_and_store(tmp_path: Path):
    environ = {"RAYPIPE_LEDGER": "postgresql+psycopg://host/db", "RAYPIPE_STORE": "s3://bucket/prefix"}
    place = find_project(None, tmp_path, environ)
    assert (place.ledger_url, place.store_root) == ("postgresql+psycopg://host/db", "s3://bucket/prefix")


@pytest.mark.parametrize("ledger", ["here.db", "sqlite:///here.db", "{folder}/here.db", "sqlite:///{folder}/here.db"])
def test_a_path_will_do_and_is_relative_to_the_project(tmp_path: Path, ledger: str):
    place = find_project(None, tmp_path, {"RAYPIPE_LEDGER": ledger.format(folder=tmp_path), "RAYPIPE_STORE": "bytes"})
    assert place.ledger_url == f"sqlite:///{tmp_path}/here.db"
    assert place.store_root == f"{tmp_path}/bytes"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('projekt = "x"', "Did you mean 'project'?"),
        ("project = 3", "expected a name"),
        ("project = ", "cannot be read"),
    ],
)
def test_a_bad_raypipe_toml_is_named(tmp_path: Path, text: str, said: str):
    (tmp_path / "raypipe.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"raypipe\.toml") as caught:
        find_project(None, tmp_path, {})
    assert said in str(caught.value)
