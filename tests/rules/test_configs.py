"""Every config that raypipe ships, and every example's, composes into a pipeline that can be checked."""

from __future__ import annotations

from importlib.resources import files as resources
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.rules.source import ROOT, files

CONFIGS = sorted(path for path in files() if path.suffix == ".yaml" and path.is_relative_to(ROOT / "configs"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_is_found_in_the_installed_package(path: Path):
    found = resources("raypipe.configs").joinpath(str(path.relative_to(ROOT / "configs")))
    assert found.read_text() == path.read_text()
    assert OmegaConf.load(path) is not None
