"""What others read of an export is what the snapshot holds."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import ConfigError, DataError
from raypipe.data.fragment.fragment import write_fragment
from raypipe.data.lake.export import iceberg_schema, to_iceberg, to_parquet

ROWS = pa.table(
    {
        "id": pa.array([1, 2, 3], pa.uint32()),
        "many": pa.array([2**64 - 1, 0, None], pa.uint64()),
        "half": pa.array([1.5, None, -2.0], pa.float16()),
        "name": pa.array(["a", "b", None]).dictionary_encode(),
        "point": pa.array([[1.0, 2.0], [3.0, 4.0], None], pa.list_(pa.float32(), 2)),
        "at": pa.array([1, 2, None], pa.timestamp("ms", "Europe/Berlin")),
        "price": pa.array([Decimal("1.20"), None, Decimal("3.00")], pa.decimal128(10, 2)),
    }
)


@pytest.fixture
def fragments(store):
    return [write_fragment(store, f"{n}.parquet", ROWS.slice(n, 2 - n % 2)) for n in (0, 2)]


def test_parquet_with_the_exact_types(store, fragments, tmp_path: Path):
    made = to_parquet(store, fragments, ROWS.schema, tmp_path / "out")
    assert (made.num_files, made.num_rows) == (2, 3)
    files = sorted((tmp_path / "out").iterdir())
    assert pa.concat_tables([pq.read_table(path, page_checksum_verification=True) for path in files]).equals(ROWS)


def test_a_folder_that_is_there_is_left_alone(store, fragments, tmp_path: Path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="there is something already"):
        to_parquet(store, fragments, ROWS.schema, tmp_path / "out")


def test_what_breaks_off_leaves_nothing(store, fragments, tmp_path: Path):
    Path(store.locate("2.parquet")).unlink()
    with pytest.raises(Exception, match=r"2\.parquet"):
        to_parquet(store, fragments, ROWS.schema, tmp_path / "out")
    with pytest.raises(Exception, match=r"2\.parquet"):
        to_iceberg(store, fragments, ROWS.schema, tmp_path / "ice", "flights.source")
    assert not list(tmp_path.glob("*out*")) + list(tmp_path.glob("ice*"))


def test_iceberg_is_read_by_pyiceberg(store, fragments, tmp_path: Path):
    sql = pytest.importorskip("pyiceberg.catalog.sql")
    made = to_iceberg(store, fragments, ROWS.schema, tmp_path / "ice", "flights.source")
    assert "column 'id': uint32 as int64" in made.notes
    assert "column 'name': dictionary<string, int32> as string" in made.notes
    catalog = sql.SqlCatalog("raypipe", uri=f"sqlite:///{tmp_path}/ice/catalog.db")
    found = catalog.load_table("flights.source").scan().to_arrow().sort_by("id")
    assert (
        found.select(["id", "half", "name", "point", "price"]).to_pylist()
        == ROWS.select(["id", "half", "name", "point", "price"]).to_pylist()
    )
    assert found["many"].to_pylist() == [Decimal(2**64 - 1), Decimal(0), None]


def test_what_iceberg_cannot_hold_is_named():
    schema = pa.schema({"ns": pa.timestamp("ns"), "ok": pa.int8(), "wide": pa.decimal256(50, 2)})
    with pytest.raises(DataError) as caught:
        iceberg_schema(schema)
    assert [line.split(",")[0] for line in str(caught.value).splitlines()] == [
        "column 'ns' is timestamp[ns]",
        "column 'wide' is decimal256(50",
    ]
