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
