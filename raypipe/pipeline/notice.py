"""Telling somebody of a failure: a command on its standard input, or a URL by POST. What goes wrong with that is said, no more."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from raypipe.core.errors import RaypipeError
from raypipe.core.secret import masked
from raypipe.data.source.url import url_problems

LONGEST_S = 10.0
"""A command or a server may take so long; a run does not wait longer for either."""

EXPECTED = "expected {command: [program, argument, ...]} or {url: https://...}"


def notice_problems(value: Any) -> list[str]:
    """What is wrong with a `notify`."""
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in ("command", "url"):
        return [f"found {dict(value) if isinstance(value, Mapping) else value!r}, {EXPECTED}."]
    command, url = value.get("command"), value.get("url")
    if "command" in value:
        good = isinstance(command, Sequence) and not isinstance(command, str) and command and all(isinstance(c, str) for c in command)
        return [] if good else [f"command is {command!r}; expected a list: the program and its arguments."]
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return [f"url is {url!r}; expected http:// or https://."]
    return [f"{text}." for text in url_problems(url)]


class Notices:
    """Those of one run, each in a thread of its own. `report` is told, by step, of one that failed."""

    def __init__(self, pipeline: str, run: str, report: Callable[[str, str], None]):
        self._pipeline, self._run, self._report = pipeline, run, report
        self._threads: list[threading.Thread] = []

    def send(self, notify: Mapping[str, Any] | None, step: str, error: RaypipeError) -> None:
        if not notify:
            return
        body = {"pipeline": self._pipeline, "run": self._run, "step": step, "error": masked(str(error)), "kind": type(error).__name__}
        thread = threading.Thread(target=self._sent, args=(dict(notify), step, json.dumps(body).encode()), daemon=True)
        self._threads.append(thread)
        thread.start()

    def wait(self) -> None:
        """Until all are sent, or have had their time."""
        until = time.monotonic() + LONGEST_S + 1
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _sent(self, notify: Mapping[str, Any], step: str, body: bytes) -> None:
        try:
            said = _command(notify["command"], body) if "command" in notify else _post(notify["url"], body)
        except Exception as error:
            said = str(error) or type(error).__name__
        if said:
            self._report(step, f"notify failed: {said}")


def _command(command: Sequence[str], body: bytes) -> str:
    import subprocess

    done = subprocess.run(list(command), input=body, capture_output=True, timeout=LONGEST_S)
    if done.returncode == 0:
        return ""
    last = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()[-1:]
    return f"{command[0]} ended with {done.returncode}{': ' + last[0] if last else ''}"


def _post(url: str, body: bytes) -> str:
    """To the address that was looked at: by the rules by which sources are read, no redirect is followed and no private address asked."""
    from raypipe.data.source.http import Web, once

    status, _, _ = once(Web.of(url), url, "POST", {"Content-Type": "application/json"}, body)
    return "" if 200 <= status < 300 else f"{url} answered {status}"
