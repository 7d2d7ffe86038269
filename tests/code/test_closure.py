"""What changes the closure of a user's function, what does not, and how the change is named."""

import sys
import textwrap
from typing import Any

import pytest

from raypipe.code import closure as code
from raypipe.code.closure import Closure
from raypipe.core.errors import ConfigError

FLIGHTS = '''
"""Flights."""
from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
from helpers import half as h, spare
import clock
import clock as watch

HOURS = 24
OFFSET = HOURS - 1
shorten = lambda text: text[:3]


class Part:
    size = 2

    def cut(self, x):
        return x / self.size


class Day(Part):
    def of(self, x):
        return self.cut(x)


def twice(function):
    def inner(x):
        return function(function(x))
    return inner


@twice
def add_hour(table: pa.Table, step=1):
    """Adds the hour."""
    # a comment
    def nested(x):
        return h(x) + OFFSET
    day = Day().of(step)
    return nested(table) + clock.tick(day) + np.abs(shorten("abc"))


def unrelated():
    return spare(2)
'''
HELPERS = """
RATE = 2


def half(x):
    return x / RATE


def spare(x):
    return x
"""
CLOCK = """
from helpers import RATE as rate


def tick(x):
    return x + rate


def tock(x):
    return x - rate
"""

SAME = {
    "comment": ("flights", "# a comment", "# another comment\n    # and one more"),
    "comment removed": ("flights", "    # a comment\n", ""),
    "docstring": ("flights", "Adds the hour.", "Adds the hour of the day."),
    "module docstring": ("flights", '"""Flights."""', '"""Departures."""'),
    "blank lines and spaces": ("flights", "return h(x) + OFFSET", "\n\n        return h( x )+OFFSET"),
    "continuation": ("flights", "return h(x) + OFFSET", "return h(x) \\\n            + OFFSET"),
    "indentation": ("flights", "    return inner\n", "    return   inner\n"),
    "trailing comma": ("flights", "def nested(x):", "def nested(\n        x,\n    ):"),
    "quotes": ("flights", 'shorten("abc")', "shorten('abc')"),
    "adjacent strings": ("flights", 'shorten("abc")', 'shorten("a" "bc")'),
    "unrelated function": ("flights", "return spare(2)", "return spare(3)"),
    "new function": ("flights", "HOURS = 24", "def another(): return 1\n\n\nHOURS = 24"),
    "unused import": ("flights", "import pyarrow as pa", "import pyarrow as pa\nimport json"),
    "unrelated helper": ("helpers", "def spare(x):\n    return x", "def spare(x):\n    return -x"),
    "sibling of what is called by attribute": ("clock", "x - rate", "x - 2 * rate"),
    "guarded main": ("flights", "HOURS = 24", 'HOURS = 24\nif __name__ == "__main__":\n    print(add_hour(HOURS))'),
    "printed line that touches nothing": ("flights", "HOURS = 24", 'HOURS = 24\nprint("loaded")'),
    "local name like a global one": ("flights", "def unrelated():", "def unrelated(HOURS=3):"),
}
CHANGED = {
    "constant": ("flights", "HOURS = 24", "HOURS = 12", "flights:HOURS"),
    "derived constant": ("flights", "HOURS - 1", "HOURS - 2", "flights:OFFSET"),
    "default argument": ("flights", "step=1", "step=2", "flights:add_hour"),
    "body": ("flights", "nested(table) +", "nested(table) -", "flights:add_hour"),
    "nested function": ("flights", "h(x) + OFFSET", "h(x) - OFFSET", "flights:add_hour"),
    "annotation": ("flights", "table: pa.Table", "table: pa.Array", "flights:add_hour"),
    "decorator": ("flights", "function(function(x))", "function(x)", "flights:twice"),
    "decorator taken off": ("flights", "@twice\n", "", "flights:add_hour"),
    "base class": ("flights", "size = 2", "size = 3", "flights:Part"),
    "class": ("flights", "self.cut(x)", "-self.cut(x)", "flights:Day"),
    "lambda": ("flights", "text[:3]", "text[:4]", "flights:shorten"),
    "string": ("flights", 'shorten("abc")', 'shorten("abd")', "flights:add_hour"),
    "helper of another module": ("helpers", "x / RATE", "x // RATE", "helpers:half"),
    "constant of another module": ("helpers", "RATE = 2", "RATE = 3", "helpers:RATE"),
    "function called by attribute": ("clock", "x + rate", "x + rate + 1", "clock:tick"),
    "another import under the same name": ("flights", "half as h, spare", "spare as h, half as spare", "flights:add_hour"),
    "another library under the same name": ("flights", "import numpy as np", "import cupy as np", "flights:add_hour"),
    "one-element tuple": ("flights", "function(function(x))", "function((function(x),))", "flights:twice"),
}


