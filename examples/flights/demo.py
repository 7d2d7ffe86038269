"""The demo: from raw files to a served model, one real request, its answer, and nothing left behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
FLIGHT = {
    "scheduled_at": "2013-11-27T22:15:00Z",
    "carrier": "B6",
    "origin": "JFK",
    "dest": "BOS",
    "distance": 187,
    "temp": 60.1,
    "dewp": 57.9,
    "humid": 93.0,
    "wind_speed": 24.2,
    "precip": 0.08,
    "pressure": 1002.4,
    "visib": 2.0,
}
"""The evening before Thanksgiving, in heavy rain."""

READY_S = 90


def main() -> int:
    say("raw files")
    call(str(HERE / "prepare.py"))
    say("from raw files to a model that may go live")
    call("-m", "raypipe", "run", "-cd", str(HERE / "conf"), "-cn", "flights")
    port = free_port()
    say("serving it")
    server = subprocess.Popen([sys.executable, "-m", "raypipe", "serve", "flights", "--port", str(port)], cwd=HERE)
    try:
        wait_ready(server, port)
        say("a request")
        print(json.dumps({"instances": [FLIGHT]}, indent=2))
        say("its answer")
        print(json.dumps(predict(port), indent=2))
    finally:
        server.send_signal(signal.SIGTERM)
        code = server.wait(60)
    return 0 if code == 128 + signal.SIGTERM else 1


def say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def call(*arguments: str) -> None:
    code = subprocess.run([sys.executable, *arguments], cwd=HERE).returncode
    if code:
        raise SystemExit(code)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_ready(server: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return
        except (URLError, OSError):
            time.sleep(0.5)
    raise SystemExit(f"the endpoint did not answer within {READY_S} s")


def predict(port: int) -> object:
    body = json.dumps({"instances": [FLIGHT]}).encode()
    request = Request(f"http://127.0.0.1:{port}/v1/models/flights:predict", body, {"content-type": "application/json"})
    with urlopen(request, timeout=30) as answer:
        return json.load(answer)


if __name__ == "__main__":
    raise SystemExit(main())
