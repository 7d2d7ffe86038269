"""A client of an endpoint: records in, predictions out, and every refusal in its own words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from types import TracebackType
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, RaypipeError

if TYPE_CHECKING:
    import pyarrow as pa


class EndpointError(RaypipeError):
    """The endpoint refused, failed or did not answer. `status` is the HTTP status, None where there was no answer."""

    def __init__(self, message: str, status: int | None = None, document: Json = None):
        super().__init__(message)
        self.status, self.document = status, document

    @property
    def fields(self) -> list[dict[str, Any]]:
        """The bad fields of a refused request: `row`, `field`, `found`, `expected` of each."""
        return _error_of(self.document).get("fields", [])


@dataclass(frozen=True)
class Predictions:
    """The answer to one request, in the order of its records."""

    predictions: list[dict[str, Any]]
    """`class` and `probability` (of the positive class) of each record."""
    model: dict[str, Any]
    """`name`, `version`, `run`, `snapshot`, `threshold`, `classes` of the model that answered."""

    def __len__(self) -> int:
        return len(self.predictions)


@dataclass(frozen=True)
class Reply:
    """What came back, as it came."""

    status: int
    body: bytes

    @property
    def document(self) -> Json:
        """None where the body is no JSON: another server's page."""
        import json

        try:
            return json.loads(self.body)
        except ValueError:
            return None


class Client:
    """Talks to the endpoint at `url` (`http://HOST:PORT`) over one kept connection; for one thread at a time."""

    def __init__(self, url: str, model: str, timeout_s: float = 30.0):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"'{url}' is no endpoint's address: expected http://HOST:PORT")
        self.url, self.model = url.rstrip("/"), model
        kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._connection, self._prefix = kind(parts.hostname, parts.port, timeout=timeout_s), parts.path.rstrip("/")

    def predict(self, rows: Sequence[Mapping[str, Any]] | pa.Table) -> Predictions:
        """Predicts records, or the rows of an Arrow table. Raises EndpointError."""
        import msgspec

        given = rows if isinstance(rows, Sequence) else records(rows)
        body = msgspec.json.encode({"instances": given}, enc_hook=_plain)
        document = self._ask("POST", f"{self._path}:predict", body)
        return Predictions(document["predictions"], document["model"])

    def describe(self) -> Json:
        """The model that answers: version, run, snapshot, signature, threshold, classes."""
        return self._ask("GET", self._path)

    def ready(self) -> Json:
        """What `/readyz` answers; EndpointError where no model does."""
        return self._ask("GET", "/readyz")

    def send(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        """One request as it is. A kept connection that the server has closed meanwhile is opened anew, once."""
        kept = self._connection.sock is not None
        try:
            return self._send(method, path, body, headers or {})
        except (ConnectionError, HTTPException, OSError) as error:
            self.close()
            if kept and isinstance(error, ConnectionError):
                return self.send(method, path, body, headers)
            hint = " Is `raypipe serve` running?" if isinstance(error, ConnectionRefusedError) else ""
            raise EndpointError(f"no answer from {self.url}: {error or type(error).__name__}.{hint}") from None

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def _path(self) -> str:
        return f"/v1/models/{quote(self.model, safe='')}"

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Json:
        reply = self.send(method, path, body, {"content-type": "application/json"} if body else None)
        document = reply.document
        if reply.status != 200 or not isinstance(document, dict):
            message = _error_of(document).get("message") or reply.body[:200].decode(errors="replace")
            raise EndpointError(f"{self.url} answered {reply.status}: {message}", reply.status, document)
        return document

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Reply:
        broken: ConnectionError | None = None
        try:
            self._connection.request(method, self._prefix + path, body, dict(headers))
        except (BrokenPipeError, ConnectionResetError) as error:
            broken = error  # a server that refuses a body closes before it has read it: its answer is there all the same
        try:
            answer = self._connection.getresponse()
            return Reply(answer.status, answer.read())
        except (ConnectionError, HTTPException) as error:
            raise broken or error from None


def records(rows: pa.Table) -> list[dict[str, Any]]:
    """The rows of an Arrow table as a request gives them: times as ISO 8601 text, NaN as null."""
    import pyarrow as pa

    columns = {}
    for name, column in zip(rows.column_names, rows.columns, strict=True):
        written = column.cast(pa.string()) if pa.types.is_temporal(column.type) or pa.types.is_decimal(column.type) else column
        columns[name] = [None if v != v else v for v in written.to_pylist()]
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def _error_of(document: Json) -> dict[str, Any]:
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}


def _plain(value: Any) -> Any:
    """NumPy's scalars, and what else says `item`, as Python's."""
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"a record holds a {type(value).__name__}, which JSON cannot say")
