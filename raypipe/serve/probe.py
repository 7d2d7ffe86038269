"""Infra validation: a candidate is served for real, asked what the test part answers, timed, and fed bad requests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from raypipe.bundle.bundle import TOLERANCE, farthest
from raypipe.bundle.signature import Signature
from raypipe.core.artifact import Json
from raypipe.serve.bad import BadRequest, bad_requests
from raypipe.serve.client import Client, EndpointError, Predictions, records
from raypipe.serve.deploy import NotServing
from raypipe.serve.desired import Desired
from raypipe.serve.records import Form
from raypipe.serve.stage import stage

BATCH_ROWS = 500
"""Rows of a request when the rows are replayed together."""

NUM_ASKED = 4
"""Times that a bad request is sent until an answer to it arrives."""

NUM_WARM = 5
"""Requests before the clock runs."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: what was found, what is allowed, and why it fell short."""

    name: str
    figure: float | None
    bound: float | None
    """None where the figure is only told."""
    passed: bool
    reason: str = ""


@dataclass(frozen=True)
class Findings:
    """What came of it. `passed` only where every check did."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks)

    @property
    def reasons(self) -> list[str]:
        return [f"{check.name}: {check.reason}" for check in self.checks if not check.passed]

    def to_json(self) -> Json:
        return {"passed": self.passed, "reasons": self.reasons, "checks": [asdict(check) for check in self.checks]}


def probe(
    desired: Desired,
    rows: pa.Table,
    expected: pa.Table,
    *,
    latency_budget_ms: float,
    num_timed: int = 200,
    num_bad: int | None = None,
    inline: bool = False,
    ready_s: float = 120.0,
) -> Findings:
    """Serves the version on a loopback port, in a Serve application of its own (`inline`: in this process, without Ray), and examines it.

    `rows` are as they are before the transform; `expected` holds `prediction` and `probability` of each, as the bundle answered them
    in batch. `num_timed` of them are also sent one by one, and their 95th percentile is held against the budget. `num_bad` bad
    requests are sent, all where it is None. What does not serve at all is a finding, not an error.
    """
    started = time.monotonic()
    try:
        with stage(desired, inline=inline, within_s=ready_s) as url, Client(url, desired.name) as client:
            serves = Check("serves after, s", time.monotonic() - started, ready_s, True)
            return Findings((serves, *examine(client, rows, expected, latency_budget_ms, num_timed, num_bad, desired)))
    except NotServing as error:
        return Findings((Check("serves after, s", None, ready_s, False, str(error)),))


def examine(
    client: Client, rows: pa.Table, expected: pa.Table, latency_budget_ms: float, num_timed: int, num_bad: int | None, desired: Desired
) -> list[Check]:
    """The checks of a version that serves."""
    about = client.describe()
    form = Form.of(Signature.from_json(about["signature"]))
    given = records(rows.select([c.name for c in form.columns]))
    if not given:
        return [Check("rows replayed", 0, 1, False, "there are no rows to replay")]
    try:
        together = _replay(client, given, BATCH_ROWS)
        _replay(client, given[:NUM_WARM], 1)
        alone, seconds = _timed(client, given[:num_timed])
    except EndpointError as error:
        return [Check("rows replayed", None, len(given), False, str(error))]
    checks = [Check("rows replayed", len(given), None, True)]
    checks += _equal("in batches", together, expected, about["threshold"])
    checks += _equal("one by one", alone, expected.slice(0, len(alone)), about["threshold"])
    return [*checks, *_latency(seconds, latency_budget_ms), *_behaviour(client, form, given[0], desired, num_bad)]


def _replay(client: Client, given: Sequence[dict[str, Any]], num_rows: int) -> list[dict[str, Any]]:
    answers: list[Predictions] = [client.predict(given[i : i + num_rows]) for i in range(0, len(given), num_rows)]
    return [prediction for answer in answers for prediction in answer.predictions]


def _timed(client: Client, given: Sequence[dict[str, Any]]) -> tuple[list[dict[str, Any]], np.ndarray]:
    answers, seconds = [], []
    for record in given:
        started = time.perf_counter()
        answers += client.predict([record]).predictions
        seconds.append(time.perf_counter() - started)
    return answers, np.array(seconds)


def _equal(how: str, answers: Sequence[dict[str, Any]], expected: pa.Table, threshold: float) -> list[Check]:
    """The probabilities, and the decisions of the rows whose probability is not within the tolerance of the threshold."""
    found_B = np.array([a["probability"] for a in answers])
    expected_B = expected["probability"].to_numpy()
    apart = farthest(found_B, expected_B)
    away_B = np.abs(expected_B - threshold) > TOLERANCE * max(threshold, TOLERANCE)
    classes = expected["prediction"].to_pylist()
    other_B = np.array([a["class"] != c for a, c in zip(answers, classes, strict=True)]) & away_B
    worst = int(np.argmax(np.abs(found_B - expected_B)))
    why = f"row {worst}: the endpoint answers {found_B[worst]:.7g}, the bundle in batch {expected_B[worst]:.7g}"
    first = f"row {int(np.argmax(other_B))}: '{answers[int(np.argmax(other_B))]['class']}', expected '{classes[int(np.argmax(other_B))]}'"
    return [
        Check(f"probabilities {how}, relative difference", apart, TOLERANCE, apart <= TOLERANCE, "" if apart <= TOLERANCE else why),
        Check(f"decisions {how}, differing", int(other_B.sum()), 0, not other_B.any(), first if other_B.any() else ""),
    ]


def _latency(seconds: np.ndarray, budget_ms: float) -> list[Check]:
    p50, p95, p99 = (float(ms) for ms in np.percentile(seconds * 1000, [50, 95, 99]))
    slow = f"{p95:.1f} ms for a request of one row, of {len(seconds)}; the budget is {budget_ms:g} ms"
    return [
        Check("latency p50, ms", p50, None, True),
        Check("latency p95, ms", p95, budget_ms, p95 <= budget_ms, slow if p95 > budget_ms else ""),
        Check("latency p99, ms", p99, None, True),
    ]


def _status(client: Client, path: str, bad: BadRequest) -> int | str:
    """How a bad request is answered. An endpoint that refuses a body before all of it has come closes the connection, and the answer
    may be lost with it: then it is asked again, and one that never answers is told."""
    told = ""
    for _ in range(NUM_ASKED):
        try:
            return client.send("POST", path, bad.body, bad.headers).status
        except EndpointError as error:
            told = str(error)
    return told


def _behaviour(client: Client, form: Form, good: dict[str, Any], desired: Desired, num_bad: int | None) -> list[Check]:
    """Bad requests are refused, and a good one is still answered afterwards."""
    path = f"/v1/models/{desired.name}:predict"
    wrong = []
    sent = bad_requests(form, good, desired.limits)[:num_bad]
    for bad in sent:
        status = _status(client, path, bad)
        if not (isinstance(status, int) and 400 <= status < 500):
            wrong.append(f"{bad.name} ({status})")
    try:
        client.predict([good])
    except EndpointError as error:
        wrong.append(f"a good request after them ({error})")
    told = f"not answered with a status from 400 to 499: {', '.join(wrong[:10])}" if wrong else ""
    return [Check("bad requests sent", len(sent), None, True), Check("bad requests not refused", len(wrong), 0, not wrong, told)]
