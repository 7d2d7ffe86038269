"""Rows in the terminal: a line a row where there is room, else a line a column; nothing in them steers the terminal."""

import argparse

import pyarrow as pa
import pytest

from raypipe.cli.rows import print_rows


@pytest.fixture
def shown(capsys, monkeypatch):
    def show(rows, limit=10, width=80):
        monkeypatch.setattr("raypipe.cli.terminal.WIDTH", width)
        print_rows(argparse.Namespace(json=False), rows, limit)
        return capsys.readouterr().out

    return show


def test_few_columns_are_a_line_a_row_with_their_texts_whole(shown):
    rows = pa.table({"reason": ["plausible: not (air_time < 600 or distance > 4970)", None], "n": [265, 1]})
    assert shown(rows).splitlines() == [
        "┌────────────────────────────────────────────────────┬─────┐",
        "│ reason                                             ┆ n   │",
        "╞════════════════════════════════════════════════════╪═════╡",
        "│ plausible: not (air_time < 600 or distance > 4970) ┆ 265 │",
        "│ null                                               ┆ 1   │",
        "└────────────────────────────────────────────────────┴─────┘",
    ]


def test_many_columns_are_a_line_each_and_no_row_is_left_out(shown):
    rows = pa.table({f"column_{i}": [f"value {i} of row {row}" for row in range(5)] for i in range(9)})
    lines = shown(rows, limit=4).splitlines()
    assert max(map(len, lines)) <= 80
    assert sum("column_3 string" in line for line in lines) == 2
    assert all(sum(f"value 8 of row {row}" in line for line in lines) == (row < 4) for row in range(5))
    assert lines[-1] == "5 rows; -o FILE writes them all"


def test_no_rows_and_text_that_would_steer(shown):
    assert "│ x │" in shown(pa.table({"x": pa.array([], pa.int64())}))
    said = shown(pa.table({"x": ["\x1b[31mred", "two\nlines", "y" * 300]}))
    assert "\x1b" not in said
    assert "two\N{REPLACEMENT CHARACTER}lines" in said
    assert "y" * 59 + "…" in said
