"""One file of a web server, read by range: from an address that was looked at before, and from nowhere else.

A URL in a config must not make this machine ask its own network: the name is resolved once, every address that it has must be a public
one, the connection goes to that address, and a redirect is not followed. Hosts of one's own network are named by the environment, in
RAYPIPE_SOURCE_HOSTS (`host` or `host:port`, commas between them).
"""

from __future__ import annotations

import http.client
import ipaddress
import os
import socket
import ssl
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from raypipe.core.errors import DataError
from raypipe.data.source.location import Found
from raypipe.data.source.url import split

HOSTS = "RAYPIPE_SOURCE_HOSTS"
NUM_ATTEMPTS = 3
TIMEOUT_S = 10
READ_AHEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class Web:
    """The place of a file on a web server."""

    scheme: str
    host: str
    port: int
    path: str
    """With its leading slash, percent-encoded."""

    @classmethod
    def of(cls, url: str) -> Web:
        scheme, place, key = split(url)
        host, _, port = place.rpartition(":") if not place.endswith("]") and ":" in place else (place, "", "")
        number = int(port) if port else (443 if scheme == "https" else 80)
        if not 0 < number < 65536:
            raise DataError(f"{url}: {number} is no port")
        return cls(scheme, host.strip("[]"), number, "/" + quote(key, safe="/%:=+,;@!$&'()~-._"))


@dataclass
class WebFile:
    """A file to seek in, as pyarrow.PythonFile takes one; a server that knows no ranges sends all of it once."""

    url: str
    size: int
    mark: str
    """ETag or time of change: another one than at first means that the file changed under the reader."""
    closed: bool = False
    _position: int = 0
    _ahead: tuple[int, bytes] = field(default=(0, b""), repr=False)

    def read(self, num_bytes: int = -1) -> bytes:
        end = self.size if num_bytes is None or num_bytes < 0 else min(self._position + num_bytes, self.size)
        data = self._range(self._position, end) if end > self._position else b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        self._position = max(0, offset + (0, self._position, self.size)[whence])
        return self._position

    def tell(self) -> int:
        return self._position

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def writable(self) -> bool:
        return False

    def flush(self) -> None: ...

    def close(self) -> None:
        self.closed, self._ahead = True, (0, b"")

    def _range(self, start: int, end: int) -> bytes:
        first, data = self._ahead
        if not first <= start <= end <= first + len(data):
            until = min(max(end, start + READ_AHEAD_BYTES), self.size)
            first, data = self._ahead = self._fetched(start, until)
        return data[start - first : end - first]

    def _fetched(self, start: int, end: int) -> tuple[int, bytes]:
        status, headers, data = _ask(self.url, "GET", {"Range": f"bytes={start}-{end - 1}"})
        if _mark(headers) != self.mark:
            raise DataError("is being written: it has changed since the run began. Run again when it is complete.")
        first = 0 if status == 200 else start
        if len(data) != (self.size if status == 200 else end - start):
            raise ConnectionError(f"the server sent {len(data):,} of {end - start:,} bytes")
        return first, data


def open_file(url: str) -> Any:
    """A pyarrow.NativeFile over the file at that URL."""
    import pyarrow as pa

    status, headers, _ = _ask(url, "HEAD", {})
    if status == 404:
        raise FileNotFoundError(2, "not there", url)
    return pa.PythonFile(WebFile(url, _size(url, headers), _mark(headers)), mode="r")


def find(url: str) -> Found | None:
    """The file as its server tells of it, None where it has none."""
    status, headers, _ = _ask(url, "HEAD", {})
    return None if status == 404 else Found(url, _size(url, headers), _mtime_ns(headers))


def address(web: Web, url: str) -> str:
    """The address to connect to. DataError where the host has one that is not public, unless the environment names the host."""
    try:
        infos = socket.getaddrinfo(web.host, web.port, type=socket.SOCK_STREAM)
    except (socket.gaierror, UnicodeError) as error:
        raise DataError(f"{url}: the host {web.host} is not known: {getattr(error, 'strerror', None) or error}") from None
    found = list(dict.fromkeys(str(info[4][0]) for info in infos))
    allowed = {host.strip() for host in os.environ.get(HOSTS, "").split(",")}
    inner = [one for one in found if not is_public(one)]
    if inner and not allowed & {web.host, f"{web.host}:{web.port}"}:
        raise DataError(
            f"{url}: {web.host} is at {inner[0]}, which is no public address: a config may not make this machine ask its own network. "
            f"If it is meant, name the host in the environment: {HOSTS}={web.host}"
        )
    return found[0]


def is_public(text: str) -> bool:
    """Whether an address is one of the public internet, the IPv4 address inside of an IPv6 one looked at too."""
    one = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(one, ipaddress.IPv6Address):
        inner = one.ipv4_mapped or one.sixtofour or (one.teredo or (None, None))[1]
        if inner is None and one in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.ip_address(int(one) & 0xFFFFFFFF)
        one = inner or one
    return one.is_global and not one.is_multicast


def _ask(url: str, method: str, headers: dict[str, str]) -> tuple[int, Any, bytes]:
    """Status (200, 206 or 404), headers and body; tried three times where the server breaks off or is overloaded."""
    web = Web.of(url)
    for attempt in range(1, NUM_ATTEMPTS + 1):
        try:
            status, answered, data = once(web, url, method, headers)
            if status < 500 and status != 429:
                return _judged(status, answered, data)
            raise ConnectionError(f"the server answered {status}")
        except (OSError, http.client.HTTPException) as error:
            if attempt == NUM_ATTEMPTS:
                raise ConnectionError(str(error) or type(error).__name__) from None
            time.sleep(0.2 * 2**attempt)
    raise AssertionError


def once(web: Web, url: str, method: str, headers: dict[str, str], body: bytes | None = None) -> tuple[int, Any, bytes]:
    """One question to an address that `address` lets through; DataError, or OSError where no answer comes."""
    at = address(web, url)
    connection = http.client.HTTPConnection(web.host, web.port, timeout=TIMEOUT_S)
    raw = socket.create_connection((at, web.port), TIMEOUT_S)
    try:
        # A connection that is there already is used as it is: it goes to the address that was judged, whatever the name says by now.
        connection.sock = ssl.create_default_context().wrap_socket(raw, server_hostname=web.host) if web.scheme == "https" else raw
        connection.request(method, web.path, body, headers={"Accept-Encoding": "identity", "User-Agent": "raypipe", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, b"" if method == "HEAD" else answer.read()
    finally:
        connection.close()
        raw.close()


def _judged(status: int, headers: Any, data: bytes) -> tuple[int, Any, bytes]:
    if 300 <= status < 400:
        raise DataError("the server redirects to another place, which sources do not follow: write the file's own URL")
    if status in (401, 403):
        raise DataError(f"the server refuses it (HTTP {status}): only files that need no credentials are read by http")
    if status not in (200, 206, 404):
        raise DataError(f"the server answered HTTP {status}")
    return status, headers, data


def _size(url: str, headers: Any) -> int:
    size = headers.get("Content-Length")
    if size is None or not size.isdigit():
        raise DataError(f"{url}: the server does not say how large the file is (no Content-Length): copy it")
    return int(size)


def _mark(headers: Any) -> str:
    return headers.get("ETag") or headers.get("Last-Modified") or ""


def _mtime_ns(headers: Any) -> int:
    if etag := headers.get("ETag"):
        return int.from_bytes(sha256(etag.encode()).digest()[:7], "big")
    try:
        return int(parsedate_to_datetime(headers["Last-Modified"]).timestamp()) * 10**9
    except (KeyError, TypeError, ValueError):
        return -1
