"""Reading a request's body: no longer, no slower and of no other type than the endpoint takes."""

from __future__ import annotations

import asyncio

from starlette.requests import Request

from raypipe.serve.desired import Limits
from raypipe.serve.refusal import Refused, excerpt

_CLOSE = {"connection": "close"}
"""What is left of the body is not read: the connection cannot be used again."""


async def read_body(request: Request, limits: Limits) -> bytes:
    """Raises Refused: 415 for another type, 413 for more bytes (at once where the header says so), 408 where it comes too slowly."""
    _check_type(request)
    _check_length(request, limits)
    chunks, size = [], 0
    try:
        async with asyncio.timeout(limits.body_wait_s):
            async for chunk in request.stream():
                size += len(chunk)
                if size > limits.body_bytes:
                    raise _too_large(limits)
                chunks.append(chunk)
    except TimeoutError:
        message = f"The body did not arrive within {limits.body_wait_s:g} s; {size} bytes of it came."
        raise Refused(408, message, headers=_CLOSE) from None
    return b"".join(chunks)


def _check_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    type_, _, parameters = given.lower().partition(";")
    charset = parameters.partition("charset=")[2].strip().strip('"')
    if type_.strip() != "application/json" or charset not in ("", "utf-8", "utf8"):
        found = f"'{excerpt(given)}'" if given else "none"
        raise Refused(415, f"The content type is {found}; send JSON with the header 'content-type: application/json'.", headers=_CLOSE)
    if (encoding := request.headers.get("content-encoding", "identity").lower()) != "identity":
        raise Refused(415, f"The body is encoded as '{excerpt(encoding)}'; send it as it is.", headers=_CLOSE)


def _check_length(request: Request, limits: Limits) -> None:
    length = request.headers.get("content-length", "")
    if length.isdecimal() and (len(length) > 18 or int(length) > limits.body_bytes):
        raise _too_large(limits)


def _too_large(limits: Limits) -> Refused:
    return Refused(413, f"The body is larger than {limits.body_bytes} bytes: send fewer records in a request.", headers=_CLOSE)
