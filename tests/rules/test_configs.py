"""Every config that raypipe ships, and every example's, composes into a pipeline that can be checked."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from raypipe.cli import main
from raypipe.config.compose import compose
from raypipe.pipeline.assemble import assemble
from raypipe.pipeline.build import component
from tests.rules.source import ROOT, files

CONFIGS = sorted(path for path in files() if path.suffix == ".yaml" and path.is_relative_to(ROOT / "configs"))
OPTIONS = [path for path in CONFIGS if path.parent != ROOT / "configs"]
EXAMPLES = sorted(path for path in files() if path.match("examples/*/conf/*.yaml"))
NEEDS = {
    "tracker=wandb": ["tracker.project=churn"],
    "source=kafka": ["~source.path", "source.topic=churn", "source.servers=localhost:9092"],
    "source=sql": ["~source.path", "source.table=churn", "source.url=sqlite:///churn.db"],
    "source=iceberg": ["~source.path", "source.name=db.churn"],
    "source=ducklake": ["~source.path", "source.name=churn", "source.catalog=sqlite:///churn.db"],
    "source=python": ["~source.path", "+source.function._target_=pyarrow.table"],
}
"""Settings that an option has no default for."""


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_is_found_in_the_installed_package(path: Path):
    found = resources("raypipe.configs").joinpath(str(path.relative_to(ROOT / "configs")))
    assert found.read_text() == path.read_text()
    assert OmegaConf.load(path) is not None


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as `raypipe init` makes it: it sets no more than a user must."""
    folder = tmp_path_factory.mktemp("projects") / "churn"
    assert main(["init", str(folder)]) == 0
    return folder


@pytest.mark.parametrize("option", OPTIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_option_composes_into_a_pipeline(option: Path, project: Path):
    override = f"{option.parent.name}={option.stem}"
    values = compose(project / "conf", "churn", [override, *NEEDS.get(override, [])]).values
    assert len(assemble(values, (project,)).nodes) > 5
    for name in ("cluster", "tracker"):
        assert component(values[name], (project,)) is not None


@pytest.mark.parametrize("config", EXAMPLES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_example_composes_with_every_model(config: Path):
    for model in (path.stem for path in OPTIONS if path.parent.name == "model"):
        values = compose(config.parent, config.stem, [f"model={model}"]).values
        assert assemble(values, (config.parents[1],)).name == config.stem
