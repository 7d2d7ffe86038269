"""Words for people: the first line of an error, a size."""

import pytest

from raypipe.core.wording import counted, first_line, size_text


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (ValueError("one\ntwo"), "one"),
        (ValueError("\n  one.\n"), "one."),
        (ValueError(), "ValueError"),
        (OSError("\n \n"), "OSError"),
    ],
)
def test_the_first_line(error: Exception, says: str):
    assert first_line(error) == says


@pytest.mark.parametrize(("size", "says"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (37_200_000, "37.2 MB"), (5e15, "5000.0 TB")])
def test_a_size(size: float, says: str):
    assert size_text(size) == says


def test_one_of_a_thing_is_no_several():
    assert [counted(n, "file") for n in (0, 1, 12_000)] == ["0 files", "1 file", "12,000 files"]
