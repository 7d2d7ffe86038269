"""Nothing runs because bytes ask for it: no pickle, no unsafe loading, no code made from text outside core's recorded code."""

from __future__ import annotations

import ast
import re

import pytest

from tests.rules.source import ROOT, Module, dotted, imports, modules, texts

PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "joblib", "marshal", "dill", "shelve"}
UNSAFE_CALLS = {
    "torch.load",
    "torch.save",
    "torch.jit.load",
    "yaml.load",
    "yaml.unsafe_load",
    "pandas.read_pickle",
    "pd.read_pickle",
    "os.system",
    "os.popen",
}
MADE_OF_TEXT = {"eval", "exec", "compile", "execfile"}
RECORDED_CODE = "raypipe.code.recorded"
"""The one module that turns recorded source into functions, by digest."""

EVERYWHERE = re.compile(r"weights_only\s*=\s*False|allow_pickle\s*=\s*True|trust_remote_code\s*=\s*True|shell\s*=\s*True")


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_no_pickle(module: Module):
    assert not [found for found in imports(module) if found.name.split(".")[0] in PICKLES or found.name.startswith("ray.cloudpickle")]


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_no_unsafe_call(module: Module):
    wrong = [f"{module.at(node)} {name}" for node, name in _calls(module) if name in UNSAFE_CALLS]
    wrong += [f"{module.at(node)} {name}" for node, name in _calls(module) if name in MADE_OF_TEXT and module.name != RECORDED_CODE]
    assert not wrong


def test_no_unsafe_argument_anywhere():
    found = [f"{path.relative_to(ROOT)}: {match[0]}" for path, text in texts(".py", ".yaml", ".sh") for match in EVERYWHERE.finditer(text)]
    assert not found


def _calls(module: Module) -> list[tuple[ast.Call, str]]:
    return [(node, dotted(node.func)) for node in ast.walk(module.tree) if isinstance(node, ast.Call)]
