"""From raw files to an answered request: prepares the landing zone, runs the pipeline, serves the model, asks it, and stops."""

from __future__ import annotations

import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
MARK = f"RAYPIPE_DEMO={uuid.uuid4().hex}"
"""In the environment of every process that the demo starts, so that one left behind can be told."""
START_S, STOP_S = 120, 60

FLIGHT = {
    "scheduled_at": "2013-12-23T22:30:00Z",
    "carrier": "B6",
    "origin": "JFK",
    "dest": "BOS",
    "distance": 187,
    "temp": 55.0,
    "dewp": 53.1,
    "humid": 93.2,
    "wind_speed": 9.2,
    "precip": 0.06,
    "pressure": 1011.4,
    "visib": 2.5,
}


def main() -> int:
    began = time.monotonic()
    call([sys.executable, "prepare.py"], "python prepare.py")
    call(raypipe("run", "-cd", "conf", "-cn", "flights"), "raypipe run -cd conf -cn flights")
    port = free_port()
    print(f"\n$ raypipe serve flights --port {port} &", flush=True)
    server = Server(raypipe("serve", "flights", "--port", str(port)))
    try:
        server.wait_until_ready()
        ask(f"http://127.0.0.1:{port}")
    finally:
        server.stop()
    if left := left_behind():
        print(f"left behind: {left}", file=sys.stderr)
        return 1
    print(f"\nfrom raw files to an answered request in {time.monotonic() - began:.0f} s; no process is left.")
    return 0


def raypipe(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "raypipe", *arguments]


def environment() -> dict[str, str]:
    name, _, value = MARK.partition("=")
    return {**os.environ, name: value}


def call(command: list[str], shown: str) -> None:
    print(f"\n$ {shown}", flush=True)
    code = subprocess.run(command, cwd=HERE, env=environment()).returncode
    if code:
        raise SystemExit(code)


class Server:
    """`raypipe serve` in the background, its lines shown as they come."""

    def __init__(self, command: list[str]):
        self._process = subprocess.Popen(command, cwd=HERE, env=environment(), stdout=subprocess.PIPE, text=True)
        self._serves = threading.Event()
        self._shows = threading.Thread(target=self._show, daemon=True)
        self._shows.start()

    def wait_until_ready(self) -> None:
        """Until it says that it serves."""
        deadline = time.monotonic() + START_S
        while not self._serves.wait(0.2):
            if self._process.poll() is not None:
                raise SystemExit(f"raypipe serve ended with {self._process.returncode}")
            if time.monotonic() > deadline:
                raise SystemExit(f"raypipe serve has served nothing for {START_S} s")

    def stop(self) -> None:
        print("\n$ kill %1", flush=True)
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise SystemExit(f"raypipe serve did not stop within {STOP_S} s") from None
        self._shows.join(STOP_S)

    def _show(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            print(line, end="", flush=True)
            if line.startswith("serving "):
                self._serves.set()


def ask(url: str) -> None:
    """Sends one flight, and prints what is answered."""
    path = "/v1/models/flights:predict"
    body = json.dumps({"instances": [FLIGHT]})
    print(f"\n$ curl {url}{path} -H 'content-type: application/json' -d {shlex.quote(body)}", flush=True)
    request = urllib.request.Request(f"{url}{path}", body.encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        print(json.dumps(json.load(response), indent=2), flush=True)


def left_behind() -> list[str]:
    """Processes of the demo's that live on ten seconds after it stopped what it started. Asked of /proc, so on Linux only."""
    deadline = time.monotonic() + 10
    while (left := marked()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return left


def marked() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if MARK.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(f"{folder.name} {(folder / 'comm').read_text().strip()}")
        except OSError:
            continue
    return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    raise SystemExit(main())
