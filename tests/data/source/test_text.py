"""Text: a row a line or a row a file."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.source import text
from raypipe.data.source.location import Location
from raypipe.data.source.text import Text


def read(tmp_path, data, **settings):
    (tmp_path / "a.txt").write_bytes(data)
    return pa.concat_tables(list(Text("a.txt", **settings).read(Location(str(tmp_path / "a.txt"), "data/a.txt"), {})))


def test_a_row_a_line(tmp_path, monkeypatch):
    data = "one\r\n\nthree ü\n  \nfive".encode()
    rows = read(tmp_path, data, line_numbers=True)
    assert rows.to_pydict() == {"text": ["one", "three ü", "five"], "path": ["data/a.txt"] * 3, "line": [1, 3, 5]}
    assert rows.schema.types == [pa.string(), pa.string(), pa.int64()]
    assert read(tmp_path, data).column_names == ["text", "path"]
    monkeypatch.setattr(text, "BLOCK_BYTES", 3)
    assert read(tmp_path, data, line_numbers=True).equals(rows)


def test_a_row_a_file(tmp_path):
    assert read(tmp_path, b"one\ntwo\n", rows="files").to_pydict() == {"text": ["one\ntwo\n"], "path": ["data/a.txt"]}


def test_what_is_not_utf8_is_told_by_line(tmp_path):
    with pytest.raises(DataError, match=r"^line 3: is not UTF-8$"):
        read(tmp_path, b"a\n\n\xff\n")
    with pytest.raises(DataError, match=r"^is not UTF-8$"):
        read(tmp_path, b"a\n\xff\n", rows="files")


def test_a_huge_text_is_no_row(tmp_path, monkeypatch):
    monkeypatch.setattr(text, "MAX_BYTES", 3)
    with pytest.raises(DataError, match="too many for one row: read it with rows: lines"):
        read(tmp_path, b"abcd", rows="files")


def test_bad_settings_are_told():
    assert Text("a", rows="words").problems() == ["rows is 'words', expected lines or files"]  # type: ignore[arg-type]
    assert Text("a", rows="files", line_numbers=True).problems() == ["line_numbers goes with rows: lines"]
