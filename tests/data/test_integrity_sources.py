"""Faults of files that Ray Data lets through or half-catches, each in a source: caught by the file's name, and nothing is published."""

import random
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from sqlalchemy import select

import raypipe
from raypipe.core import schema
from raypipe.core.errors import DataError
from raypipe.pipeline.driver import Options
from raypipe.pipeline.plan import open_scene

NUM_ROWS = 400
CONTRACT = raypipe.Contract(
    {
        "id": raypipe.Column("int64", nulls=False),
        "amount": raypipe.Column("double"),
        "kind": raypipe.Column("string"),
        "at": raypipe.Column("timestamp[us, tz=UTC]"),
    }
)


def rows(first: int, num_rows: int = NUM_ROWS) -> pa.Table:
    draw = random.Random(first)
    return pa.table(
        {
            "id": pa.array(range(first, first + num_rows), pa.int64()),
            "amount": [draw.gauss(0, 1) for _ in range(num_rows)],
            "kind": [draw.choice(["basic", "plus", "pro"]) for _ in range(num_rows)],
            "at": pa.array([1_700_000_000_000_000 + draw.randrange(10**12) for _ in range(num_rows)], pa.timestamp("us", "UTC")),
        }
    )


@dataclass
class Landing:
    """A project with three files in its folder `data`, of which `b` gets the fault."""

    path: Path
    kind: str

    @property
    def folder(self) -> Path:
        return self.path / "data"

    @property
    def bad(self) -> Path:
        return self.folder / f"b.{self.kind}"

    def put(self, name: str, table: pa.Table) -> None:
        where = self.folder / f"{name}.{self.kind}"
        if self.kind == "parquet":
            pq.write_table(table, where, write_page_checksum=True)
        elif self.kind == "csv":
            pyarrow.csv.write_csv(table, where)
        else:
            import polars as pl

            frame = pl.from_arrow(table)
            assert isinstance(frame, pl.DataFrame)
            frame.with_columns(pl.col("at").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ")).write_ndjson(where)

    def run(self, contract=CONTRACT, cluster=raypipe.Debug(), **settings):
        source = {"parquet": raypipe.Parquet, "csv": raypipe.Csv, "jsonl": raypipe.JsonLines}[self.kind]("data")
        pipeline = raypipe.Pipeline(
            "shop", source=source, contract=contract, ingest=settings, split=None, transform=None, project_path=self.path
        )
        return raypipe.run(pipeline, options=Options(cluster=cluster))

    def refused(self, contract=CONTRACT, **how) -> str:
        """The message, once it is sure that nothing was published."""
        result = self.run(contract, **how)
        assert (result.state, result.exit_code) == ("failed", 1), f"taken: {result}"
        with pytest.raises(DataError, match="there is no table"):
            raypipe.table("shop.source", project_path=self.path)
        with open_scene(self.path).ledger.reading() as connection:
            assert not connection.execute(select(schema.artifacts)).all()
        return result.error


@pytest.fixture
def landing(tmp_path, request):
    made = Landing(tmp_path, getattr(request, "param", "parquet"))
    made.folder.mkdir()
    (tmp_path / "raypipe.toml").touch()
    for number, name in enumerate("abc"):
        made.put(name, rows(number * NUM_ROWS))
    return made


def changed(path: Path, change) -> None:
    path.write_bytes(change(path.read_bytes()))


def cast(name: str, type_: pa.DataType):
    return lambda table: table.set_column(table.column_names.index(name), name, table[name].cast(type_))


def without(name: str):
    return lambda table: table.drop_columns([name])


def flipped(data: bytes, *positions: int) -> bytes:
    """With bit 2 of these bytes turned round."""
    return bytes(byte ^ 4 if place in positions else byte for place, byte in enumerate(data))


def hundred_bytes(data: bytes) -> bytes:
    start = len(data) // 3
    return flipped(data, *range(start, start + 100))


PARQUET, CSV, JSONL = "parquet", "csv", "jsonl"
ALL = (PARQUET, CSV, JSONL)

DAMAGED = {
    "zero bytes": (lambda data: b"", dict.fromkeys(ALL, r"the file is empty \(0 bytes\)")),
    "truncated": (
        lambda data: data[: len(data) // 2],
        {
            PARQUET: r"cannot be read as Parquet: Parquet magic bytes not found.* It may be cut off or damaged: fetch it again\.",
            CSV: r"line \d+: \d values, the header has 4",
            JSONL: r"line \d+: is no JSON: .*",
        },
    ),
    "one bit": (
        lambda data: flipped(data, len(data) // 3),
        {PARQUET: r"cannot be read as Parquet: could not verify page integrity, CRC checksum verification failed.*"},
    ),
    "a hundred bytes": (
        hundred_bytes,
        {
            PARQUET: r"cannot be read as Parquet: could not verify page integrity, CRC checksum verification failed.*",
            CSV: r"line \d+: .*",
            JSONL: r"line \d+: is .*",
        },
    ),
}
"""Fault -> what it does to the bytes, and what is said by the kind of file: the rest of the line behind the file's name."""

THE = "the contract says|the table has"
DIFFERENT = {
    "extra": (
        lambda table: table.append_column("more", table["id"]),
        dict.fromkeys(ALL, r"column 'more' is not in the (contract|table)\."),
    ),
    "missing": (
        without("amount"),
        {**dict.fromkeys(ALL, "column 'amount' is missing"), JSONL: "column 'amount' is missing: no line has it.*"},
    ),
    "renamed": (
        lambda table: table.rename_columns(["id", "sum", "kind", "at"]),
        {
            **dict.fromkeys(ALL, r"column 'sum' is not in the (contract|table)\.\ndata/b.*: column 'amount' is missing"),
            JSONL: r"column 'sum' is not in the (contract|table)\.",
        },
    ),
    "narrowed": (cast("id", pa.int32()), {PARQUET: f"column 'id' is int32, ({THE}) int64"}),
    "narrowed real": (cast("amount", pa.float32()), {PARQUET: f"column 'amount' is float32, ({THE}) float64"}),
    "retyped": (
        cast("id", pa.string()),
        {PARQUET: f"column 'id' is string, ({THE}) int64", JSONL: "line 1: field 'id': '401' is no int64"},
    ),
    "retyped values": (
        lambda table: table.set_column(0, "id", pa.array(["x"] * NUM_ROWS)),
        {
            PARQUET: f"column 'id' is string, ({THE}) int64",
            CSV: "line 2: column 'id': 'x' is no int64",
            JSONL: "line 1: field 'id': 'x' is no int64",
        },
    ),
    "without its zone": (
        cast("at", pa.timestamp("us")),
        {PARQUET: rf"column 'at' is timestamp\[us\], ({THE}) timestamp\[us, tz=UTC\]", CSV: "line 2: column 'at': .*: it has no time zone"},
    ),
    "twice": (lambda table: table.append_column("id", table["id"]), dict.fromkeys((PARQUET, CSV), "column 'id' is there twice")),
}
"""Fault -> what it does to the rows, and what is said, likewise."""


def cases(faults):
    """Each with a contract, which of Parquet files need not say the types."""
    found = [(kind, fault, contract) for fault, (_, told) in faults.items() for kind in told for contract in (CONTRACT, None)]
    return [pytest.param(*one, id=f"{one[1]} {one[0]}{'' if one[2] else ' no contract'}") for one in found if one[2] or one[0] == PARQUET]


both = pytest.mark.parametrize("contract", [CONTRACT, None], ids=["contract", "no contract"])


@pytest.mark.parametrize(("landing", "fault", "contract"), cases(DAMAGED), indirect=["landing"])
def test_a_damaged_file_is_told_by_its_name_and_nothing_is_taken(landing, fault, contract):
    change, told = DAMAGED[fault]
    changed(landing.bad, change)
    assert re.fullmatch(rf"data/b\.{landing.kind}: {told[landing.kind]}", landing.refused(contract))


@pytest.mark.parametrize(("landing", "fault", "contract"), cases(DIFFERENT), indirect=["landing"])
def test_other_columns_are_told_by_file_and_column_and_nothing_is_taken(landing, fault, contract):
    change, told = DIFFERENT[fault]
    landing.put("b", change(rows(401)))
    assert re.fullmatch(rf"data/b\.{landing.kind}: {told[landing.kind]}", landing.refused(contract))


@both
@pytest.mark.parametrize("landing", ALL, indirect=True)
def test_a_copy_of_a_file_is_no_new_rows(landing, contract):
    shutil.copy(landing.folder / f"a.{landing.kind}", landing.bad)
    told = f"data/b.{landing.kind}: has the same content as data/a.{landing.kind}, so that its rows would be taken twice."
    assert landing.refused(contract).startswith(told)
    assert landing.run(contract, duplicates="skip")["source"].figures["num_rows"] == 2 * NUM_ROWS


@both
def test_an_empty_folder_is_no_table_without_rows(landing, contract):
    shutil.rmtree(landing.folder)
    landing.folder.mkdir()
    with pytest.raises(DataError, match="data: the folder holds no file") as raised:
        landing.run(contract)
    assert raised.value.exit_code == 1
    landing.put("a", rows(0, 0))
    assert "rows" in landing.refused(contract)


@pytest.mark.parametrize("landing", [CSV], indirect=True)
def test_files_of_a_folder_that_loses_all_of_them_are_missed_by_name(landing):
    landing.run()
    landing.bad.unlink()
    result = landing.run()
    assert (result.exit_code, result.error.splitlines()[0].split(". ")[0]) == (
        1,
        "data/b.csv: its rows were taken, and it is not there any more",
    )


def test_one_bad_file_among_many_is_told_and_the_others_are_not_half_taken(landing, ray_cluster):
    """As one block of many: Ray Data's own `max_errored_blocks` would drop all the blocks that were read with it."""
    for number in range(12):
        landing.put(f"m{number:02d}", rows(10_000 + number * 50, 50))
    changed(landing.folder / "m07.parquet", hundred_bytes)
    told = landing.refused(cluster=raypipe.Local())
    assert told.startswith("data/m07.parquet: cannot be read as Parquet: ")
    taken = landing.run(cluster=raypipe.Local(), on_bad="quarantine")["source"]
    assert (taken.figures["num_rows"], taken.figures["files_quarantined"]) == (3 * NUM_ROWS + 11 * 50, 1)


def test_what_the_policies_let_pass_is_counted(landing):
    changed(landing.bad, lambda data: flipped(data, len(data) // 3))
    taken = landing.run(on_bad="quarantine")["source"]
    assert (taken.figures["num_rows"], taken.figures["rows_read"], taken.figures["files_quarantined"]) == (2 * NUM_ROWS, 2 * NUM_ROWS, 1)
    assert raypipe.table("shop.source~quarantine", project_path=landing.path).to_arrow()["position"].to_pylist() == ["data/b.parquet"]
    left = raypipe.delete("shop.source~quarantine", "position = 'data/b.parquet'", project_path=landing.path)
    assert (left.snapshot.num_rows, left.to_arrow().column_names) == (0, ["position", "reason", "value"])
    landing.put("b", rows(NUM_ROWS))
    assert landing.run(on_bad="quarantine")["source"].figures["num_rows"] == 3 * NUM_ROWS, "it is tried again with its next content"


@pytest.mark.parametrize("landing", [JSONL], indirect=True)
def test_a_field_that_a_file_may_lack_is_null(landing):
    landing.put("b", without("amount")(rows(401)))
    source = raypipe.JsonLines("data", optional=["amount"])
    pipeline = raypipe.Pipeline("shop", source=source, contract=CONTRACT, split=None, transform=None, project_path=landing.path)
    assert raypipe.run(pipeline, options=Options(cluster=raypipe.Debug())).exit_code == 0
    assert raypipe.table("shop.source", project_path=landing.path).to_arrow()["amount"].null_count == NUM_ROWS
