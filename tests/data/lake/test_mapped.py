"""The collector and the results of single items: which files stay, and how long."""

import uuid
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from sqlalchemy import select, update

from raypipe.core import items, schema
from raypipe.core.item import Item
from raypipe.core.ledger import Run
from raypipe.data.lake.gc import gc


@pytest.fixture
def files(lake):
    """Two files of three items: one that a table was made of, two that a run was killed over."""
    lake.ledger.start_run(Run("r1", "tables", command="raypipe run"))
    lake.ledger.end_run("r1", "done", 0)
    folder = f"tables/act/000001-{uuid.uuid4().hex[:12]}"
    used, killed = (lake.store.write(f"{folder}/items-{name}.arrow", name.encode()) for name in ("used", "killed"))
    made = [Item("a", used, "c", 0, 1), Item("b", killed, "c", 0, 1), Item("c", killed, "c", 1, 1), Item("d", None)]
    with lake.ledger.writing() as connection:
        items.keep(connection, "shop", "f", "r1", made)
    artifact = lake.overwrite(pa.table({"n": [1]}))
    with lake.ledger.writing() as connection:
        items.use(connection, "shop", ["a"], artifact.id)
    return used.path, killed.path


def aged(lake, *keys, days=31):
    at = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
    with lake.ledger.writing() as connection:
        connection.execute(update(schema.items).where(schema.items.c.key.in_(keys)).values(used_at=at))


def keys(lake):
    with lake.ledger.reading() as connection:
        return set(connection.execute(select(schema.items.c.key)).scalars())


def deleted(lake):
    return {garbage.path for garbage in gc(lake.ledger, lake.store, grace_s=0).deleted}


def test_what_was_asked_for_lately_stays(lake, files):
    assert deleted(lake) == set()
    assert keys(lake) == {"a", "b", "c", "d"}


def test_what_nobody_asks_for_goes_but_for_what_a_needed_table_is_made_of(lake, files):
    used, killed = files
    aged(lake, "a", "b", "c", "d")
    assert deleted(lake) == {killed}
    assert keys(lake) == {"a"}
    assert lake.store.read(used) == b"used"


def test_a_file_stays_as_long_as_one_of_its_items(lake, files):
    aged(lake, "b")
    assert deleted(lake) == set()
    assert keys(lake) == {"a", "c", "d"}


def test_what_was_asked_for_again_meanwhile_stays(lake, files):
    aged(lake, "b", "c")
    assert gc(lake.ledger, lake.store, dry_run=True).listed[0].path == files[1]
    assert keys(lake) == {"a", "b", "c", "d"}, "a dry run forgets nothing"
    with lake.ledger.writing() as connection:
        items.use(connection, "shop", ["c"])
    assert deleted(lake) == set()
    assert keys(lake) == {"a", "c", "d"}


def test_a_table_that_is_not_needed_any_more_keeps_nothing(lake, files):
    aged(lake, "a")
    lake.overwrite(pa.table({"n": [2]}))
    assert deleted(lake) >= {files[0]}
    assert keys(lake) == {"b", "c", "d"}
