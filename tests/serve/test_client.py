"""The client against a real server on a loopback port."""

import socket
from collections.abc import Iterator

import numpy as np
import pytest

from raypipe.core.errors import ConfigError
from raypipe.serve.client import Client, EndpointError
from raypipe.serve.deploy import free_port
from raypipe.serve.desired import Desired
from raypipe.serve.stage import stage
from tests.serve.conftest import flights

GOOD = {"distance": 1000.0, "wind": None, "hour": 5}


@pytest.fixture(scope="module")
def url(desired: Desired) -> Iterator[str]:
    with stage(desired, inline=True, within_s=10) as url:
        yield url


def test_records_and_tables_get_predictions(url: str):
    with Client(url, "flights") as client:
        answer = client.predict([GOOD, {**GOOD, "distance": np.float32(1000.0), "wind": float("nan")}])
        assert len(answer) == 2
        assert answer.predictions[0] == answer.predictions[1]
        assert (answer.model["name"], answer.model["version"]) == ("flights", 1)
        assert len(client.predict(flights(20))) == 20
        assert client.describe()["classes"] == ["false", "true"]
        assert client.ready()["serving"] == 1


def test_a_refusal_comes_with_its_fields(url: str):
    with Client(url, "flights") as client, pytest.raises(EndpointError) as caught:
        client.predict([{"distance": "far", "hour": 5}])
    assert caught.value.status == 422
    assert str(caught.value).startswith(f"{url} answered 422: One field is not what the model takes.")
    assert caught.value.fields == [{"row": 0, "field": "distance", "found": "string", "expected": "number (float64)"}]


def test_another_model_is_named(url: str):
    with Client(url, "fligths") as client, pytest.raises(EndpointError, match=r"404: There is no model 'fligths' here. Served: flights"):
        client.predict([GOOD])


def test_no_endpoint_is_one_clear_line():
    with pytest.raises(EndpointError, match=r"Is `raypipe serve` running\?"):
        Client(f"http://127.0.0.1:{free_port()}", "flights").predict([GOOD])


def test_an_endpoint_that_says_nothing_is_given_up():
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(EndpointError, match="timed out"):
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}", "flights", timeout_s=0.2).predict([GOOD])


@pytest.mark.parametrize("address", ["127.0.0.1:8000", "ftp://x", "http://"])
def test_another_address_is_refused(address: str):
    with pytest.raises(ConfigError, match="expected http://HOST:PORT"):
        Client(address, "flights")


def test_what_json_cannot_say_is_refused_before_it_is_sent(url: str):
    with Client(url, "flights") as client, pytest.raises(TypeError, match="a record holds a object"):
        client.predict([{**GOOD, "hour": object()}])


def test_an_answer_that_comes_before_the_body_was_read_is_read():
    """A server that refuses a body closes at once: sending breaks off, and what it said is in the buffer."""
    import socket
    import threading

    answer = b"HTTP/1.1 413 Too Large\r\ncontent-length: 2\r\nconnection: close\r\n\r\nno"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def refuse() -> None:
            for _ in range(20):
                taken, _ = listener.accept()
                taken.recv(1000)
                taken.sendall(answer)
                taken.close()

        server = threading.Thread(target=refuse)
        server.start()
        for _ in range(20):
            with Client(f"http://127.0.0.1:{listener.getsockname()[1]}", "m") as client:
                assert client.send("POST", "/x", b" " * 5_000_000).status == 413
        server.join()
