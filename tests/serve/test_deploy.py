"""A port that is taken is refused in one line, before Ray starts."""

import socket

import pytest

from raypipe.core.errors import ConfigError
from raypipe.serve.deploy import HOST, check_port, free_port


@pytest.mark.parametrize("host", [HOST, "0.0.0.0"])
def test_a_busy_port_is_refused_in_one_line(host: str):
    with socket.create_server((host, 0)) as busy, pytest.raises(ConfigError) as caught:
        check_port(HOST, port := busy.getsockname()[1])
    assert str(caught.value) == f"127.0.0.1:{port}: Address already in use. Stop what listens there, or pass another port."
    assert caught.value.exit_code == 2


def test_a_free_port_is_taken_at_once_even_just_after_use():
    port = free_port()
    with socket.create_server((HOST, port)) as server, socket.create_connection((HOST, port)) as client:
        server.accept()[0].close()
        client.recv(1)
    check_port(HOST, port)


@pytest.mark.parametrize(("host", "port"), [(HOST, 70_000), ("192.0.2.77", 8000)])
def test_what_cannot_be_listened_on_is_refused(host: str, port: int):
    with pytest.raises(ConfigError):
        check_port(host, port)