@pytest.fixture
def project(tmp_path) -> Any:
    def write(name, text):
        (tmp_path / f"{name}.py").parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        return tmp_path

    for name, text in (("flights", FLIGHTS), ("helpers", HELPERS), ("clock", CLOCK)):
        write(name, text)
    write.path = tmp_path  # pyright: ignore[reportFunctionMemberAccess]
    return write


def closure(target, search, reads=()) -> Closure:
    """The closure of code that is the user's."""
    found = code.closure(target, search, reads)
    assert found is not None
    return found


def edit(project, module, old, new):
    before = closure("flights.add_hour", [project.path])
    path = project.path / f"{module}.py"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    return before, closure("flights.add_hour", [project.path])


@pytest.mark.parametrize("change", SAME)
def test_what_does_not_bear_on_the_result_keeps_the_digest(project, change):
    before, after = edit(project, *SAME[change])
    assert after.digest == before.digest
    assert after.parts == before.parts


@pytest.mark.parametrize("change", CHANGED)
def test_a_change_is_seen_and_named(project, change):
    module, old, new, part = CHANGED[change]
    before, after = edit(project, module, old, new)
    assert after.digest != before.digest
    changed = {name for name in before.parts.keys() | after.parts.keys() if before.parts.get(name) != after.parts.get(name)}
    assert part in changed
    if part != "flights:add_hour":
        assert len(changed) == 1


def test_parts_are_those_reached_and_no_others(project):
    assert set(closure("flights.add_hour", [project.path]).parts) == {
        *("flights:add_hour", "flights:OFFSET", "flights:HOURS", "flights:shorten", "flights:Day", "flights:Part", "flights:twice"),
        *("helpers:half", "helpers:RATE", "clock:tick"),
    }


def test_distributions_are_those_of_the_reached_code(project):
    found = closure("flights.add_hour", [project.path])
    assert set(found.distributions) == {"numpy", "pyarrow"}
    assert found.distributions["numpy"] == __import__("numpy").__version__
    assert "numpy" not in closure("flights.unrelated", [project.path]).distributions


def test_no_module_of_the_users_is_imported(project):
    project("flights", "raise SystemExit('imported')\n" + FLIGHTS)
    assert closure("flights.add_hour", [project.path]).digest
    assert "flights" not in sys.modules


WHOLE = {
    "star import": "from helpers import *\ndef f(): return half(2)\ndef g(): return {}",
    "globals()": "def f(): return globals()['g']()\ndef g(): return {}",
    "eval": "def f(): return eval('g()')\ndef g(): return {}",
    "changed at import": "TABLE = {{}}\nTABLE['a'] = 1\ndef f(): return TABLE\ndef g(): return {}",
    "changed by a call at import": "TABLE = {{}}\ndef fill(): TABLE['a'] = 1\nfill()\ndef f(): return TABLE\ndef g(): return {}",
    "changed by a decorator": (
        "T = {{}}\ndef put(x):\n    T[x.__name__] = x\n    return x\n@put\ndef g(): return {}\ndef f(): return T['g']()"
    ),
    "changed by a base class": (
        "class Base:\n    def __init_subclass__(cls):\n        Base.found = cls\nclass Sub(Base):\n    x = {}\ndef f(): return Base.found.x"
    ),
    "global statement": "N = 1\ndef f(): return N\ndef g():\n    global N\n    N = {}",
    "bound twice": "N = 1\nM = N\nN = 2\ndef f(): return N\ndef g(): return {}",
    "a name that nothing binds": "def f(): return injected\ndef g(): return {}",
    "library changed at import": "import numpy as np\nnp.seterr(all='raise')\ndef f(): return np.abs(1)\ndef g(): return {}",
    "module taken as a value": "import other\ndef f(): return getattr(other, 'g')()\nX = {}",
}


