"""What the tests of tables share: a step's work on each database, and a driver that publishes what it makes."""

import json
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import make_url

from raypipe.core.artifact import Table
from raypipe.core.ledger import Ledger, Record
from raypipe.core.step import Work
from raypipe.data.rows import write_rows
from raypipe.data.table import TableSchema, latest, made, read, snapshots
from raypipe.pipeline.redo import redone


class Lake:
    """One writer's view of a table `t`: each act is what a step and the driver do together."""

    def __init__(self, url, store, tmp_path):
        self.ledger = Ledger.open(url, "shop")
        self.store, self.url, self._tmp_path = store, url, tmp_path
        self.told = []

    def work(self):
        return Work(
            project="shop", project_path=self._tmp_path, pipeline="tables", step="act", ledger=self.ledger, store=self.store,
            run="r1", path=f"tables/act/000001-{uuid.uuid4().hex[:12]}", inline=True, report=self.told.append,
        )  # fmt: skip

    def publish(self, made_):
        fingerprint = uuid.uuid4().hex
        lease = self.ledger.claim(fingerprint, "r1")
        record = Record(
            kind="Table", pipeline="tables", step="act", run="r1", fingerprint=fingerprint, digest=made_.digest,
            files=made_.files, schema=made_.schema, figures=made_.figures,
        )  # fmt: skip
        return self.ledger.publish(lease, record, made_.commits)

    def act(self, change):
        """`change` of a Work, published; done again where it met another's commit."""
        return redone(lambda: self.publish(change(self.work())), self.told.append)

    def overwrite(self, rows, name="t"):
        work = self.work()
        return self.publish(made(work, name, TableSchema(rows.schema), write_rows(self.store, work.path, rows), mode="overwrite"))

    def rows(self, table=None, columns=None):
        """Of a snapshot's artifact; of the newest one where none is given."""
        if table is None:
            newest = self.newest()
            artifact = self.ledger.artifact(newest.artifact)
            assert isinstance(artifact, Table)
            table = replace(artifact, figures={**artifact.figures, "snapshot": newest.id})
        return read(self.ledger, self.store, table, columns)

    def newest(self, name="t"):
        found = latest(self.ledger, name)
        assert found is not None
        return found

    def snapshots(self, name="t"):
        return snapshots(self.ledger, name)

    def other(self):
        """Another writer of the same tables, with a connection of its own."""
        return Lake(self.url, self.store, self._tmp_path)

    def close(self):
        self.ledger.close()


ROOT = Path(__file__).parents[3]
READER = """
import glob, json, sys
import duckdb

where, folder, wanted = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
connection = duckdb.connect(config={"allow_unsigned_extensions": "true"})
for name in ("sqlite_scanner", "postgres_scanner", "ducklake"):
    for base in sys.path:
        for path in glob.glob(f"{base}/duckdb_extension_{name}/extensions/*/{name}.duckdb_extension"):
            connection.execute(f"load '{path}'")
connection.execute("set timezone='UTC'")
connection.execute(f"attach 'ducklake:{where}' as lake" + (" (read_only)" if wanted["read_only"] else ""))
for statement in wanted["statements"]:
    connection.execute(statement)
for number, query in enumerate(wanted["queries"]):
    connection.execute(f"copy ({query}) to '{folder}/{number}.parquet' (format parquet)")
"""


@pytest.fixture
def ask_duckdb(tmp_path):
    """The answers of DuckDB's ducklake extension, as Arrow, from a process of its own: attached read-only unless it is to write."""
    python = ROOT / ".venv-duckdb" / "bin" / "python"
    if not python.exists():
        pytest.skip("there is no .venv-duckdb with DuckDB's ducklake extension (`make test` sets it up)")

    def ask(url, *queries, statements=()):
        database = make_url(url)
        in_file = database.drivername == "sqlite"
        where = database.database if in_file else f"host={database.query['host']} user={database.username} dbname={database.database}"
        folder = tmp_path / uuid.uuid4().hex
        folder.mkdir()
        wanted = json.dumps({"read_only": not statements, "statements": statements, "queries": queries})
        command = [str(python), "-c", READER, f"{'sqlite' if in_file else 'postgres'}:{where}", str(folder), wanted]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return [pq.ParquetFile(folder / f"{n}.parquet").read() for n in range(len(queries))]

    return ask


@pytest.fixture
def lake(own_url, store, tmp_path):
    made_ = Lake(own_url, store, tmp_path)
    yield made_
    made_.close()
