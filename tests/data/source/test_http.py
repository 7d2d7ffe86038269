"""Files of a web server: read by range, and never from a place that the config's reader did not mean."""

import contextlib
import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raypipe.core.errors import DataError
from raypipe.core.step import Look
from raypipe.data.source import http
from raypipe.data.source.csv import Csv
from raypipe.data.source.parquet import Parquet

ROWS = pa.table({f"c{i}": pa.array([(i * 7919 * row) % 1000003 for row in range(50_000)]) for i in range(20)})


class Site:
    """A web server in this process: name -> content; what it sent is counted."""

    def __init__(self):
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                site.answer(self)

            def do_GET(self):
                site.answer(self)

            def log_message(self, format, *args): ...

        self.files: dict[str, bytes] = {}
        self.ranges, self.dies, self.num_bytes, self.asked = True, False, 0, []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    def answer(self, request):
        self.asked.append((request.command, request.path))
        if request.path == "/moved.csv":
            request.send_response(302)
            request.send_header("Location", f"{self.url}/a.csv")
            request.end_headers()
            return
        data = self.files.get(request.path)
        asked = request.headers.get("Range")
        if data is None:
            request.send_error(404)
            return
        start, end = 0, len(data)
        if asked and self.ranges:
            first, last = asked.removeprefix("bytes=").split("-")
            start, end = int(first), min(int(last) + 1, len(data))
        request.send_response(206 if asked and self.ranges else 200)
        request.send_header("ETag", f'"{hash(data)}"')
        request.send_header("Content-Length", str(end - start))
        request.end_headers()
        if request.command == "GET":
            body = data[start : start + (end - start) // 2] if self.dies else data[start:end]
            self.num_bytes += len(body)
            with contextlib.suppress(OSError):
                request.wfile.write(body)


@pytest.fixture
def site(monkeypatch):
    made = Site()
    monkeypatch.setenv(http.HOSTS, "127.0.0.1")
    yield made
    made.server.shutdown()
    made.server.server_close()


def new(source) -> Any:
    nothing: Any = None
    from raypipe.data.source.piece import NOTHING

    return source.new(Look("p", Path("/nowhere"), "p", "source", nothing, nothing), NOTHING)


def read(source):
    (piece,) = new(source).pieces
    return pa.concat_tables(list(source.batches(piece, {})))


def told(source):
    with pytest.raises(DataError) as error:
        read(source)
    return str(error.value)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_file_is_read(site, ranges):
    site.ranges = ranges
    site.files["/a%20b/%C3%BC=1.csv"] = b"x,s\n1,a\n2,b\n"
    assert read(Csv(f"{site.url}/a b/ü=1.csv")).to_pydict() == {"x": [1, 2], "s": ["a", "b"]}


def test_only_the_columns_asked_for_are_fetched(site):
    sink = io.BytesIO()
    pq.write_table(ROWS, sink, compression="none", use_dictionary=False, row_group_size=50_000)
    site.files["/wide.parquet"] = sink.getvalue()
    source = Parquet(f"{site.url}/wide.parquet", columns=["c3"])
    (piece,) = new(source).pieces
    site.num_bytes = 0
    assert pa.concat_tables(source.batches(piece, {})).equals(ROWS.select(["c3"]))
    assert site.num_bytes < 0.4 * len(sink.getvalue())


def test_what_is_not_there_is_named(site):
    assert told(Csv(f"{site.url}/a.csv")) == f"{site.url}/a.csv: the server has no such file"


def test_a_redirect_is_not_followed(site):
    site.files["/a.csv"] = b"x\n1\n"
    assert "the server redirects to another place, which sources do not follow" in told(Csv(f"{site.url}/moved.csv"))
    assert ("GET", "/a.csv") not in site.asked


def test_a_server_that_dies_half_way_is_told_with_the_file(site, monkeypatch):
    monkeypatch.setattr(http.time, "sleep", lambda seconds: None)
    site.files["/a.csv"] = b"x\n" + b"1\n" * 5000
    source = Csv(f"{site.url}/a.csv")
    (piece,) = new(source).pieces
    site.dies = True
    with pytest.raises(DataError, match=r"a\.csv: cannot be reached: .* It was tried three times; run again once"):
        list(source.batches(piece, {}))


def test_a_file_that_changes_under_the_reader_is_told(site):
    site.files["/a.csv"] = b"x\n1\n"
    source = Csv(f"{site.url}/a.csv")
    (piece,) = new(source).pieces
    site.files["/a.csv"] = b"x\n2\n"
    with pytest.raises(DataError, match=r"a\.csv: is being written"):
        list(source.batches(piece, {}))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.8", "0.0.0.0"]
)
def test_this_machines_own_network_is_not_asked(site, monkeypatch, host):
    monkeypatch.delenv(http.HOSTS)
    port = site.server.server_address[1]
    text = told(Csv(f"http://{host}:{port}/a.csv"))
    assert "which is no public address: a config may not make this machine ask its own network" in text
    assert site.asked == []


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("8.8.8.8", True), ("2001:4860:4860::8888", True), ("192.168.1.1", False), ("172.16.0.1", False), ("100.64.0.1", False),
        ("::", False), ("fe80::1%eth0", False), ("fd00::1", False), ("224.0.0.1", False), ("::ffff:169.254.169.254", False),
        ("64:ff9b::7f00:1", False), ("64:ff9b::808:808", True), ("2002:7f00:1::", False), ("255.255.255.255", False),
    ],
)  # fmt: skip
def test_what_is_public(address, is_public):
    assert http.is_public(address) == is_public


def test_a_name_that_has_one_inner_address_among_others_is_refused(monkeypatch):
    found = [(0, 0, 0, "", ("8.8.8.8", 80)), (0, 0, 0, "", ("169.254.169.254", 80))]
    monkeypatch.setattr(http.socket, "getaddrinfo", lambda *a, **k: found)
    with pytest.raises(DataError, match=r"rebind\.example is at 169\.254\.169\.254, which is no public address"):
        http.address(http.Web.of("http://rebind.example/a.csv"), "http://rebind.example/a.csv")


def test_the_address_that_was_judged_is_the_one_connected_to(site, monkeypatch):
    site.files["/a.csv"] = b"x\n1\n"
    monkeypatch.setenv(http.HOSTS, "data.example")
    asked = []
    resolved = http.socket.getaddrinfo

    def resolve(host, *rest, **more):
        asked.append(host)
        return resolved("127.0.0.1", *rest, **more)

    monkeypatch.setattr(http.socket, "getaddrinfo", resolve)
    url = f"http://data.example:{site.server.server_address[1]}/a.csv"
    assert http.once(http.Web.of(url), url, "GET", {})[2] == b"x\n1\n"
    assert asked.count("data.example") == 1, "a second question might be answered otherwise"
