import datetime

import pyarrow as pa
import pytest
from sqlalchemy import text

from raypipe.core.errors import DataError
from raypipe.data.lake import snapshot, tags

A, B = pa.table({"x": [1, 2]}), pa.table({"x": [3]})


def at(lake, spec):
    with lake.ledger.reading() as connection:
        return snapshot.at(connection, "shop", "t", spec).id


def test_a_snapshot_by_number_tag_and_time(lake):
    first = lake.overwrite(A)
    second = lake.overwrite(B)
    for number, day in ((first.snapshot, "01"), (second.snapshot, "02")):
        with lake.ledger.writing() as connection:
            time = f"2026-11-{day}T00:00:00.000+00:00"
            connection.execute(text("update raypipe_snapshots set created_at = :at where snapshot_id = :id"), {"at": time, "id": number})
    tags.make(lake.ledger, "t", "golden", first.snapshot)
    found = [at(lake, spec) for spec in (None, 1, "1", "2", "golden", "2026-11-01T23:59:59.999Z", "2026-11-02", "2026-11-02T01:00+01:00")]
    assert found == [2, 1, 1, 2, 1, 1, 2, 2]
    assert at(lake, str(datetime.datetime(2026, 11, 1, 12, tzinfo=datetime.UTC))) == 1


def test_what_is_not_there_is_told_with_what_is(lake):
    with pytest.raises(DataError, match="there is no table 't'"):
        at(lake, None)
    lake.overwrite(A)
    with pytest.raises(
        DataError, match="snapshot 7 of it in the project 'shop', or it has expired: the oldest that is kept is 1, the newest 1"
    ):
        at(lake, 7)
    with pytest.raises(DataError, match="has no tag 'gold', and that is no snapshot's number and no time"):
        at(lake, "gold")
    with pytest.raises(DataError, match=r"no snapshot of 2020-01-01T00:00:00\+00:00 or before: the oldest that is kept is snapshot 1 of"):
        at(lake, "2020-01-01")
