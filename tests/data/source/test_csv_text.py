"""CSV text: read into the types that are wanted, and what cannot be told by column, value and line."""

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.source import csv_text
from raypipe.data.source.csv import Csv
from raypipe.data.source.location import Location


def read(tmp_path, text, types=None, **settings):
    path = tmp_path / "a.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return pa.concat_tables(list(Csv("a.csv", **settings).read(Location(str(path)), types or {})))


def told(tmp_path, text, types=None, **settings):
    with pytest.raises(DataError) as error:
        read(tmp_path, text, types, **settings)
    return str(error.value)


def test_wanted_types_are_taken_and_others_guessed(tmp_path):
    types = {"x": pa.float64(), "at": pa.timestamp("us", "UTC"), "code": pa.string()}
    table = read(tmp_path, "x,at,code,n\n1,2013-01-01T05:00:00Z,007,3\n,2013-01-01 00:00:00-0500,,4\n", types)
    assert table.schema == pa.schema([("x", pa.float64()), ("at", pa.timestamp("us", "UTC")), ("code", pa.string()), ("n", pa.int64())])
    assert table["code"].to_pylist() == ["007", None]
    assert table["at"][0] == table["at"][1]


def test_settings_of_the_source(tmp_path):
    table = read(tmp_path, "a;b\n1;NA\n2;\n", null_values=["NA"], delimiter=";", types={"b": "string"})
    assert table.to_pydict() == {"a": [1, 2], "b": [None, ""]}
    assert read(tmp_path, "a,b\n1,2\n", columns=["b"]).column_names == ["b"]


def test_a_mark_at_the_beginning_and_breaks_in_quotes(tmp_path):
    table = read(tmp_path, b'\xef\xbb\xbfa,b\r\n1,"two\r\nlines"\r\n2,"a ""quote"""\r\n')
    assert table.to_pydict() == {"a": [1, 2], "b": ["two\r\nlines", 'a "quote"']}


def test_a_header_alone_has_no_rows(tmp_path):
    assert read(tmp_path, "a,b\n", {"a": pa.int64()}).schema.field("a").type == pa.int64()


INTS = {"n": pa.int64(), "s": pa.string(), "at": pa.timestamp("us", "UTC"), "b": pa.bool_()}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("s,n\na,1\nb,many\n", "line 3: column 'n': 'many' is no int64"),
        ("s,n\na,1\n\n\nb,1.5\n", "line 5: column 'n': '1.5' is no int64"),
        ('s,n\n"a\nb\nc",1\nd,x\n', "line 5: column 'n': 'x' is no int64"),
        ("s,at\na,2013-01-01T00:00:00\n", "line 2: column 'at': '2013-01-01T00:00:00' is no timestamp[us, tz=UTC]: it has no time zone"),
        ("s,b\na,yes\n", "line 2: column 'b': 'yes' is no bool"),
        ("s,n\na,1\nb\n", "line 3: 1 values, the header has 2"),
        ("s,n\na,1,2\n", "line 2: 3 values, the header has 2"),
        ("s,s\na,b\n", "column 's' is there twice"),
        ('s,n\na,1\n"b,2\nc,3\n', "line 3: 1 values, the header has 2"),
        ('n,s\n1,"a"\n2,"b\n3,c\n', "a quote that opens in the last row is never closed"),
    ],
)
def test_what_cannot_be_is_told_by_line(tmp_path, text, message):
    assert message in told(tmp_path, text, INTS)


def test_bytes_that_are_no_text_are_told(tmp_path):
    assert told(tmp_path, b"n,s\n1,\xff\xfe\n", INTS) == "line 2: column 's': invalid UTF8 data (string is wanted)"


def test_a_column_to_read_that_is_not_there(tmp_path):
    assert told(tmp_path, "alpha,b\n1,2\n", columns=["alfa"]) == "no column 'alfa'. Did you mean 'alpha'?"


def test_lines_are_counted_across_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(csv_text, "BLOCK_BYTES", 4096)
    lines = [f"{number},text of some length" for number in range(3000)]
    assert read(tmp_path, "\n".join(["n,s", *lines]), INTS).num_rows == 3000
    lines[2500] = "bad,text"
    assert told(tmp_path, "\n".join(["n,s", *lines]), INTS) == "line 2502: column 'n': 'bad' is no int64"
