"""What a target takes, read without importing it; and what is said of one that cannot be used."""

import dataclasses
import importlib
import inspect
import sys
import textwrap
from typing import Any

import pytest

import raypipe
from raypipe.code.module import find
from raypipe.code.shape import canonical_value, shape
from raypipe.core.errors import ConfigError

MODULE = """
from __future__ import annotations
import typing as t
from dataclasses import KW_ONLY, InitVar, dataclass, field
from functools import lru_cache, partial
import pyarrow as pa
import torch
import raypipe
from raypipe import Made, Ref, Table
from raypipe.core.step import NO_IDENTITY
from places import Place, elsewhere

SIDE = 4


def add(table: pa.Table, hours: int = 1, *, name: str = "hour", **rest) -> pa.Table: ...


@dataclass
class Base:
    width: float
    height: float = 1.0


@dataclass
class Box(Base, t.Generic[t.TypeVar("T")]):
    revision: t.ClassVar[int] = 1
    width: float = 3.0
    side: int = SIDE
    tags: list[str] = field(default_factory=list)
    where: str = field(default="here", metadata=NO_IDENTITY)
    hidden: int = field(default=0, init=False)
    seed: InitVar[int] = 0
    _: KW_ONLY
    place: Place | None = None

    def area(self): ...


@dataclass
class Join:
    flights: Ref[Table]
    weather: "Ref[Table] | None" = Ref("weather")

    def run(self, work, flights, weather) -> Made[Table]: ...


class Net(torch.nn.Module):
    def __init__(self, inputs: int, hidden: int = 32): ...


class Wide(Net):
    pass


class Plain:
    pass
"""
DYNAMIC = """
from functools import lru_cache, partial, wraps
from os import system
from typing import NamedTuple
import pickle

def keep(function):
    @wraps(function)
    def inner(*args, **kwargs): return function(*args, **kwargs)
    return inner

@keep
def kept(table, hours=2): ...

@lru_cache
def cached(x): ...

class Point(NamedTuple):
    x: int
    y: int = 0

shout = system
both = partial(pickle.loads)
N = 3
fixed = partial(kept, hours=5)
"""


@pytest.fixture
def search(tmp_path):
    (tmp_path / "boxes.py").write_text(MODULE)
    (tmp_path / "places.py").write_text("class Place: ...\nclass Elsewhere: ...\nelsewhere = Elsewhere()\n")
    (tmp_path / "dynamic_boxes.py").write_text(DYNAMIC)
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__init__.py").write_text("from .inner import deep as shallow\nfrom .stars import *\n")
    (pack / "inner.py").write_text("def deep(table): ...\n")
    (pack / "stars.py").write_text("def twinkle(table): ...\n")
    return [tmp_path]


def annotation(found, name):
    return next(p.resolved for p in found.parameters if p.name == name)


def taken(found):
    return {p.name: p.default if p.default_known else ... for p in found.parameters}


def test_a_function(search):
    found = shape("boxes.add", search)
    assert (found.canonical, found.kind, found.user, found.own, found.accepts_any) == ("boxes.add", "function", True, False, True)
    assert found.returns == "pyarrow.Table"
    assert [(p.name, p.annotation, p.resolved, p.required) for p in found.parameters] == [
        ("table", "pa.Table", "pyarrow.Table", True),
        ("hours", "int", "int", False),
        ("name", "str", "str", False),
    ]


def test_a_dataclass_with_bases_is_read_like_python_makes_it(search):
    found = shape("boxes.Box", search)
    assert taken(found) == {"width": 3.0, "height": 1.0, "side": 4, "tags": [], "where": "here", "seed": 0, "place": None}
    assert [p.name for p in found.parameters if not p.identity] == ["where"]
    assert annotation(found, "place") == "places.Place | None"
    assert {"area", "revision"} <= found.members
    assert not {"boxes", "torch"} & (sys.modules.keys() - {"torch"})


def test_a_step_of_the_users(search):
    found = shape("boxes.Join", search)
    assert found.returns == "raypipe.core.step.Made[raypipe.core.artifact.Table]"
    assert annotation(found, "weather") == "raypipe.core.step.Ref[raypipe.core.artifact.Table] | None"
    assert taken(found) == {"flights": ..., "weather": "weather"}


def test_a_torch_module_is_read_and_torch_is_not_imported(search):
    assert taken(shape("boxes.Net", search)) == {"inputs": ..., "hidden": 32}
    assert taken(shape("boxes.Wide", search)) == {"inputs": ..., "hidden": 32}
    assert "boxes" not in sys.modules


def test_a_class_without_arguments(search):
    assert shape("boxes.Plain", search).parameters == ()


def test_reexports_are_followed(search):
    assert shape("pack.shallow", search).canonical == "pack.inner.deep"
    assert shape("pack.twinkle", search).canonical == "pack.stars.twinkle"
    assert shape("boxes.raypipe.Split", search).canonical == "raypipe.steps.split.Split"
    assert shape("raypipe.Split", search).own


