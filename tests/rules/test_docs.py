"""The docs say what the code does: every setting and verb stands in them, and what they point at is there."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from tests.rules import reference
from tests.rules.source import ROOT, files

LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
PATH = re.compile(r"`((?:raypipe|configs|tests|benchmarks|examples)/[\w./-]+\.\w+)`")
PAGES = [path for path in files() if path.suffix == ".md"]


@pytest.mark.parametrize("option", reference.options(), ids=lambda option: option.name)
def test_every_setting_has_its_line(option: reference.Option):
    assert option.doc, f"{option.name} has no docstring"
    assert not [s.name for s in option.settings if not s.doc], f"settings of {option.name} without a line under them"


def test_the_reference_is_current():
    assert reference.PAGE.read_text() == reference.page(), "write it anew with `make reference`"


def test_every_key_of_the_pipeline_stands_in_the_docs():
    config = OmegaConf.load(ROOT / "configs" / "pipeline.yaml")
    keys = {str(key) for key in config} - {"defaults", "hydra", "_target_"}
    assert not [key for key in sorted(keys) if f"`{key}`" not in docs()]


def test_every_verb_stands_in_the_docs():
    from raypipe import cli

    assert not [verb for verb in cli.VERBS if f"raypipe {verb}" not in docs()]


def test_every_make_target_stands_in_the_docs():
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert not [target for target in targets if target != "help" and f"make {target}" not in docs()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    links = [link for link in LINK.findall(FENCED.sub("", page.read_text())) if "://" not in link and not link.startswith("mailto:")]
    assert not [link for link in links if not _leads_somewhere(page, link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_names_in_the_docs_exist(page: Path):
    import raypipe

    text = page.read_text()
    missing = [name for name in re.findall(r"\braypipe\.([A-Z]\w+)", text) if name not in raypipe.__all__]
    missing += [name for name in PATH.findall(text) if not (ROOT / name).exists() and not re.search("/[A-Z]+/|NAME", name)]
    assert not missing


@cache
def docs() -> str:
    """README, ARCHITECTURE, CONTRIBUTING and docs/, in one text."""
    pages = [path for path in PAGES if path.parent in (ROOT, ROOT / "docs")]
    return "\n".join(page.read_text() for page in pages)


def _leads_somewhere(page: Path, link: str) -> bool:
    name, _, anchor = link.partition("#")
    target = (page.parent / name).resolve() if name else page
    return target.exists() and (not anchor or anchor in _anchors(target))


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}
