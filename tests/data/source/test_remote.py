"""Object stores: found, told apart and read by range, from moto's S3 server; its end half-way is told with the file."""

import contextlib
import io
import socket
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source.csv import Csv
from raypipe.data.source.files import list_files, state
from raypipe.data.source.location import Location
from raypipe.data.source.parquet import Parquet
from raypipe.data.source.piece import NOTHING, Progress

ROWS = pa.table({"x": list(range(5000)), "s": [f"value {i % 97}" for i in range(5000)]})


def parquet(table=ROWS, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def new(source, progress=NOTHING) -> Any:
    nothing: Any = None
    return source.new(Look("p", Path("/nowhere"), "p", "source", nothing, nothing), progress)


def read(source):
    return pa.concat_tables([rows for piece in new(source).pieces for rows in source.batches(piece, {})])


def told(source):
    with pytest.raises(DataError) as error:
        read(source)
    return str(error.value)


def test_a_file_a_folder_and_a_pattern(s3):
    bucket = s3("data/2013/a.parquet", parquet()).removesuffix("/data/2013/a.parquet")
    s3("data/b.parquet", parquet(ROWS.slice(1)))
    s3("data/_SUCCESS", b"")
    s3("other/c.parquet", parquet(ROWS.slice(2)))

    def names(path):
        return [file.path.removeprefix(bucket) for file in list_files(Parquet(bucket + path), Path("/nowhere"), {})]

    assert names("/data") == names("/data/") == ["/data/2013/a.parquet", "/data/b.parquet"]
    assert names("/data/b.parquet") == names("/data/*.parquet") == ["/data/b.parquet"]
    assert names("/data/**/*.parquet") == ["/data/2013/a.parquet", "/data/b.parquet"]
    assert names("/*/c.parquet") == ["/other/c.parquet"]
    assert read(Parquet(bucket + "/data/2013")).equals(ROWS)


def test_what_is_not_there_is_named(s3):
    url = s3("data/a.parquet", parquet())
    assert told(Parquet(url.replace("a.parquet", "b.parquet"))).startswith(
        f"{url.replace('a.parquet', 'b.parquet')}: there is no such file"
    )
    assert "canary" not in told(Parquet("s3://bucket-that-is-not-there/data"))


def test_names_are_taken_as_they_are(s3):
    names = ["it's=1 of ü.csv", "a%20b.csv", "what?.csv", "#1.csv", "plus+.csv"]
    urls = [s3(f"year=2013/{name}", f"x\n{number}\n".encode()) for number, name in enumerate(names)]
    folder = urls[0].rpartition("/year")[0]
    found = new(Csv(folder, partitions={"year": "int64"}))
    assert sorted(piece.name for piece in found.pieces) == sorted(urls)
    rows = read(Csv(folder, partitions={"year": "int64"}))
    assert sorted(rows["x"].to_pylist()) == [0, 1, 2, 3, 4]
    assert set(rows["year"].to_pylist()) == {2013}
    assert "folders such as year=2013 state a column" in told(Csv(folder))


def test_size_and_time_spare_a_digest(s3, monkeypatch):
    url = s3("a.csv", b"x\n1\n")
    first = new(Csv(url))
    taken = Progress(files={piece.name: piece.file for piece in first.pieces})
    monkeypatch.setattr(Location, "raw", None)
    again = new(Csv(url), taken)
    assert (again.pieces, again.state, again.told) == ([], first.state, "0 new of 1 file")
    assert state([piece.file for piece in first.pieces]) == first.state["state"]


def test_a_new_file_is_fetched_for_its_digest_once_a_process(s3, monkeypatch):
    url = s3("a.csv", b"x\n1\n")
    monkeypatch.setattr("raypipe.data.source.files.SETTLED_NS", 0)
    first = new(Csv(url))
    monkeypatch.setattr(Location, "raw", None)
    assert new(Csv(url)).pieces == first.pieces


def test_a_file_that_was_overwritten_is_told(s3):
    url = s3("a.csv", b"x\n1\n")
    (piece,) = new(Csv(url)).pieces
    s3("a.csv", b"x\n1\n2\n")
    with pytest.raises(DataError, match=r"a\.csv: is being written: it has changed since the run began"):
        list(Csv(url).batches(piece, {}))
    taken = Progress(files={url: piece.file})
    assert [changed.name for changed in new(Csv(url), taken).changed] == [url]


def test_only_the_columns_asked_for_are_fetched(s3, s3_server, monkeypatch):
    wide = pa.table({f"c{i}": pa.array([(i * 7919 * row) % 1000003 for row in range(20_000)]) for i in range(20)})
    url = s3("wide.parquet", data := parquet(wide, compression="none", use_dictionary=False, row_group_size=10_000))
    source = Parquet(url, columns=["c3"])
    (piece,) = new(source).pieces
    proxy = Proxy(s3_server)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    assert pa.concat_tables(source.batches(piece, {})).equals(wide.select(["c3"]))
    assert proxy.num_bytes < 0.12 * len(data)
    proxy.stop()


def test_a_store_that_dies_half_way_is_told_with_the_file(s3, s3_server, monkeypatch):
    url = s3("a.parquet", data := parquet(pa.table({"x": list(range(400_000))}), compression="none", use_dictionary=False))
    source = Parquet(url)
    (piece,) = new(source).pieces
    proxy = Proxy(s3_server, dies_after=len(data) // 2)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
    with pytest.raises(DataError) as error:
        list(source.batches(piece, {}))
    text = str(error.value)
    assert text.startswith(f"{url}: cannot be reached: ")
    assert text.endswith("It was tried three times; run again once its store answers.")
    assert "canary" not in text
    assert len(text.splitlines()) == 1
    with pytest.raises(DataError, match=r"a\.parquet: cannot be listed: .* It was tried 3 times\."):
        new(source)
    proxy.stop()


class Proxy:
    """A way to a server that counts what comes from it, and ends after so many bytes."""

    def __init__(self, server: str, dies_after: int | None = None):
        host, _, port = server.removeprefix("http://").partition(":")
        self.to, self.dies_after, self.num_bytes = (host, int(port)), dies_after, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def stop(self):
        self.listener.close()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.to)
            threading.Thread(target=self._pump, args=(client, server, False), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, True), daemon=True).start()

    def _pump(self, source, sink, counted):
        try:
            while data := source.recv(65536):
                self.num_bytes += len(data) * counted
                if self.dies_after is not None and self.num_bytes > self.dies_after:
                    break
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
