"""Times and sizes with their units."""

from __future__ import annotations

import pytest

from raypipe.core.units import BYTES, SECONDS, num_bytes, read, seconds


@pytest.mark.parametrize(("written", "found"), [(5, 5.0), ("5", 5.0), ("90s", 90.0), ("1.5h", 5400.0), ("30d", 2592000.0), ("250ms", 0.25)])
def test_a_time_is_a_number_with_its_unit(written, found):
    assert seconds(written) == found


@pytest.mark.parametrize(("written", "found"), [(12, 12), ("4GB", 4 * 10**9), ("512MiB", 512 << 20), ("2 TB", 2 * 10**12)])
def test_a_size_likewise(written, found):
    assert num_bytes(written) == found


@pytest.mark.parametrize("wrong", ["", "d", "-3d", "3 weeks", -1, True, None, "1e9"])
def test_anything_else_is_none(wrong):
    assert read(wrong, SECONDS) is None
    assert read(wrong, BYTES) is None
