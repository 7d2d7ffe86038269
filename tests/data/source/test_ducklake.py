"""DuckLake tables of others: the catalog beside this file was written by DuckDB 1.5.5 (its path of data is set by the test)."""

import datetime
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.ducklake import DuckLake
from raypipe.data.source.piece import NOTHING, Progress

CATALOG = "sqlite:///lake/catalog.db"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(Path(__file__).parent / "ducklake", tmp_path / "lake")
    change(tmp_path, "UPDATE ducklake_metadata SET value = 'lake/files/' WHERE key = 'data_path'")
    return tmp_path


def change(project, *statements):
    with sqlite3.connect(project / "lake" / "catalog.db") as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def new(source, project, position=None) -> Any:
    nothing: Any = None
    return source.new(Look("p", project, "p", "source", nothing, nothing), Progress(position) if position else NOTHING)


def rows_of(source, found):
    return pa.concat_tables([batch.rows for piece in found.pieces for batch in source.batches(piece, {})])


def told(source, project, position=None):
    with pytest.raises(DataError) as error:
        rows_of(source, new(source, project, position))
    return str(error.value)


def test_a_snapshot_reads_as_its_owner_reads_it(project):
    source = DuckLake("flights", CATALOG)
    rows = rows_of(source, new(source, project))
    assert rows.column_names == ["x", "name", "t", "extra"]
    assert rows["x"].to_pylist() == [0, 2, 3, 4, 5, 7, 8]
    assert rows["name"].to_pylist() == [f"row {x}" for x in (0, 2, 3, 4, 5, 7, 8)]
    assert rows["extra"].to_pylist() == [7] * 6 + [1]
    assert rows["t"][1].as_py() == datetime.datetime(2013, 1, 1, 2)
    before = DuckLake("flights", CATALOG, snapshot=3)
    assert rows_of(before, new(before, project)).column_names == ["x", "s", "t", "p"]
    assert rows_of(before, new(before, project)).num_rows == 8
    some = DuckLake("main.flights", CATALOG, columns=["extra"])
    assert rows_of(some, new(some, project)).to_pydict() == {"extra": [7] * 6 + [1]}


def test_what_was_added_since_is_new_and_lost_rows_are_refused(project):
    first = new(DuckLake("flights", CATALOG, snapshot=2), project)
    assert first.after["rows"] == 5
    source = DuckLake("flights", CATALOG, snapshot=7)
    second = new(source, project, first.after)
    assert rows_of(source, second)["x"].to_pylist() == [5, 6, 7, 8]
    assert new(source, project, second.after).pieces == []
    newest = DuckLake("flights", CATALOG)
    assert "flights: 9 rows were taken, 7 of them are left unchanged. Take everything anew" in told(newest, project, second.after)
    assert new(newest, project, new(newest, project).after).pieces == []
    assert "it went back" in told(DuckLake("flights", CATALOG, snapshot=2), project, second.after)
    assert "is another table of that name" in told(source, project, {**first.after, "table": "other"})
    change(project, "UPDATE ducklake_data_file SET partial_max = 7 WHERE data_file_id = 0")
    assert "were compacted into one file" in told(source, project, first.after)


def test_what_is_not_there_is_named(project):
    assert told(DuckLake("flihgts", CATALOG), project).endswith("no such table at snapshot 8. Did you mean 'flights'?")
    assert "the catalog has no snapshot 99" in told(DuckLake("flights", CATALOG, snapshot=99), project)
    assert "no column 'z'" in told(DuckLake("flights", CATALOG, columns=["z"]), project)
    assert "there is no database" in told(DuckLake("flights", "sqlite:///nothing.db"), project)
    for path in (project / "lake" / "files").rglob("*.parquet"):
        path.unlink()
    assert ".parquet: was there when the run began, and is not any more" in told(DuckLake("flights", CATALOG), project)


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        ("UPDATE ducklake_data_file SET path = '../../../../etc/passwd'", "which does not lie below its folder"),
        ("UPDATE ducklake_data_file SET path = 'http://169.254.169.254/a', path_is_relative = 0", "which does not lie below its folder"),
        ("UPDATE ducklake_delete_file SET path = '/etc/passwd', path_is_relative = 0", "names the file /etc/passwd"),
        ("UPDATE ducklake_delete_file SET format = 'puffin'", "has a delete file of format puffin, which is not read"),
        ("UPDATE ducklake_metadata SET value = 'true' WHERE key = 'encrypted'", "files are encrypted, which is not read"),
    ],
)
def test_what_is_not_read_is_told(project, statement, text):
    change(project, statement)
    assert text in told(DuckLake("flights", CATALOG), project)


def test_inlined_rows_are_refused(project):
    change(
        project,
        "CREATE TABLE ducklake_inlined_data_1_6 (row_id BIGINT, begin_snapshot BIGINT, end_snapshot BIGINT, x BIGINT)",
        "INSERT INTO ducklake_inlined_data_tables VALUES (1, 'ducklake_inlined_data_1_6', 6)",
        "INSERT INTO ducklake_inlined_data_1_6 VALUES (1, 8, NULL, 5)",
    )
    assert "1 of its rows are inlined in the catalog, which is not read" in told(DuckLake("flights", CATALOG), project)


def test_bad_settings_are_told():
    assert DuckLake("", CATALOG).problems() == ["name is empty, expected a table's name"]
    assert DuckLake("flights").problems() == ["expected either `catalog` or `catalog_env`"]
    (problem,) = DuckLake("flights", "postgresql://a:canary@host/db").problems()
    assert "canary" not in problem


def test_a_catalog_on_postgresql_reads_the_same(project, postgres_url, monkeypatch):
    import psycopg
    from sqlalchemy import create_engine, insert

    from raypipe.data.lake.catalog import lake, tables

    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as server:
        server.execute("CREATE DATABASE others")
    url = postgres_url.replace("/postgres?", "/others?")
    engine = create_engine(url)
    with engine.begin() as connection, sqlite3.connect(project / "lake" / "catalog.db") as theirs:
        tables.create_all(connection, list(lake.values()))
        theirs.row_factory = sqlite3.Row
        for name, table in lake.items():
            rows = [_typed(table, dict(row)) for row in theirs.execute(f"SELECT * FROM ducklake_{name}")]
            if rows:
                connection.execute(insert(table), rows)
    theirs.close()
    engine.dispose()
    monkeypatch.setenv("THEIR_CATALOG", url)
    source = DuckLake("flights", catalog_env="THEIR_CATALOG")
    own = DuckLake("flights", CATALOG)
    assert rows_of(source, new(source, project)).equals(rows_of(own, new(own, project)))
    assert new(source, project).state == new(own, project).state


def _typed(table, row):
    """SQLite has no booleans and no times."""
    for column in table.columns:
        value = row.get(column.name)
        if value is not None and column.type.python_type in (bool, datetime.datetime):
            row[column.name] = bool(value) if column.type.python_type is bool else datetime.datetime.fromisoformat(value)
    return row
