"""Import paths of objects, and where a path leads."""

import functools

import pytest

from raypipe.code.target import define, target_of
from raypipe.core.errors import ConfigError
from raypipe.steps.split import Split


def test_the_path_of_a_class():
    assert target_of(Split) == "raypipe.steps.split.Split"
    assert define("raypipe.Split", ()).canonical == target_of(Split)


def test_what_has_no_path():
    for thing in (lambda x: x, functools.partial(print), 3):
        with pytest.raises(ConfigError, match="has no import path"):
            target_of(thing)


def test_reexports_in_a_circle(tmp_path):
    (tmp_path / "one_of_two.py").write_text("from two_of_two import f\n")
    (tmp_path / "two_of_two.py").write_text("from one_of_two import f\n")
    with pytest.raises(ConfigError, match="imported in a circle"):
        define("one_of_two.f", [tmp_path])
