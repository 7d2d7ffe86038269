"""What a function prints is counted."""

import pytest

from raypipe.data.function.printed import printed


def test_the_first_line_and_how_many(capsys: pytest.CaptureFixture[str]):
    with printed(inline=False) as out:
        print("loading", "weights")
        print("done")
    assert str(out) == "2 lines, the first: loading weights"
    assert capsys.readouterr() == ("", "loading weights\ndone\n")


def test_nothing_printed_and_printed_where_one_looks_on(capsys: pytest.CaptureFixture[str]):
    with printed(inline=True) as out:
        print("hello")
    assert str(out) == ""
    assert capsys.readouterr().out == "hello\n"
