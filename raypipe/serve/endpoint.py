"""The endpoint as an ASGI application: its routes, and what every answer and refusal looks like. It knows nothing of Ray."""

from __future__ import annotations

import asyncio
import logging
import re
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from raypipe.core.errors import nearest
from raypipe.serve.body import read_body
from raypipe.serve.live import Live
from raypipe.serve.metrics import CONTENT_TYPE, Metrics
from raypipe.serve.openapi import openapi
from raypipe.serve.refusal import Refused, excerpt
from raypipe.serve.served import Served

NUM_THREADS = 4
"""Predictions at a time in one process. More wait their turn: the work is bound by the CPU."""

log = logging.getLogger(__name__)


def application(live: Live, replica: str = "0") -> Starlette:
    """Serves whatever `live` holds, under `/v1/models/NAME`; `replica` names this process in metrics and in `/readyz`."""
    endpoint = Endpoint(live, replica)
    routes = [
        Route("/v1/models/{name}:predict", endpoint.predict, methods=["POST"]),
        Route("/v1/models/{name}", endpoint.describe),
        Route("/healthz", endpoint.healthz),
        Route("/readyz", endpoint.readyz),
        Route("/metrics", endpoint.metrics),
        Route("/openapi.json", endpoint.openapi),
    ]
    handlers: dict[Any, Any] = {Refused: _refused, HTTPException: endpoint.not_routed}
    return Starlette(routes=routes, exception_handlers=handlers, middleware=[Middleware(Watch, metrics=endpoint.counts)])


class Endpoint:
    """The handlers of the routes."""

    def __init__(self, live: Live, replica: str):
        self.live, self.replica = live, replica
        self.counts = Metrics(live, replica)
        self._threads = ThreadPoolExecutor(NUM_THREADS, thread_name_prefix="predict")

    async def predict(self, request: Request) -> Response:
        """`POST /v1/models/NAME:predict`: a list of records, or `{"instances": [...]}`, in; a prediction for each out."""
        served = self._served(request)
        body = await read_body(request, served.desired.limits)
        answer = await asyncio.get_running_loop().run_in_executor(self._threads, served.answer, body)
        self.counts.count_rows(answer.num_rows)
        return Response(answer.body, media_type="application/json")

    async def describe(self, request: Request) -> Response:
        """`GET /v1/models/NAME`: version, run, snapshot, signature, threshold, classes."""
        if request.path_params["name"].endswith(":predict"):
            raise HTTPException(405, headers={"allow": "POST"})
        return _json(self._served(request).about)

    async def healthz(self, request: Request) -> Response:
        """`GET /healthz`: the process is alive."""
        return _json({"alive": True, "replica": self.replica})

    async def readyz(self, request: Request) -> Response:
        """`GET /readyz`: 200 where a version answers, 503 with the reason where none does."""
        state = self.live.state()
        return _json({**state, "replica": self.replica}, 200 if state["ready"] else 503)

    async def metrics(self, request: Request) -> Response:
        """`GET /metrics`: Prometheus text."""
        return Response(self.counts.text(), headers={"content-type": CONTENT_TYPE})

    async def openapi(self, request: Request) -> Response:
        """`GET /openapi.json`: OpenAPI 3.1 of the version that answers."""
        return _json(openapi(self._served(None), request.scope.get("root_path", "")))

    async def not_routed(self, request: Request, error: Exception) -> Response:
        """No such path, or another method than it takes."""
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            message = f"{request.method} is not taken here; allowed: {Headers(error.headers).get('allow')}."
        else:
            paths = "POST /v1/models/NAME:predict, GET /v1/models/NAME, /healthz, /readyz, /metrics, /openapi.json"
            message = f"There is nothing at this path. There are: {paths}."
        return _json({"error": {"message": message}}, error.status_code, dict(error.headers or {}))

    def _served(self, request: Request | None) -> Served:
        """The version that answers; Refused where there is none, or where the path names another model."""
        if (served := self.live.served) is None:
            raise Refused(503, "No model is loaded; /readyz says why.", headers={"retry-after": "1"})
        name = request.path_params["name"] if request else served.desired.name
        if name != served.desired.name:
            hint = nearest(excerpt(name), [served.desired.name])
            raise Refused(404, f"There is no model '{excerpt(name)}' here. Served: {served.desired.name}.{hint if 'mean' in hint else ''}")
        return served


class Watch:
    """Around every request: its id, its count and seconds, and a 500 with the id and no more where the model fails."""

    def __init__(self, app: ASGIApp, metrics: Metrics):
        self.app, self.counts = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, code = time.perf_counter(), 499
        given = _given_id(scope)
        request = given if re.fullmatch(r"[\w.-]{1,64}", given) else uuid.uuid4().hex

        async def watched(message: Message) -> None:
            nonlocal code
            if message["type"] == "http.response.start":
                code = message["status"]
                if not given:  # Serve's proxy sets an id and answers with it: a second header would repeat it
                    message["headers"] = [*message["headers"], (b"x-request-id", request.encode())]
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except ClientDisconnect:
            pass
        except Exception:
            log.exception("request %s failed", request)
            if code != 499:
                raise
            await _failed(request)(scope, receive, watched)
        finally:
            self.counts.count(_route(scope), code, time.perf_counter() - started)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _json(error.to_json(), error.status, error.headers)


def _failed(request: str) -> Response:
    message = f"The model failed on this request. The server's log tells why, under request {request}."
    return _json({"error": {"message": message, "request": request}}, 500)


def _json(document: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(msgspec.json.encode(document), status, headers, "application/json")


def _given_id(scope: Scope) -> str:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"x-request-id"), "")


def _route(scope: Scope) -> str:
    return getattr(scope.get("endpoint"), "__name__", "other")
