"""A stage serves a candidate on loopback and is gone afterwards."""

import dataclasses
import socket
import threading
from urllib.parse import urlsplit

import pytest

from raypipe.serve.client import Client
from raypipe.serve.deploy import NotServing
from raypipe.serve.desired import Desired
from raypipe.serve.stage import stage


def test_it_serves_on_loopback_and_leaves_neither_port_nor_thread(desired: Desired):
    with stage(desired, inline=True, within_s=10) as url, Client(url, "flights") as client:
        parts = urlsplit(url)
        assert parts.hostname == "127.0.0.1"
        assert client.ready()["serving"] == 1
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", parts.port or 0)) != 0
    assert "stage" not in [thread.name for thread in threading.enumerate()]


def test_a_version_that_does_not_load_is_told_at_once(desired: Desired):
    missing = dataclasses.replace(desired, root="/nowhere")
    with pytest.raises(NotServing, match="flights version 1 could not be loaded"), stage(missing, inline=True, within_s=10):
        pass
