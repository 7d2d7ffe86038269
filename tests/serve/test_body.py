"""Bodies that are too long, too slow or of another type are refused before they cost anything."""

import dataclasses

import pytest
from starlette.applications import Starlette

from raypipe.serve.desired import Desired, Limits
from raypipe.serve.endpoint import application
from raypipe.serve.live import Live
from raypipe.serve.served import load_served
from tests.serve.asgi import JSON, PREDICT, ask

GOOD = b'[{"distance": 1000, "hour": 5}]'


@pytest.fixture
def small(desired: Desired) -> Starlette:
    return application(Live(load_served(dataclasses.replace(desired, limits=Limits(body_bytes=200, body_wait_s=0.3)))))


def test_a_body_may_come_in_pieces(small: Starlette):
    assert ask(small, "POST", PREDICT, [GOOD[:5], GOOD[5:]]).status == 200


def test_a_length_over_the_limit_is_refused_before_a_byte_is_read(small: Starlette):
    for length in ("201", "9" * 5_000):
        reply = ask(small, "POST", PREDICT, [None], JSON | {"content-length": length})
        assert reply.status == 413
        assert reply.message == "The body is larger than 200 bytes: send fewer records in a request."
        assert reply.headers["connection"] == "close"


def test_a_body_without_a_length_is_refused_when_it_passes_the_limit(small: Starlette):
    assert ask(small, "POST", PREDICT, [b" " * 150, b" " * 150, None]).status == 413


def test_a_body_that_does_not_arrive_is_refused_in_time(small: Starlette):
    reply = ask(small, "POST", PREDICT, [GOOD[:5], None])
    assert reply.status == 408
    assert reply.message == "The body did not arrive within 0.3 s; 5 bytes of it came."
    assert ask(small, "POST", PREDICT, [b" "] * 100, pause_s=0.02).status == 408


@pytest.mark.parametrize("type_", ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'])
def test_json_is_taken(small: Starlette, type_: str):
    assert ask(small, "POST", PREDICT, GOOD, {"content-type": type_}).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        JSON | {"content-encoding": "gzip"},
    ],
)
def test_another_type_is_refused_with_what_to_send(small: Starlette, headers: dict[str, str]):
    reply = ask(small, "POST", PREDICT, GOOD, headers)
    assert reply.status == 415
    assert "send" in reply.message
