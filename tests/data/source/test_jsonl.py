"""JSON lines: read into the types that are wanted; what cannot be is told by line, field and value."""

import bz2
import datetime
import gzip
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source import json_text
from raypipe.data.source.csv import Csv
from raypipe.data.source.jsonl import JsonLines
from raypipe.data.source.location import Location
from raypipe.data.source.piece import NOTHING
from raypipe.data.source.text import Text


def read(tmp_path, text, wanted=None, name="a.jsonl", **settings):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return pa.concat_tables(list(JsonLines("a", **settings).read(Location(str(path), name), wanted or {})))


def told(tmp_path, text, wanted=None, **settings):
    with pytest.raises(DataError) as error:
        read(tmp_path, text, wanted, **settings)
    return str(error.value)


def test_types_are_those_wanted_or_of_the_first_lines(tmp_path):
    types = {"x": pa.int32(), "at": pa.timestamp("us", "UTC"), "day": pa.date32(), "e": pa.list_(pa.float32(), 2), "p": pa.decimal128(6, 2)}
    rows = read(
        tmp_path,
        '{"x": 1, "at": "2013-01-01T05:00:00Z", "day": "2013-01-01", "e": [1, 2.5], "p": "12.50", "n": 3, "s": "ü", "o": {"a": [1]}}\n\n'
        '{"day": null, "n": 4}',
        types,
    )
    assert rows.schema.field("x").type == pa.int32()
    assert rows["at"][0].as_py() == datetime.datetime(2013, 1, 1, 5, tzinfo=datetime.UTC)
    assert rows["day"].to_pylist() == [datetime.date(2013, 1, 1), None]
    assert rows["e"].to_pylist() == [[1.0, 2.5], None]
    assert rows["p"][0].as_py() == Decimal("12.50")
    assert (rows["n"].to_pylist(), rows["s"].to_pylist(), rows["o"].to_pylist()) == ([3, 4], ["ü", None], [{"a": [1]}, None])


def test_other_types_than_json_has_are_cast(tmp_path):
    types = {"h": pa.float16(), "d": pa.dictionary(pa.int32(), pa.string()), "t": pa.time64("us"), "u": pa.uint8(), "b": pa.large_string()}
    rows = read(tmp_path, '{"h": 0.5, "d": "a", "t": "10:00:00", "u": 255, "b": "b"}\n', types)
    assert {f.name: f.type for f in rows.schema} == types
    assert read(tmp_path, "", types).schema == pa.schema(list(types.items()))


def test_columns_leave_the_others_out(tmp_path):
    text = '{"x": 1, "s": "a", "z": 1}\n{"x": 2, "z": "b"}\n'
    assert read(tmp_path, text, {"x": pa.int64()}, columns=["x"]).to_pydict() == {"x": [1, 2]}
    assert read(tmp_path, text, columns=["x"], types={"x": "float64"})["x"].type == pa.float64()
    assert told(tmp_path, '{"x": 1, "s": "a"}\n', columns=["y"]) == "no field 'y' in the first lines. Valid: s, x."


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('{"x": "zz"}', "field 'x': 'zz' is no int64"),
        ('{"x": 1.5}', "field 'x': 1.5 is no int64"),
        ('{"x": true}', "field 'x': true is no int64"),
        ('{"x": [1]}', "field 'x': [1] is no int64"),
        ('{"day": "soon"}', "field 'day': 'soon' is no date32"),
        ('{"x": 1,', "is no JSON: Expecting property name enclosed in double quotes at character 9"),
        ("[1]", "is a list, expected an object, {...}"),
        ('{"x": 1, "x": 2}', "field 'x' is there twice"),
        (b'{"s": "\xff"}', "is not UTF-8"),
        ('{"s": 5}', "field 's': 5 is no string"),
        ('{"o": 5}', "a field is of another kind than on the lines before: 'o' is a number. State its type in a contract or under types"),
    ],
)
def test_what_cannot_be_read_is_told_by_line(tmp_path, monkeypatch, line, text):
    good = b'{"x": 1, "s": "a", "day": "2013-01-01", "o": "a"}\n'
    bad = line if isinstance(line, bytes) else line.encode()
    types = {"x": pa.int64(), "s": pa.string(), "day": pa.date32()}
    assert told(tmp_path, good * 6 + b"\n" + bad + b"\n" + good, types) == f"line 8: {text}"
    monkeypatch.setattr(json_text, "BLOCK_BYTES", 100)
    assert told(tmp_path, good * 6 + b"\n" + bad + b"\n" + good, types).startswith("line 8: ")


def test_blocks_are_of_whole_lines(tmp_path, monkeypatch):
    text = "".join(f'{{"x": {i}, "s": "{"a" * (i % 90)}"}}\n' for i in range(500))
    whole = read(tmp_path, text)
    monkeypatch.setattr(json_text, "BLOCK_BYTES", 64)
    assert read(tmp_path, text).equals(whole)
    assert whole.num_rows == 500
    monkeypatch.setattr(json_text, "MAX_LINE_BYTES", 50)
    assert "this is one JSON document, not an object a line" in told(tmp_path, "[" + "1," * 500 + "1]")


def test_compressed_files_are_read_by_their_suffix(tmp_path):
    look: Any = Look("p", tmp_path, "p", "source", None, None)  # type: ignore[arg-type]
    lines = b'{"x": 1}\n{"x": 2}\n'
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "b.jsonl.zst").write_bytes(pa.compress(b'{"x": 3}\n', "zstd", asbytes=True))
    found = JsonLines("*.jsonl.*").new(look, NOTHING).pieces
    assert [r["x"] for p in found for t in JsonLines("*").batches(p, {}) for r in t.to_pylist()] == [1, 2, 3]  # type: ignore[arg-type]
    (tmp_path / "c.csv.gz").write_bytes(gzip.compress(b"x,s\n1,a\nzz,b\n"))
    (piece,) = Csv("c.csv.gz").new(look, NOTHING).pieces
    with pytest.raises(DataError, match=r"c\.csv\.gz: line 3: column 'x': 'zz' is no int64"):
        list(Csv("c.csv.gz").batches(piece, {"x": pa.int64()}))  # type: ignore[arg-type]
    (tmp_path / "d.txt.gz").write_bytes(gzip.compress(b"a\nb\n")[:-9])
    (piece,) = Text("d.txt.gz").new(look, NOTHING).pieces
    with pytest.raises(DataError, match=r"d\.txt\.gz: cannot be read as Text: .*It may be cut off or damaged"):
        list(Text("d.txt.gz").batches(piece, {}))  # type: ignore[arg-type]
    (tmp_path / "e.jsonl.bz2").write_bytes(bz2.compress(lines))
    assert read(tmp_path, bz2.compress(lines), name="e.jsonl.bz2")["x"].to_pylist() == [1, 2]
