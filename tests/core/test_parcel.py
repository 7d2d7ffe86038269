"""What of a project travels with a job."""

from __future__ import annotations

import io
import json
import os
import zipfile
from pathlib import Path

import pytest

from raypipe.core import passed
from raypipe.core.errors import ConfigError
from raypipe.core.lock import lacking
from raypipe.core.parcel import gather, mark


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    for name in (
        "conf/shop.yaml",
        "own.py",
        "data/a.csv",
        ".env",
        "keys/id.pem",
        ".raypipe/ledger.db",
        "lib/__pycache__/x.pyc",
        ".git/HEAD",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_code_and_config_travel_and_what_is_kept_or_secret_does_not(project: Path, tmp_path: Path):
    (tmp_path / "secret").write_text("s")
    (project / "out").symlink_to(tmp_path / "secret")
    found = gather(project)
    assert found.paths == ("conf/shop.yaml", "data/a.csv", "own.py")
    assert found.left == ("out",)


def test_a_project_says_what_else_stays(project: Path):
    (project / ".raypipeignore").write_text("# data lies in the bucket\ndata/\nconf/*.yaml\n")
    assert gather(project).paths == (".raypipeignore", "own.py")


def test_too_much_is_refused_with_the_largest_files(project: Path):
    (project / "data" / "big.csv").write_bytes(b"x" * 2_000_000)
    with pytest.raises(ConfigError, match=r"2\.0 MB in 4 files, and 1\.0 MB may travel\. The largest: data/big\.csv \(2\.0 MB\)"):
        gather(project, max_bytes=1_000_000)


def test_the_same_files_are_the_same_bytes_and_keep_the_projects_name(project: Path):
    found, more = gather(project), mark(project, 'a "shop"')
    assert found.packed(more) == found.packed(more)
    with zipfile.ZipFile(io.BytesIO(found.packed(more))) as archive:
        assert archive.read("own.py") == b"own.py"
        assert archive.read("raypipe.toml") == b'project = "a \\"shop\\""\n'
    (project / "raypipe.toml").write_text('project = "b"\n')
    assert mark(project, "b") == {}


def test_passed_values_are_read_where_the_job_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PASSED_TOKEN", "old")
    passed.load()
    assert os.environ["PASSED_TOKEN"] == "old"
    (tmp_path / passed.FILE).write_bytes(passed.packed({"PASSED_TOKEN": "new"}))
    passed.load()
    assert os.environ["PASSED_TOKEN"] == "new"
    assert (tmp_path / passed.FILE).stat().st_mode & 0o777 == 0o600


def test_what_another_environment_lacks():
    ours = {"numpy": "2.4.6", "torch": "2.13.0+cpu", "ray": "2.60.0", "raypipe": "0.1.0", "scikit-learn": "1.9.1", "six": "1.17.0"}
    theirs = {"NumPy": "2.4.6", "torch": "2.13.0", "ray": "2.59.0", "scikit_learn": "1.8.0"}
    assert lacking(ours, theirs) == ["scikit-learn==1.9.1", "six==1.17.0"]
    assert json.dumps(ours)
