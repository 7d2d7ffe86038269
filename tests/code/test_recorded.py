"""Recorded code: run from its recorded text, two versions at once, never from the working tree."""

import json
import sys
import traceback
from typing import Any

import pytest

from raypipe.code.closure import closure
from raypipe.code.recorded import load, record
from raypipe.core.errors import StoreError


@pytest.fixture
def project(tmp_path, monkeypatch) -> Any:
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(**files):
        for name, text in files.items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write.path = tmp_path  # pyright: ignore[reportFunctionMemberAccess]
    return write


def recorded(project, target):
    found = closure(target, [project.path])
    assert found is not None
    return json.loads(json.dumps(record(found)))


def test_two_versions_live_at_once_and_neither_is_the_working_trees(project):
    project(scaling="from factors import FACTOR\ndef scale(x): return x * FACTOR", factors="FACTOR = 2")
    first = recorded(project, "scaling.scale")
    project(factors="FACTOR = 3")
    second = recorded(project, "scaling.scale")
    project(factors="FACTOR = 1000", scaling="broken on purpose")
    assert (load(first)(10), load(second)(10), load(first)(10)) == (20, 30, 20)
    assert not {"scaling", "factors"} & sys.modules.keys()


def test_packages_relative_imports_and_imports_inside_functions(project):
    project(
        **{
            "kit/__init__": "from .inner.deep import add\nNAME = __name__",
            "kit/inner/__init__": "",
            "kit/inner/deep": (
                "from .. import units\nfrom . import sibling\nfrom ..units import *\ndef add(x): return units.UNIT + sibling.ONE + x + TWO"
            ),
            "kit/inner/sibling": "ONE = 1",
            "kit/units": "UNIT = 10\nTWO = 2",
            "lone/__init__": "from . import __name__ as name\nONE = 1",
        },
        top=(
            "import kit.inner.deep\nimport lone\ndef f(x):\n    import kit.units as u\n    from kit import add\n"
            "    return kit.inner.deep.add(x) + add(0) + u.UNIT * lone.ONE"
        ),
    )
    document = recorded(project, "top.f")
    for path in project.path.rglob("*.py"):
        path.unlink()
    assert load(document)(100) == 113 + 13 + 10


def test_a_namespace_package_and_modules_that_import_each_other(project):
    project(
        **{
            "space/one": "import space.two\ndef f(n): return space.two.g(n)",
            "space/two": "import space.one\ndef g(n): return n and space.one.f(n - 1)",
        }
    )
    assert load(recorded(project, "space.one.f"))(3) == 0


def test_classes_dataclasses_and_methods(project):
    project(
        shapes=(
            "from __future__ import annotations\nfrom dataclasses import dataclass, fields\nimport typing\n"
            "@dataclass\nclass Box:\n    side: typing.ClassVar[int] = 2\n    width: int = 3\n"
            "    def area(self): return self.width * self.side\n    class Lid:\n        open = True\n"
        )
    )
    box = load(recorded(project, "shapes.Box"))
    assert box(4).area() == 8
    assert box is load(recorded(project, "shapes.Box"))
    assert load(recorded(project, "shapes.Box.Lid")).open


def test_what_was_not_recorded_is_not_taken_from_the_working_tree(project):
    project(loose="import importlib\ndef f(name):\n    return __import__(name)", stray="X = 1")
    function = load(recorded(project, "loose.f"))
    assert function("json") is json
    with pytest.raises(ModuleNotFoundError, match="No module named 'stray' among the recorded ones"):
        function("stray")


def test_a_missing_submodule_and_a_missing_name(project):
    project(
        **{"pack/__init__": "", "pack/part": "A = 1"},
        uses="import pack.part\ndef f():\n    import pack.gone\ndef g():\n    from pack.part import B",
    )
    with pytest.raises(ModuleNotFoundError, match=r"pack\.gone"):
        load(recorded(project, "uses.f"))()
    with pytest.raises(ImportError, match="cannot import name 'B'"):
        load(recorded(project, "uses.g"))()


def test_changed_bytes_are_refused_before_anything_runs(project):
    project(evil="def f(): return 1")
    document = recorded(project, "evil.f")
    document["modules"]["evil"]["source"] = "raise SystemExit"
    with pytest.raises(StoreError, match="the recorded source of module 'evil' is not what was recorded"):
        load(document)
    document = recorded(project, "evil.f") | {"entry": "evil:g"}
    with pytest.raises(StoreError, match="the recorded code of 'evil:g'"):
        load(document)


def test_a_traceback_shows_the_recorded_line(project):
    project(fails="def f(x):\n    return 1 / x")
    document = recorded(project, "fails.f")
    project(fails="def g(): pass")
    with pytest.raises(ZeroDivisionError) as error:
        load(document)(0)
    assert "return 1 / x" in "".join(traceback.format_exception(error.value))


def test_a_module_that_raises_leaves_nothing_behind(project):
    project(breaks="raise ValueError('at import')\ndef f(): pass")
    document = recorded(project, "breaks.f")
    for _ in range(2):
        with pytest.raises(ValueError, match="at import"):
            load(document)


def test_installed_code_is_imported():
    assert load(None, "json.loads") is json.loads


@pytest.mark.ray
def test_it_is_shipped_to_a_worker_as_text(project, ray_cluster):
    import ray

    project(far="from near import add\ndef f(x): return add(x)", near="def add(x): return x + 1")
    document = recorded(project, "far.f")
    for name in ("far", "near"):
        (project.path / f"{name}.py").unlink()
    call: Any = ray.remote(lambda document, x: load(document)(x))  # pyright: ignore[reportArgumentType]
    assert ray.get(call.remote(document, 41)) == 42