def test_what_reading_does_not_settle_is_imported(search):
    assert taken(shape("dynamic_boxes.kept", search)) == {"table": ..., "hours": 2}
    assert taken(shape("dynamic_boxes.cached", search)) == {"x": ...}
    assert taken(shape("dynamic_boxes.Point", search)) == {"x": ..., "y": 0}
    assert shape("dynamic_boxes.fixed", search).canonical == "dynamic_boxes.fixed"
    assert str(search[0]) not in sys.path


REFUSED = {
    "os.system": "'os.system' is of Python's standard library, which a config may not call; wrap it in a function of yours",
    "builtins.eval": "'builtins.eval' is of Python's standard library",
    "logging.os.system": "of Python's standard library",
    "functools.partial": "of Python's standard library",
    "dynamic_boxes.system": "'os.system' is of Python's standard library",
    "dynamic_boxes.shout": "'posix.system' is of Python's standard library",
    "dynamic_boxes.both": "'_pickle.loads' is of Python's standard library",
    "boxes.t.get_type_hints": "'typing.get_type_hints' is of Python's standard library",
    "pandas.read_pickle": "'pandas.read_pickle' may load or run what a file says, so a config may not call it; wrap what you need",
    "pandas.io.pickle.read_pickle": "may load or run what a file says",
    "boxes.torch.load": "may load or run what a file says",
    "numpy.load": "may load or run what a file says",
    "joblib.load": "may load or run what a file says",
    "cloudpickle.loads": "may load or run what a file says",
    "ray.cloudpickle.loads": "may load or run what a file says",
    "hydra.utils.instantiate": "may load or run what a file says",
    "omegaconf.OmegaConf.load": "may load or run what a file says",
    "yaml.unsafe_load": "may load or run what a file says",
    "boxes.ad": "boxes has no 'ad'. Did you mean 'add'?",
    "boxes.Box.aera": "Box has no 'aera'. Did you mean 'area'?",
    "boxs.add": "cannot find 'boxs.add': there is no module 'boxs'",
    "pack.inner": "'pack.inner' is a module; name a class or a function in it",
    "boxes": "'boxes' is no import path: write module.name, as in flights.add_hour",
    "boxes:add": "'boxes:add' is no import path",
    "dynamic_boxes.N": "'dynamic_boxes.N' is a int; a class or a function is needed",
    "raypipe.Standardise": "raypipe has no 'Standardise'. Did you mean 'Standardize'?",
    "failing.f": "'failing' cannot be imported: ImportError: no luck; because of KeyError: 'deep'",
    "quits.f": "'quits' cannot be imported: SystemExit: 3",
}


@pytest.mark.parametrize("target", REFUSED)
def test_a_target_that_cannot_be_used(search, target):
    (search[0] / "failing.py").write_text(
        "from functools import wraps\ntry:\n    {}['deep']\nexcept KeyError as e:\n    raise ImportError('no luck') from e\nf = wraps(1)"
    )
    (search[0] / "quits.py").write_text("raise SystemExit(3)\nf = len")
    with pytest.raises(ConfigError) as error:
        shape(target, search)
    assert REFUSED[target] in str(error.value)
    assert "\n" not in str(error.value)


def signature_default(field: Any) -> Any:
    return field.default if field.default is not dataclasses.MISSING else field.default_factory()


def own_targets():
    """raypipe's public names whose module is there, as (path, object)."""
    for name, module in raypipe._EXPORTS.items():
        if find(module, ()):
            yield name, getattr(importlib.import_module(module), name, None)


@pytest.mark.parametrize(("name", "thing"), [(n, t) for n, t in own_targets() if dataclasses.is_dataclass(t)])
def test_reading_raypipes_own_classes_gives_what_python_gives(name, thing):
    found = shape(f"raypipe.{name}", ())
    signature = inspect.signature(thing)
    assert found.canonical == f"{thing.__module__}.{thing.__qualname__}"
    assert [(p.name, p.required) for p in found.parameters] == [(p.name, p.default is p.empty) for p in signature.parameters.values()]
    for field in dataclasses.fields(thing):
        parameter = found.parameter(field.name)
        if parameter and parameter.default_known:
            assert parameter.default == signature_default(field)
        assert parameter is None or parameter.identity == (field.metadata.get("identity") is not False)


def test_a_value_in_normal_form(search):
    written = {"_target_": "raypipe.Split", "by": "hash", "key": "id", "validation": 0, "test": 0.1, "salt": ""}
    assert canonical_value(written, search) == {"_target_": "raypipe.steps.split.Split", "by": "hash", "key": "id", "validation": 0.0}
    nested = {"a": [{"_target_": "pack.shallow"}]}
    assert canonical_value(nested, search) == {"a": [{"_target_": "pack.inner.deep"}]}
    assert type(canonical_value({"_target_": "boxes.Box", "width": 2}, search)["width"]) is float
    assert canonical_value({"_target_": "boxes.Box", "tags": [], "side": 4, "where": "there"}, search) == {
        "_target_": "boxes.Box",
        "where": "there",
    }


def test_source_in_another_encoding_and_with_windows_line_ends(search):
    (search[0] / "odd.py").write_bytes(textwrap.dedent("# -*- coding: latin-1 -*-\r\ndef f(größe='é'): ...\r\n").encode("latin-1"))
    assert taken(shape("odd.f", search)) == {"größe": "é"}