@pytest.mark.parametrize("trick", WHOLE)
def test_the_whole_module_counts_where_reading_does_not_tell(project, trick):
    project("other", "def g(): return 1")
    project("tricks", WHOLE[trick].format(1))
    before = closure("tricks.f", [project.path])
    if trick == "module taken as a value":
        project("other", "def g(): return 2")
    else:
        project("tricks", WHOLE[trick].format(2))
    assert closure("tricks.f", [project.path]).digest != before.digest


def test_imports_inside_a_function_and_packages_are_followed(project):
    project("pack/__init__", "from .inner import deep")
    project("pack/inner", "from . import base\nfrom .base import UNIT\ndef deep(x): return base.lift(x) * UNIT\ndef other(): return 1")
    project("pack/base", "UNIT = 2\ndef lift(x): return x\ndef idle(x): return x")
    project("late", "def f(x):\n    from pack import deep\n    import pack.base\n    return deep(x) + pack.base.lift(x)")
    assert set(closure("late.f", [project.path]).parts) == {"late:f", "pack.inner:deep", "pack.base:UNIT", "pack.base:lift"}
    assert set(closure("late.f", [project.path]).modules) == {"late", "pack", "pack.inner", "pack.base"}


def test_a_fallback_import_is_followed_both_ways(project):
    project("fast", "def g(x): return x")
    project("slow", "def g(x): return x")
    project("either", "try:\n    import fast as m\nexcept ImportError:\n    import slow as m\ndef f(x): return m.g(x)")
    assert {"fast:g", "slow:g", "either:f"} <= set(closure("either.f", [project.path]).parts)


def test_functions_that_import_each_other(project):
    project("a", "import b\ndef f(n): return b.g(n)")
    project("b", "import a\ndef g(n): return n and a.f(n - 1)")
    assert set(closure("a.f", [project.path]).parts) == {"a:f", "b:g"}


def test_files_that_the_code_reads(project):
    (project.path / "codes.json").write_text("{}")
    before = closure("flights.unrelated", [project.path], reads=["codes.json"])
    (project.path / "codes.json").write_text("[]")
    assert closure("flights.unrelated", [project.path], reads=["codes.json"]).digest != before.digest
    with pytest.raises(ConfigError, match=r"reads: there is no file 'code\.json'"):
        closure("flights.unrelated", [project.path], reads=["code.json"])


def test_an_installed_function_has_no_closure(project):
    assert code.closure("pyarrow.compute.abs", [project.path]) is None
    assert code.closure("raypipe.Split", [project.path]) is None


def test_code_without_source_says_so(project):
    (project.path / "closed.pyc").write_bytes(b"")
    project("opens", "import closed\ndef f(): return closed.g()")
    assert closure("closed.g", [project.path]).uncached == "module 'closed' has no source"
    found = closure("opens.f", [project.path])
    assert (found.digest, found.uncached) == ("", "module 'closed' has no source")


def test_an_import_by_a_computed_name_is_noted(project):
    project("later", "import importlib\ndef f(name): return importlib.import_module(name)")
    assert closure("later.f", [project.path]).notes == ("later.py line 2 imports a module by a computed name",)


def test_what_is_not_there(project):
    with pytest.raises(ConfigError, match=r"flights has no 'add_hours'\. Did you mean 'add_hour'\?"):
        closure("flights.add_hours", [project.path])
    with pytest.raises(ConfigError, match="there is no module 'fligths'"):
        closure("fligths.add_hour", [project.path])
    project("broken", "def f(:\n    pass")
    with pytest.raises(ConfigError, match=r"broken\.py line 1 is not valid Python"):
        closure("broken.f", [project.path])
