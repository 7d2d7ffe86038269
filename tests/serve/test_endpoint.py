"""The endpoint's routes as a client sees them, in this process."""

import dataclasses
import json
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette

from raypipe.core.errors import DataError
from raypipe.serve.client import records
from raypipe.serve.endpoint import application
from raypipe.serve.live import Live
from tests.serve.asgi import PREDICT, ask, get, predict
from tests.serve.conftest import flights

GOOD = {"distance": 1000.0, "wind": None, "hour": 5}


def test_predictions_are_the_bundles_own(app: Starlette, live: Live):
    assert live.served is not None
    rows = flights(50, seed=3)
    reply = predict(app, {"instances": records(rows)})
    assert reply.status == 200
    expected = live.served.bundle.predict(rows)
    assert reply.json["predictions"] == [
        {"class": c, "probability": p} for c, p in zip(expected["prediction"].to_pylist(), expected["probability"].to_pylist(), strict=True)
    ]
    assert {p["class"] for p in reply.json["predictions"]} == {"false", "true"}
    assert reply.json["model"] == {
        "name": "flights",
        "version": 1,
        "run": "run-1",
        "snapshot": 12,
        "threshold": 0.4,
        "classes": ["false", "true"],
    }


def test_a_bare_list_gets_the_same_answer(app: Starlette):
    assert predict(app, [GOOD]).body == predict(app, {"instances": [GOOD]}).body


def test_a_refusal_lists_the_fields(app: Starlette):
    reply = predict(app, [{"distance": "far", "hour": 5}])
    assert reply.status == 422
    assert reply.json["error"]["fields"] == [{"row": 0, "field": "distance", "found": "string", "expected": "number (float64)"}]


def test_the_model_is_described(app: Starlette):
    about = get(app, "/v1/models/flights").json
    assert {key: about[key] for key in ("name", "version", "run", "snapshot", "threshold", "classes", "format")} == {
        "name": "flights",
        "version": 1,
        "run": "run-1",
        "snapshot": 12,
        "threshold": 0.4,
        "classes": ["false", "true"],
        "format": "lightgbm",
    }
    assert [field["name"] for field in about["signature"]["inputs"]] == ["distance", "wind", "hour"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/flight:predict", 404, "There is no model 'flight' here. Served: flights. Did you mean 'flights'?"),
        ("GET", "/v1/models/x%0a", 404, "There is no model"),
        ("GET", PREDICT, 405, "GET is not taken here; allowed: POST."),
        ("DELETE", "/v1/models/flights", 405, "DELETE is not taken here"),
        ("POST", "/healthz", 405, "POST is not taken here"),
        ("GET", "/", 404, "There is nothing at this path. There are: POST /v1/models/NAME:predict"),
        ("POST", "/v1/models/flights:explain", 405, "POST is not taken here"),
        ("GET", "/docs", 404, "There is nothing at this path"),
    ],
)
def test_other_paths_and_methods(app: Starlette, method: str, path: str, status: int, message: str):
    reply = ask(app, method, path)
    assert reply.status == status
    assert reply.message.startswith(message)
    assert status != 405 or reply.headers["allow"]


def test_health_and_readiness(app: Starlette):
    assert get(app, "/healthz").json == {"alive": True, "replica": "0"}
    ready = get(app, "/readyz")
    assert (ready.status, ready.json["state"], ready.json["serving"]) == (200, "serving", 1)


def test_without_a_model_everything_says_why_but_the_process_is_alive():
    app = application(Live())
    assert get(app, "/healthz").status == 200
    ready = get(app, "/readyz")
    assert (ready.status, ready.json["problem"]) == (503, "no model has been asked for yet")
    for reply in (predict(app, [GOOD]), get(app, "/v1/models/flights"), get(app, "/openapi.json")):
        assert (reply.status, reply.message) == (503, "No model is loaded; /readyz says why.")
    assert get(app, "/metrics").status == 200


def failing(live: Live, error: Exception) -> Starlette:
    def fail(features_BF: object) -> None:
        raise error

    assert live.served is not None
    bundle = dataclasses.replace(live.served.bundle, _scorer=fail)
    return application(Live(dataclasses.replace(live.served, bundle=bundle)))


def test_a_failing_model_is_a_500_whose_reason_is_in_the_log_only(live: Live, caplog: pytest.LogCaptureFixture):
    app = failing(live, ZeroDivisionError("secret detail"))
    with caplog.at_level(logging.ERROR):
        reply = predict(app, [GOOD])
    assert reply.status == 500
    assert reply.json["error"]["request"] == reply.headers["x-request-id"]
    assert "secret" not in reply.body.decode()
    assert reply.headers["x-request-id"] in caplog.text
    assert "secret detail" in caplog.text
    assert predict(app, [GOOD], **{"x-request-id": "mine-1"}).json["error"]["request"] == "mine-1"
    assert predict(app, [GOOD], **{"x-request-id": "no good id\n"}).json["error"]["request"] != "no good id\n"


def test_a_row_that_the_model_has_no_answer_to_is_refused(live: Live):
    reply = predict(failing(live, DataError("wind: missing")), [GOOD])
    assert (reply.status, reply.message) == (422, "The model cannot answer: wind: missing")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from([1e308, -0.0, 2**63, "2013-10-01"]),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from(["distance", "wind", "hour", "instances", ""]) | st.text(), inner),
    max_leaves=20,
)


@given(st.lists(st.dictionaries(st.sampled_from(["distance", "wind", "hour"]), JSON_VALUES)) | JSON_VALUES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_json_gives_a_5xx(app: Starlette, value: object):
    assert predict(app, value).status in (200, 400, 413, 422)


@given(st.binary(max_size=200) | st.text().map(lambda text: json.dumps([{"distance": text}]).encode()[:-1]))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_give_a_5xx(app: Starlette, body: bytes):
    assert predict(app, body).status in (400, 422)
