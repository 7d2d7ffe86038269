"""Modules found and parsed, never imported."""

import sys

import pytest

from raypipe.code.module import find, load, unknown
from raypipe.core.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "origin"),
    [("json.decoder", "standard"), ("raypipe.core.errors", "own"), ("numpy.linalg", "installed"), ("_pytest", "installed")],
)
def test_whose_a_module_is(name: str, origin: str):
    found = find(name, ())
    assert found is not None
    assert found.origin == origin


def test_the_projects_folder_comes_first_and_namespaces_last(tmp_path):
    (tmp_path / "numpy").mkdir()
    (tmp_path / "only_a_folder").mkdir()
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours" / "__init__.py").write_text("")
    search = [tmp_path]
    assert [getattr(find(n, search), "origin", None) for n in ("numpy", "only_a_folder", "ours", "ours.gone", "not-a-name")] == [
        *("installed", "user", "user", None, None),
    ]


def test_a_changed_file_is_read_anew(tmp_path):
    for number in (1, 2):
        (tmp_path / "changing.py").write_text(f"N = {number}\n")
        module = load("changing", [tmp_path])
        assert module is not None
        assert module.source == f"N = {number}\n"
    assert "changing" not in sys.modules


def test_what_the_top_level_binds(tmp_path):
    (tmp_path / "binds.py").write_text(
        "import a.b, c as d\nfrom e import f as g\nx, (y, *z) = 1, (2, 3)\nif x:\n    def h(): v = 1\nelse:\n    h = None\n"
        "for i in []:\n    pass\nwith x as w: pass\nif __name__ == '__main__':\n    hidden = 1\n"
    )
    module = load("binds", [tmp_path])
    assert module is not None
    assert set(module.bindings) == {"x", "y", "z", "h", "i", "w"}
    assert set(module.imports) == {"a", "d", "g"}


def test_the_nearest_module_is_named(tmp_path):
    (tmp_path / "flights.py").write_text("")
    assert unknown("fligths", [tmp_path]).endswith("Did you mean 'flights'?")
    assert "there is no module 'raypipe.data.sorce'" in unknown("raypipe.data.sorce", ())


def test_a_file_that_is_no_python(tmp_path):
    (tmp_path / "broken.py").write_text("x = (\n")
    with pytest.raises(ConfigError, match=r"broken\.py line 1 is not valid Python"):
        load("broken", [tmp_path])
    (tmp_path / "bytes_only.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(ConfigError, match="not readable as Python source"):
        load("bytes_only", [tmp_path])
