"""What an endpoint should serve: a model version, where its bundle lies, on how many replicas and within which limits."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field

from raypipe.core.artifact import File, Json, Model
from raypipe.core.errors import ConfigError, Problem


@dataclass(frozen=True)
class Limits:
    """What one request may cost before it is refused."""

    body_bytes: int = 1 << 20
    """Largest body; more is answered with 413."""
    body_wait_s: float = 5.0
    """Time in which the whole body must have arrived; later is answered with 408."""
    num_rows: int = 10_000
    """Most records in one request; more is answered with 413."""


@dataclass(frozen=True)
class Desired:
    """The desired state of one endpoint. As JSON it is what a replica is configured with."""

    name: str
    """The model's name, as in `/v1/models/NAME`."""
    version: int
    root: str
    """The store's root, as the replicas reach it."""
    model: Model
    """The bundle's artifact: its folder, and its files with the digests that are verified when it is loaded."""
    num_replicas: int = 1
    """Processes that answer, each with the whole model in memory."""
    num_cpus: float = 1.0
    """CPUs that each replica reserves in Ray."""
    limits: Limits = field(default_factory=Limits)

    @property
    def mark(self) -> str:
        """Changes where the replicas must load or set something anew; the number of replicas is not part of it."""
        document = {key: value for key, value in self.to_json().items() if key not in ("num_replicas", "num_cpus")}
        return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]

    def to_json(self) -> Json:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: Json) -> Desired:
        model = Model(**{**document["model"], "files": tuple(File(**file) for file in document["model"]["files"])})
        return cls(**{**document, "model": model, "limits": Limits(**document["limits"])})


def check(desired: Desired) -> None:
    """Raises ConfigError that lists every setting out of its range."""
    found = {
        "num_replicas": (desired.num_replicas, 1, "at least 1"),
        "num_cpus": (desired.num_cpus, 0, "at least 0"),
        "limits.body_bytes": (desired.limits.body_bytes, 2, "at least 2"),
        "limits.body_wait_s": (desired.limits.body_wait_s, 0.01, "at least 0.01"),
        "limits.num_rows": (desired.limits.num_rows, 1, "at least 1"),
    }
    problems = [Problem(where, f"found {value}, expected {bound}") for where, (value, least, bound) in found.items() if value < least]
    if problems:
        raise ConfigError(problems)
