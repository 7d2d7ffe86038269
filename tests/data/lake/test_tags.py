import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.lake import tags

A, B = pa.table({"x": [1, 2]}), pa.table({"x": [3]})


def test_a_tag_names_a_snapshot_until_it_is_moved_or_removed(lake):
    first, second = lake.overwrite(A), lake.overwrite(B)
    made = tags.make(lake.ledger, "t", "golden", first.snapshot)
    assert (made.table, made.snapshot) == ("t", first.snapshot)
    assert tags.make(lake.ledger, "t", "golden", first.snapshot) == made
    with pytest.raises(DataError, match=r"tag 'golden' of table t names snapshot 1 since .*; --force moves it to 2"):
        tags.make(lake.ledger, "t", "golden", second.snapshot)
    assert tags.make(lake.ledger, "t", "golden", second.snapshot, force=True).snapshot == second.snapshot
    assert [(t.table, t.name, t.snapshot) for t in tags.tags(lake.ledger)] == [("t", "golden", second.snapshot)]
    assert tags.remove(lake.ledger, "t", "golden").snapshot == second.snapshot
    assert tags.tags(lake.ledger, "t") == []


def test_tags_of_what_is_not_there_and_names_that_cannot_be(lake):
    first = lake.overwrite(A)
    tags.make(lake.ledger, "t", "golden", first.snapshot)
    with pytest.raises(
        DataError, match=r"table t: raypipe has not written a snapshot 9 of it .*the oldest that is kept is 1, the newest 1"
    ):
        tags.make(lake.ledger, "t", "other", 9)
    with pytest.raises(DataError, match=r"table t: has no tag 'goldn'. Did you mean 'golden'\?"):
        tags.remove(lake.ledger, "t", "goldn")
    for name in ("", "7", "a b", "../x", "2026-11-01", "x" * 200):
        with pytest.raises(DataError, match="a tag is of letters"):
            tags.make(lake.ledger, "t", name, first.snapshot)


def test_no_table_has_no_tags(lake):
    assert tags.tags(lake.ledger) == []
    with pytest.raises(DataError, match="has no tag 'x'"):
        tags.remove(lake.ledger, "t", "x")
