"""Iceberg tables of others: read through a catalog and from a metadata file, by snapshot, and refused where rows went."""

import json
import pickle
import warnings
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import ConfigError, DataError
from raypipe.core.step import Look
from raypipe.data.source.iceberg import Iceberg
from raypipe.data.source.piece import NOTHING, Progress

sql = pytest.importorskip("pyiceberg.catalog.sql", reason="pyiceberg is not installed")
config = pytest.importorskip("pyiceberg.utils.config")
ROWS = pa.table({"x": pa.array([1, 2, 3], pa.int64()), "s": pa.array(["a", "b", "c"])})


@pytest.fixture
def owner(tmp_path, monkeypatch):
    """The table `db.flights`, as its owner writes it."""
    monkeypatch.setenv("PYICEBERG_CATALOG__THEIRS__TYPE", "sql")
    monkeypatch.setenv("PYICEBERG_CATALOG__THEIRS__URI", f"sqlite:///{tmp_path}/catalog.db")
    monkeypatch.setattr("pyiceberg.catalog._ENV_CONFIG", config.Config())  # it was read when pyiceberg was imported
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        catalog = sql.SqlCatalog("theirs", uri=f"sqlite:///{tmp_path}/catalog.db", warehouse=f"file://{tmp_path}/lake")
        catalog.create_namespace("db")
        table = catalog.create_table("db.flights", schema=ROWS.schema)
        table.append(ROWS)
        yield table
        catalog.close()


def new(source, tmp_path, position=None) -> Any:
    nothing: Any = None
    return source.new(Look("p", tmp_path, "p", "source", nothing, nothing), Progress(position) if position else NOTHING)


def rows_of(source, found):
    tables = [rows for piece in found.pieces for rows in source.batches(pickle.loads(pickle.dumps(piece)), {})]
    return pa.concat_tables(tables)


def told(source, tmp_path, position=None):
    with pytest.raises((DataError, ConfigError)) as error:
        rows_of(source, new(source, tmp_path, position))
    return str(error.value)


def test_what_was_appended_since_is_new(owner, tmp_path):
    source = Iceberg("db.flights", catalog="theirs")
    first = new(source, tmp_path)
    assert rows_of(source, first).to_pydict() == ROWS.to_pydict()
    assert new(source, tmp_path, first.after).pieces == []
    owner.append(ROWS.slice(2))
    second = new(source, tmp_path, first.after)
    assert rows_of(source, second).to_pydict() == {"x": [3], "s": ["c"]}
    assert new(source, tmp_path, second.after).state == second.state != first.state
    assert rows_of(Iceberg("db.flights", catalog="theirs", snapshot=first.after["snapshot"]), new(source, tmp_path)).num_rows == 4


def test_only_the_columns_and_rows_asked_for(owner, tmp_path):
    source = Iceberg("db.flights", catalog="theirs", columns=["s"], where="x >= 2")
    assert rows_of(source, new(source, tmp_path)).to_pydict() == {"s": ["b", "c"]}
    nothing = Iceberg("db.flights", catalog="theirs", where="x > 100")
    assert new(nothing, tmp_path).pieces == []
    assert "no column 'z'" in told(Iceberg("db.flights", catalog="theirs", columns=["z"]), tmp_path)
    assert "where is 'z > 1', which is no condition on this table" in told(Iceberg("db.flights", catalog="theirs", where="z > 1"), tmp_path)


def test_a_table_that_lost_rows_is_refused(owner, tmp_path):
    source = Iceberg("db.flights", catalog="theirs")
    after = new(source, tmp_path).after
    owner.delete("x = 2")
    assert "deleted or replaced rows that were taken. Take everything anew into another table" in told(source, tmp_path, after)
    assert rows_of(source, new(source, tmp_path))["x"].to_pylist() == [1, 3]
    assert "is not in its history any more" in told(source, tmp_path, {**after, "snapshot": 5})
    assert "is another table of that name" in told(source, tmp_path, {**after, "table": "other"})


def test_a_metadata_file(owner, tmp_path):
    path = owner.metadata_location.removeprefix("file://")
    assert rows_of(Iceberg(path), new(Iceberg(path), tmp_path)).to_pydict() == ROWS.to_pydict()
    relative = path.removeprefix(f"{tmp_path}/")
    assert rows_of(Iceberg(relative), new(Iceberg(relative), tmp_path)).num_rows == 3


def test_a_metadata_file_names_no_code_and_no_file_elsewhere(owner, tmp_path):
    path = owner.metadata_location.removeprefix("file://")
    document = json.loads(Path(path).read_text())
    document["properties"] = {"py-io-impl": "os.system", "s3.endpoint": "http://169.254.169.254"}
    (tmp_path / "lake" / "db" / "flights" / "metadata" / "b.metadata.json").write_text(json.dumps(document))
    source = Iceberg("lake/db/flights/metadata/b.metadata.json")
    assert rows_of(source, new(source, tmp_path)).num_rows == 3
    (tmp_path / "elsewhere" / "metadata").mkdir(parents=True)
    (tmp_path / "elsewhere" / "metadata" / "b.metadata.json").write_text(json.dumps(document))
    assert "does not lie below" in told(Iceberg("elsewhere/metadata/b.metadata.json"), tmp_path)


def test_what_is_not_there_is_named(owner, tmp_path):
    assert told(Iceberg("db.nothing", catalog="theirs"), tmp_path).startswith(
        "db.nothing: cannot be read: Table does not exist: db.nothing"
    )
    assert told(Iceberg("db.flights", catalog="ours"), tmp_path).startswith("db.flights: the catalog 'ours' cannot be used")
    assert told(Iceberg("a.metadata.json"), tmp_path).startswith("a.metadata.json: cannot be read: ")
    assert told(Iceberg("db.flights", catalog="theirs", snapshot=5), tmp_path) == "db.flights: has no snapshot 5"


def test_bad_settings_are_told():
    assert Iceberg("").problems() == ["name is empty, expected namespace.name or a metadata file"]
    assert "name the metadata file" in Iceberg("s3://bucket/table").problems()[0]
    assert "name has a user" in Iceberg("s3://a:canary@bucket/a.metadata.json").problems()[0]
