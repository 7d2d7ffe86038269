"""What an endpoint's process counts: requests by code, seconds, rows, and which model answers, as Prometheus text."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

from raypipe.serve.live import Live

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class Metrics:
    """Counts of this process alone: with several replicas, a scrape meets one of them, told apart by the label `replica`."""

    def __init__(self, live: Live, replica: str):
        self.live, self.replica = live, replica
        self.registry = CollectorRegistry()
        labels = ["replica", "route", "code"]
        self._requests = Counter("raypipe_requests", "Requests answered.", labels, registry=self.registry)
        self._seconds = Histogram("raypipe_request_seconds", "Time to answer.", labels[:2], registry=self.registry, buckets=BUCKETS_S)
        self._rows = Counter("raypipe_rows", "Records predicted.", labels[:1], registry=self.registry).labels(self.replica)
        self.registry.register(self)

    def count(self, route: str, code: int, seconds: float) -> None:
        """`route` is one of the application's routes, never a path that a client chose."""
        self._requests.labels(self.replica, route, str(code)).inc()
        self._seconds.labels(self.replica, route).observe(seconds)

    def count_rows(self, num_rows: int) -> None:
        self._rows.inc(num_rows)

    def text(self) -> bytes:
        return generate_latest(self.registry)

    def collect(self):
        """The model that answers now; called by the registry."""
        served = self.live.served
        ready = GaugeMetricFamily("raypipe_ready", "1 where a model answers.", labels=["replica"])
        ready.add_metric([self.replica], float(served is not None))
        info = GaugeMetricFamily("raypipe_model_info", "The model that answers.", labels=["replica", "name", "version", "run", "snapshot"])
        if served:
            about = served.model
            info.add_metric([self.replica, *(str(about[key]) for key in ("name", "version", "run", "snapshot"))], 1.0)
        return [ready, info]
