"""How a step calls code of the user's, told before it runs."""

from pathlib import Path

from raypipe.code.called import problems_of
from raypipe.code.recorded import UserCode
from raypipe.code.shape import shape
from raypipe.core.form import ROW_FORMS

MINE = """\
import pyarrow as pa
def plain(rows, above: float): ...
def odd(rows: list) -> pa.Table: ...
class Model:
    def __init__(self, path, **more): ...
    def __call__(self, rows: pa.Table) -> pa.Table: ...
"""


def told(tmp_path: Path, name: str, **settings: object) -> list[str]:
    (tmp_path / "mine.py").write_text(MINE)
    code = UserCode(f"mine.{name}", settings, None, shape(f"mine.{name}", (tmp_path,)))
    return [str(problem) for problem in problems_of("out.function", code, ROW_FORMS)]


def test_settings_that_are_no_arguments_and_arguments_without_a_setting(tmp_path: Path):
    assert told(tmp_path, "plain", above=1) == []
    assert told(tmp_path, "plain", abvoe=1) == [
        "out.function.abvoe: unknown: mine.plain takes no 'abvoe'. Did you mean 'above'?",
        "out.function.above: missing: mine.plain needs 'above'.",
    ]
    assert told(tmp_path, "Model", path="w", other=1) == []
    assert told(tmp_path, "Model") == ["out.function.path: missing: mine.Model needs 'path'."]


def test_an_annotation_that_is_no_form(tmp_path: Path):
    (text,) = told(tmp_path, "odd")
    assert text.startswith("out.function: mine.odd takes list; here that is one of: pa.Table, dict[str, np.ndarray]")
