"""What a run keeps of what it ran with: enough to build the same pipeline from it, and no secret."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from raypipe.pipeline.kept import kept, pipeline_of
from raypipe.pipeline.node import Node, Pipeline
from raypipe.pipeline.plan import open_scene

CODE = "import helper\n\ndef doubled(table):\n    return helper.times(table, 2)\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "raypipe.toml").touch()
    (tmp_path / "mine.py").write_text(CODE)
    (tmp_path / "helper.py").write_text("def times(table, n):\n    return table\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


PIPELINE = Pipeline.of("p", {"twice": Node("mine.doubled", {"n": 2, "key": "hunter2-hunter2"}, {"table": "source"})})


def test_the_same_pipeline_comes_out_with_its_code(project: Path, monkeypatch: pytest.MonkeyPatch):
    found = kept(PIPELINE, open_scene(project))
    assert pipeline_of(found["pipeline"]) == PIPELINE
    assert {name: m["source"] for name, m in found["code"].items()}["mine"] == CODE
    assert "helper" in found["code"]
    assert found["environment"]["distributions"]["pyarrow"]
    assert "git" not in found
    monkeypatch.setenv("A_PASSWORD", "hunter2-hunter2")
    assert "hunter2" not in json.dumps(kept(PIPELINE, open_scene(project)))


def test_settings_keep_their_order_and_no_secret_hides_behind_an_escape(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("A_PASSWORD", 'hun"ter-ß2')
    node = Node("mine.doubled", {"z": 1, "a": {"y": 'with hun"ter-ß2', "b": 2}}, {"table": "source"})
    found = kept(Pipeline.of("p", {"twice": node}), open_scene(project))
    again = pipeline_of(json.loads(json.dumps(found["pipeline"], sort_keys=True))).nodes["twice"].settings
    assert (list(again), list(again["a"])) == (["z", "a"], ["y", "b"])
    assert "ter-" not in json.dumps(found["pipeline"])


def test_git_says_commit_and_difference(project: Path):
    def git(*words: str) -> None:
        who = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
        subprocess.run(["git", *words], cwd=project, check=True, capture_output=True, env={**os.environ, **who})

    git("init")
    assert "git" not in kept(PIPELINE, open_scene(project)), "there is no commit yet"
    git("add", "mine.py")
    git("commit", "-m", "first")
    clean = kept(PIPELINE, open_scene(project))["git"]
    assert clean == {"commit": clean["commit"], "dirty": False}
    (project / "mine.py").write_text(CODE + "# more\n")
    assert "+# more" in kept(PIPELINE, open_scene(project))["git"]["diff"]
