"""A version takes the place of another only once it has loaded."""

import dataclasses
import time
from pathlib import Path

import pytest

from raypipe.serve.desired import Desired
from raypipe.serve.live import Live
from tests.serve.conftest import write_version


def settle(live: Live) -> dict:
    deadline = time.monotonic() + 10
    while live.asked.state == "loading" and time.monotonic() < deadline:
        time.sleep(0.005)
    return live.state()


@pytest.fixture
def broken(tmp_path: Path) -> Desired:
    wanted = write_version(tmp_path / "store", 2)
    file = tmp_path / "store" / "models" / "2" / "model.txt"
    file.write_bytes(file.read_bytes().replace(b"leaf", b"leav", 1))
    return wanted


def test_the_first_version_loads_before_ask_returns(desired: Desired):
    live = Live()
    assert not live.state()["ready"]
    live.ask(desired)
    assert live.state() == {"ready": True, "state": "serving", "asked": 1, "mark": desired.mark, "serving": 1}


def test_a_later_version_takes_over(desired: Desired, tmp_path: Path):
    live = Live()
    live.ask(desired)
    live.ask(write_version(tmp_path / "store", 2))
    assert live.served is not None
    assert settle(live)["serving"] == 2


def test_changed_bytes_leave_the_old_version_serving_and_the_reason_told(desired: Desired, broken: Desired):
    live = Live()
    live.ask(desired)
    live.ask(broken)
    state = settle(live)
    assert (state["ready"], state["state"], state["asked"], state["serving"]) == (True, "failed", 2, 1)
    assert "model.txt: the bytes in the store are not what was recorded" in state["problem"]
    live.ask(desired)
    assert settle(live) == {"ready": True, "state": "serving", "asked": 1, "mark": desired.mark, "serving": 1}


def test_a_first_version_that_does_not_load_is_not_ready(broken: Desired):
    live = Live()
    live.ask(broken)
    assert (live.state()["ready"], live.state()["state"]) == (False, "failed")


def test_a_missing_store_is_a_reason_not_an_exception(desired: Desired):
    live = Live()
    live.ask(dataclasses.replace(desired, root="/nowhere/at/all"))
    assert "/nowhere/at/all" in live.state()["problem"] or "models/1" in live.state()["problem"]


def test_the_newest_asked_for_wins(desired: Desired, tmp_path: Path):
    live = Live()
    live.ask(desired)
    for version in (2, 3, 4):
        live.ask(write_version(tmp_path / "store", version))
    deadline = time.monotonic() + 10
    while live.state()["serving"] != 4 and time.monotonic() < deadline:
        time.sleep(0.005)
    assert live.state()["serving"] == live.state()["asked"] == 4
