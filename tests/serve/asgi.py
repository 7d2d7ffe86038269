"""One request to an ASGI application, in this process: what a server would pass on, and what it would send back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

PREDICT = "/v1/models/flights:predict"
JSON = {"content-type": "application/json"}


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> str:
        return self.json["error"]["message"]


def get(app: Any, path: str) -> Reply:
    return ask(app, "GET", path, headers={})


def predict(app: Any, body: Any, **headers: str) -> Reply:
    """POST to the model; `body` is bytes, or a value that is written as JSON."""
    return ask(app, "POST", PREDICT, body if isinstance(body, bytes) else json.dumps(body).encode(), JSON | headers)


def ask(
    app: Any,
    method: str,
    path: str,
    body: bytes | Sequence[bytes | None] = b"",
    headers: dict[str, str] | None = None,
    *,
    pause_s: float = 0,
) -> Reply:
    """`body` may come in pieces, `pause_s` between them; without an end where the last piece is None."""
    return asyncio.run(_ask(app, method, path, [body] if isinstance(body, bytes) else body, JSON if headers is None else headers, pause_s))


async def _ask(app: Any, method: str, path: str, pieces: Sequence[bytes | None], headers: dict[str, str], pause_s: float) -> Reply:
    sent: list[dict] = []
    left = list(pieces)

    async def receive() -> dict:
        if pause_s:
            await asyncio.sleep(pause_s)
        if not left or left[0] is None:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    async def send(message: dict) -> None:
        sent.append(message)

    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "method": method, "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "headers": raw}
    scope |= {"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)}
    await app(scope, receive, send)
    start, *rest = sent
    told = {name.decode(): value.decode() for name, value in start["headers"]}
    return Reply(start["status"], told, b"".join(message.get("body", b"") for message in rest))
