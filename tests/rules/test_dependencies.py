"""What raypipe imports is a dependency of its own, or an extra: none comes by chance with another."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_import_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    stated = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    declared = {plain(re.split(r"[\[<>=~!; ]", line)[0]) for line in stated}
    names = {name.split(".")[0] for path in (ROOT / "raypipe").rglob("*.py") for name in imported(path)}
    others = names - {"raypipe"} - sys.stdlib_module_names
    brings = packages_distributions()
    undeclared = {name for name in others if not {plain(d) for d in brings.get(name, [name])} & declared}
    assert not undeclared
