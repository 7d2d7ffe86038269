"""Files of the user's read once within a plan, and anew after it."""

from __future__ import annotations

from pathlib import Path

from raypipe.code.settled import settled
from raypipe.code.shape import shape


def test_within_the_block_a_file_stays_as_it_was_read(tmp_path: Path):
    file = tmp_path / "mine_settled.py"

    def parameters() -> list[str]:
        return [p.name for p in shape("mine_settled.f", (tmp_path,)).parameters]

    file.write_text("def f(a): ...\n")
    with settled():
        assert parameters() == ["a"]
        file.write_text("def f(a, bb): ...\n")
        assert parameters() == ["a"]
    assert parameters() == ["a", "bb"]
