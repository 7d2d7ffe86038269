"""Every bad request is refused, briefly, and harms nothing."""

import pytest
from starlette.applications import Starlette

from raypipe.serve.bad import BadRequest, bad_requests
from raypipe.serve.desired import Limits
from raypipe.serve.live import Live
from raypipe.serve.refusal import NUM_SHOWN
from tests.serve.asgi import PREDICT, ask, predict

GOOD = {"distance": 1000.0, "wind": None, "hour": 5}


@pytest.fixture
def bad(live: Live) -> list[BadRequest]:
    assert live.served is not None
    return bad_requests(live.served.form, GOOD, Limits())


def test_every_bad_request_is_refused_in_a_few_clear_words(app: Starlette, bad: list[BadRequest]):
    assert len(bad) > 60
    for request in bad:
        reply = ask(app, "POST", PREDICT, request.body, dict(request.headers))
        assert 400 <= reply.status < 500, request.name
        assert 10 < len(reply.message) < 400, request.name
        assert len(reply.body) < 400 + NUM_SHOWN * 250, request.name
    assert predict(app, [GOOD]).status == 200


def test_each_has_a_name_of_its_own(bad: list[BadRequest]):
    assert len({request.name for request in bad}) == len(bad)
