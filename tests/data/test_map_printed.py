"""What a kernel prints in a task comes back with its results, in order, and so does the traceback of what it raises."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass

import pytest

from raypipe.core.errors import DataError
from raypipe.core.output import Lines, heard
from raypipe.data.map import map_fragments


@dataclass(frozen=True)
class Item:
    path: str
    number: int
    size: int = 8 << 20


@pytest.mark.parametrize("way", ["inline", "ray"])
def test_printed_lines_and_tracebacks_come_back(way, request):
    if way == "ray":
        request.getfixturevalue("ray_cluster")

    def kernel(item):
        for n in range(3):
            print(item.number, n)
        print("careful", file=sys.stderr)
        logging.getLogger("mine").warning("logged")
        if item.number == 3:
            raise ValueError("three")

    lines = Lines()
    with heard(lines):
        map_fragments(kernel, [Item(f"t/{n}", n) for n in range(3)], inline=way == "inline")
    for number in range(3):
        said = [line.text for line in lines.first if line.text.startswith(f"{number} ")]
        assert said == [f"{number} {n}" for n in range(3)]
    assert [line.stream for line in lines.first].count("err") == (3 if way == "inline" else 6)
    assert {line.origin for line in lines.first} == ({""} if way == "inline" else {"0", "1", "2"})
    with pytest.raises(DataError) as raised:
        map_fragments(kernel, [Item("t/3", 3)], inline=way == "inline")
    assert "ValueError: three" in raised.value.trace
    assert "in kernel" in raised.value.trace
