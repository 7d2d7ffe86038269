"""The house itself: lengths, names, packages, leftovers. What is a taste is printed; what is a bound is asserted."""

from __future__ import annotations

import ast
import re
import statistics
import tomllib

import pytest

from tests.rules.source import ROOT, Module, files, functions, modules, texts

LONGEST_FUNCTION = 60
LONGEST_FILE = 400
EMPTY_WORDS = {"manager", "handler", "util", "utils", "helper", "helpers", "base", "impl", "common", "misc"}
LEFTOVERS = re.compile(r".*\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b.*")
MACHINE = re.compile(r"(?<![\w.$}/-])/(?:work|root|home|Users|tmp|mnt|opt/pypi)/(?!nonexistent)[\w.]+")
ANY_TEXT = (".py", ".md", ".toml", ".yaml", ".yml", ".txt", ".sh", ".cfg", "Makefile", "run", ".gitignore")


def test_functions_are_short(record_property):
    lengths = {module.at(node) + " " + node.name: _length(node) for module in modules() for node in functions(module)}
    ordered = sorted(lengths.values())
    figures = {"functions": len(ordered), "median": statistics.median(ordered), "ninetieth": ordered[int(len(ordered) * 0.9)]}
    record_property("function_lengths", figures)
    print(f"\nfunction lengths: {figures}, longest {max(lengths, key=lengths.__getitem__)} with {ordered[-1]}")
    assert not {where: length for where, length in lengths.items() if length > LONGEST_FUNCTION}
    assert figures["median"] <= 15
    assert figures["ninetieth"] <= 45


def test_modules_have_a_test_of_their_name(record_property):
    mirrored = [module for module in modules() if module.path.name not in ("__init__.py", "__main__.py")]
    missing = [module.name for module in mirrored if not _test_of(module)]
    share = 1 - len(missing) / len(mirrored)
    record_property("mirrored", share)
    print(f"\nmodules with a same-named test: {share:.0%}; without: {', '.join(missing) or 'none'}")
    assert share >= 0.6


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_file_is_one_noun(module: Module):
    assert ast.get_docstring(module.tree) or not module.tree.body, "a module opens with a sentence that says what it is"
    assert module.text.count("\n") <= LONGEST_FILE
    assert not EMPTY_WORDS & set(module.path.stem.split("_")), "a name that says nothing"


def test_packages_are_the_folders():
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {module.name for module in modules() if module.path.name == "__init__.py"}
    assert sorted(listed) == sorted(folders | {"raypipe.configs"})


def test_every_folder_of_modules_is_a_package():
    assert not {module.path.parent for module in modules() if not (module.path.parent / "__init__.py").exists()}


def test_nothing_left_over():
    found = [f"{path.relative_to(ROOT)}: {match[0].strip()}" for path, text in texts(*ANY_TEXT) for match in LEFTOVERS.finditer(text)]
    assert not found


def test_no_path_of_a_machine():
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in texts(*ANY_TEXT) for match in MACHINE.finditer(text)]
    assert not found


def test_pins_come_from_a_registry():
    pins = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[\w.-]+==[\w.]+", pin) for pin in pins), "a pin is NAME==VERSION, without a path, an address or a local build"


def test_nothing_large_is_tracked():
    assert not [path for path in files() if path.stat().st_size > 1_000_000]


def _length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (node.end_lineno or node.lineno) - node.lineno + 1


def _test_of(module: Module) -> bool:
    parent = module.path.parent.relative_to(ROOT / "raypipe")
    return any((ROOT / "tests" / parent / f"test_{stem}.py").exists() for stem in (module.path.stem, module.path.stem.strip("_")))
