"""Faults of the store: a file that is damaged once it was committed is told by its name by whatever reads it, and nothing comes of it."""

import random
import shutil
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

import raypipe
from raypipe.cli.main import main
from raypipe.core import schema
from raypipe.core.errors import StoreError
from raypipe.core.store import Store
from raypipe.data import query
from raypipe.data.fragment.fragment import Fragment, read_fragment, read_row_groups, write_fragment
from raypipe.data.lake import catalog
from raypipe.data.table import fragments, snapshots
from raypipe.data.where.where import predicate
from raypipe.pipeline.plan import open_scene

MINE = """\
import pyarrow as pa


def same(table: pa.Table) -> pa.Table:
    return table
"""


@pytest.fixture(scope="module")
def shop(churn_once: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's project as it is after a run, with a table of two files that was written by hand. Faults are undone by who makes them."""
    folder = tmp_path_factory.mktemp("integrity") / "churn"
    shutil.copytree(churn_once, folder)
    (folder / "mine.py").write_text(MINE)
    for first in (0, 5):
        raypipe.write("kept", pa.table({"k": range(first, first + 5), "v": ["x", "y", "x", "y", "z"]}), project_path=folder)
    return folder


@pytest.fixture
def project(shop: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(shop)
    return shop


def path_of(project: Path, table: str) -> Path:
    """The last file of the table's newest snapshot."""
    found = raypipe.table(table, project_path=project)
    return found.scene.store.local(fragments(found.scene.ledger, found.artifact)[-1].path)


def in_pages(data: bytes) -> bytes:
    """One bit of the middle of each column."""
    columns = pq.read_metadata(pa.BufferReader(data)).row_group(0)
    made = bytearray(data)
    for number in range(columns.num_columns):
        column = columns.column(number)
        made[column.data_page_offset + (column.total_compressed_size * 3) // 4] ^= 16
    return bytes(made)


def in_footer(data: bytes) -> bytes:
    """A column's name."""
    place = len(data) - 8 - int.from_bytes(data[-8:-4], "little") + 40
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def left(project: Path) -> tuple[int, ...]:
    """How much the ledger holds: artifacts, snapshots, files of tables."""
    with open_scene(project).ledger.reading() as connection:
        counted = (schema.artifacts, catalog.snapshots, catalog.fragments)
        return tuple(connection.execute(select(func.count()).select_from(table)).scalar_one() for table in counted)


STEP = "+steps.more={_target_: "
READERS = {
    "split": ("churn.source", "run", "split.salt=x"),
    "leak check": ("churn.source", "run", STEP + "raypipe.LeakCheck, table: split, keys: [age]}"),
    "label": ("churn.source", "run", STEP + "raypipe.Label, column: old, sql: 'age > 50'}"),
    "transform": ("churn.source", "run", "transform.scale.columns=[age]"),
    "function": ("churn.source", "run", STEP + "mine.same, table: source}"),
    "predict": ("churn.source", "run", STEP + "raypipe.Predict}"),
    "write": ("churn.source", "run", STEP + "raypipe.Write, table: source, into: copied}"),
    "contract": ("churn.source", "run", "contract.columns.age.max=100"),
    "train": ("churn.transform", "run", "train.seed=2"),
    "evaluate": ("churn.transform", "run", "evaluate.min_rows=1"),
    "sql": ("kept", "tables", "sql", "select count(distinct v) from kept"),
    "head": ("kept", "tables", "head", "kept"),
    "export": ("kept", "tables", "export", "kept", "out"),
    "compact": ("kept", "tables", "compact", "kept"),
    "diff": ("kept", "tables", "diff", "kept@{first}", "--key", "k"),
    "sql of a snapshot": ("kept", "tables", "sql", 'select * from "kept@{last}" where k > 1'),
    "delete": ("kept", "tables", "delete", "kept", "--where", "v = 'y'"),
}
"""What reads -> the table that is damaged, and the command."""


def command(project: Path, words: list[str]) -> list[str]:
    if words[0] == "run":
        return ["run", "cluster=debug", *words[1:]]
    last, first = (found.id for found in snapshots(open_scene(project).ledger, "kept"))
    return [word.replace("{first}", str(first)).replace("{last}", str(last)) for word in words]


IN_FOOTER = ("transform", "sql", "head", "export", "compact")
"""Readers that are shown such damage too: all open files in one place."""
CASES = [*((reader, in_pages) for reader in READERS), *((reader, in_footer) for reader in IN_FOOTER)]


@pytest.mark.parametrize(("reader", "damage"), CASES, ids=[f"{reader} {damage.__name__}" for reader, damage in CASES])
def test_whoever_reads_a_damaged_file_is_told_its_name(project: Path, capsys: pytest.CaptureFixture[str], reader: str, damage):
    table, *words = READERS[reader]
    path, before = path_of(project, table), left(project)
    good = path.read_bytes()
    bad = damage(good)
    assert len(bad) == len(good)
    assert bad != good
    try:
        path.write_bytes(bad)
        assert main(command(project, words)) == 1
        told = capsys.readouterr().err
    finally:
        path.write_bytes(good)
    assert str(path.relative_to(project / ".raypipe" / "store")) in told, told
    assert "Restore the file from a copy" in told, told
    assert "Traceback" not in told
    assert left(project) == before
    assert not (project / "out").exists()


@pytest.mark.parametrize(
    "change", [lambda data: b"", lambda data: data[: len(data) // 2], None], ids=["zero bytes", "truncated", "missing"]
)
def test_a_file_that_is_not_whole_is_told_by_readers_and_made_again_by_a_run(project: Path, capsys: pytest.CaptureFixture[str], change):
    path = path_of(project, "churn.source")
    good, rows = path.read_bytes(), raypipe.table("churn.source").to_arrow()
    path.unlink()
    if change:
        path.write_bytes(change(good))
    for words in (
        ["tables", "head", "churn.source"],
        ["tables", "sql", "select * from churn.source"],
        ["tables", "export", "churn.source", "out"],
    ):
        assert main(words) == 1
        told = capsys.readouterr().err
        assert path.name in told
        assert "Restore the file from a copy" in told
    assert main(["run", "cluster=debug"]) == 0
    assert raypipe.table("churn.source").to_arrow().equals(rows)
    assert path_of(project, "churn.source") != path
    path.unlink(missing_ok=True)


def test_rows_are_put_into_no_table_whose_file_is_damaged(project: Path):
    path = path_of(project, "kept")
    good, before = path.read_bytes(), left(project)
    path.write_bytes(in_pages(good))
    with pytest.raises(StoreError, match=path.name):
        raypipe.write("kept", pa.table({"k": [7], "v": ["new"]}), mode="upsert", by=["k"])
    path.write_bytes(good)
    assert left(project) == before
    assert raypipe.write("kept", pa.table({"k": [7], "v": ["new"]}), mode="upsert", by=["k"]).snapshot.num_rows == 10


@pytest.mark.parametrize("damage", [in_pages, in_footer])
def test_a_dataset_of_rays_is_told_too(project: Path, ray_cluster: None, damage):
    path = path_of(project, "kept")
    good = path.read_bytes()
    path.write_bytes(damage(good))
    try:
        with pytest.raises(Exception, match=f"{path.name}.*Restore the file from a copy"):
            raypipe.table("kept").to_ray().take_all()
    finally:
        path.write_bytes(good)


def values(num_rows: int) -> pa.Table:
    draw = random.Random(3)
    return pa.table(
        {
            "i": pa.array([draw.randrange(1000) for _ in range(num_rows)], pa.int64()),
            "x": [None if n % 7 == 0 else draw.gauss(0, 1) for n in range(num_rows)],
            "s": [draw.choice(["a", "bb", "ccc"]) for _ in range(num_rows)],
            "d": pa.array([draw.choice("pqr") for _ in range(num_rows)]).dictionary_encode(),
            "at": pa.array([draw.randrange(2**50) for _ in range(num_rows)], pa.timestamp("us", "Europe/Berlin")),
            "b": [draw.random() < 0.5 for _ in range(num_rows)],
            "l": [[draw.random()] * (n % 4) for n in range(num_rows)],
        }
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Fragment, pa.Table]:
    """A fragment of three row groups, with dictionary pages, nulls and lists."""
    store, rows = Store.open(tmp_path_factory.mktemp("store")), values(2_500)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("raypipe.data.fragment.fragment.ROW_GROUP_ROWS", 1_024)
        return store, write_fragment(store, "a.parquet", rows), rows


def places(data: bytes) -> st.SearchStrategy[int]:
    """Positions: everywhere, and as often in the headers of pages, in dictionary pages and in the footer, which are small."""
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    groups = pq.read_metadata(pa.BufferReader(data))
    columns = [groups.row_group(g).column(c) for g in range(groups.num_row_groups) for c in range(groups.num_columns)]
    starts = [place for c in columns for place in (c.dictionary_page_offset, c.data_page_offset) if place]
    headers = st.tuples(st.sampled_from(starts), st.integers(0, 60)).map(sum)
    return st.one_of(st.integers(0, len(data) - 1), headers, st.integers(footer, len(data) - 1))


@pytest.mark.parametrize("how", ["whole", "row groups", "where", "sql"])
def test_a_bit_flipped_anywhere_is_found_or_of_no_account(written: tuple[Store, Fragment, pa.Table], how: str):
    store, fragment, rows = written
    good = store.read(fragment.path)
    wanted = {"where": rows.filter(pc.field("i") > 500), "sql": rows.sort_by([("i", "ascending"), ("at", "ascending")])}.get(how, rows)
    found = {"told": 0, "equal": 0}

    @settings(max_examples=40 if how == "sql" else 150)
    @given(places(good), st.integers(0, 7))
    def flipped(place: int, bit: int) -> None:
        bad = good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :]
        store.local("bad.parquet").write_bytes(bad)
        told, made = reading(lambda: READ[how](store, replace(fragment, path="bad.parquet"), rows.schema))
        assert told.startswith("bad.parquet: ") or plain(made).equals(plain(wanted))
        found["told" if told else "equal"] += 1

    flipped()
    assert found["told"] > found["equal"]


@pytest.mark.parametrize("text", ["select count(i) from t", "select count(*) from t", "select count(b) from t where i >= 0"])
def test_sql_over_one_column_tells_of_pages_that_pass_for_another_kind(written: tuple[Store, Fragment, pa.Table], text: str):
    """A damaged kind of page made Arrow's own scan leave its rows out: of 2,500 values none was counted."""
    store, fragment, rows = written
    good = store.read(fragment.path)
    groups = pq.read_metadata(pa.BufferReader(good))
    # A header begins with its first field, an integer: the page's kind, of which the first bit beside the sign makes a page of an index.
    for group in range(groups.num_row_groups):
        place = groups.row_group(group).column(0).data_page_offset + 1
        bad = good[:place] + bytes([good[place] ^ 2]) + good[place + 1 :]
        store.local("bad.parquet").write_bytes(bad)
        with pytest.raises(StoreError, match=r"bad\.parquet: cannot be read back as it was written"):
            query.select(store, text, lambda name: query.Queried(rows.schema, [replace(fragment, path="bad.parquet")]))
    found, _ = query.select(store, text, lambda name: query.Queried(rows.schema, [fragment]))
    assert found.column(0).to_pylist() == [2_500]


def plain(rows: pa.Table) -> pa.Table:
    """Dictionaries that differ in their order are no other values."""
    return rows.set_column(3, "d", rows["d"].cast(pa.string()))


def reading(read) -> tuple[str, pa.Table | None]:
    try:
        return "", read()
    except StoreError as error:
        return str(error), None


def by_sql(store: Store, fragment: Fragment, schema: pa.Schema) -> pa.Table:
    return query.select(store, 'select * from t order by i, "at"', lambda name: query.Queried(schema, [fragment]))[0].cast(schema)


READ = {
    "whole": lambda store, fragment, schema: read_fragment(store, fragment),
    "row groups": lambda store, fragment, schema: pa.concat_tables(read_row_groups(store, fragment)),
    "where": lambda store, fragment, schema: read_fragment(store, fragment, where=predicate("i > 500", schema)),
    "sql": by_sql,
}
