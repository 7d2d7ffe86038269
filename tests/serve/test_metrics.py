"""What a scrape finds: counts by route and code, rows, and the model that answers."""

from starlette.applications import Starlette

from tests.serve.asgi import get, predict

GOOD = {"distance": 1000.0, "wind": None, "hour": 5}


def test_requests_rows_and_the_model_are_counted(app: Starlette):
    predict(app, [GOOD, GOOD])
    predict(app, b"x")
    get(app, "/secret/path")
    reply = get(app, "/metrics")
    lines = reply.body.decode().splitlines()
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert 'raypipe_requests_total{code="200",replica="0",route="predict"} 1.0' in lines
    assert 'raypipe_requests_total{code="400",replica="0",route="predict"} 1.0' in lines
    assert 'raypipe_requests_total{code="404",replica="0",route="other"} 1.0' in lines
    assert 'raypipe_rows_total{replica="0"} 2.0' in lines
    assert 'raypipe_model_info{name="flights",replica="0",run="run-1",snapshot="12",version="1"} 1.0' in lines
    assert 'raypipe_ready{replica="0"} 1.0' in lines
    assert any(line.startswith('raypipe_request_seconds_bucket{le="0.005",replica="0",route="predict"}') for line in lines)
    assert "secret" not in reply.body.decode()
