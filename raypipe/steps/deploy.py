"""Deploy: what an endpoint should serve, recorded with the champion's alias in one transaction."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar

from raypipe.core.artifact import Endpoint, Json, Report, Version
from raypipe.core.errors import Problem
from raypipe.core.step import NO_IDENTITY, Columns, Look, Made, Ref, Standing, Work


@dataclass(frozen=True)
class Deploy:
    """An effect step: the version is the champion and the endpoint's desired state, which `raypipe serve` follows."""

    revision: ClassVar[int] = 1
    driver_only: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("name", "version", "settings")

    version: Ref[Version] = Ref("register")
    """The step whose version is deployed."""
    cleared: Ref[Report] | None = field(default=Ref("infra_validate"), metadata=NO_IDENTITY)
    """The report of the infra validation that must have passed."""
    num_replicas: int = 1
    """Processes that answer, each with the whole model in memory."""
    num_cpus: float = 1.0
    """CPUs that each replica reserves in Ray."""
    body_bytes: int = 1 << 20
    """Largest body of a request in bytes; more is answered with 413."""
    body_wait_s: float = 5.0
    """Seconds in which the whole body must have arrived; later is answered with 408."""
    num_rows: int = 10_000
    """Most records in one request; more is answered with 413."""

    def settings(self) -> dict[str, Json]:
        """What the endpoint is told beside the version."""
        limits = {"body_bytes": self.body_bytes, "body_wait_s": self.body_wait_s, "num_rows": self.num_rows}
        return {"num_replicas": self.num_replicas, "num_cpus": self.num_cpus, "limits": limits}

    def check(self, where: str, version: Columns | None = None, cleared: Columns | None = None) -> list[Problem]:
        least = {"num_replicas": 1, "num_cpus": 0, "body_bytes": 2, "body_wait_s": 0.01, "num_rows": 1}
        low = {name: bound for name, bound in least.items() if getattr(self, name) < bound}
        return [Problem(f"{where}.{name}", f"found {getattr(self, name)}, expected at least {bound}.") for name, bound in low.items()]

    def standing(self, look: Look, artifact: Endpoint, **inputs: Any) -> Standing:
        from raypipe.registry.endpoints import endpoint
        from raypipe.registry.versions import alias

        name, version = artifact.figures["name"], artifact.figures["version"]
        row, champion = endpoint(look.ledger, name), alias(look.ledger, name, "champion")
        if row is None or champion is None:
            return Standing("lost", "the endpoint is not recorded any more")
        if (row.version, champion.version) != (version, version) or row.settings != artifact.figures["settings"]:
            champion_moved = champion.version != version
            when, by = (champion.moved_at, champion.moved_by) if champion_moved else (row.set_at, row.set_by)
            if champion.by_run if champion_moved else row.by_run:
                return Standing("lost", f"a later run set version {row.version}")
            return Standing(
                "held", f"version {champion.version} was set by {by} at {when}; it stays until the pipeline makes another model"
            )
        holder = look.ledger.holder(f"serve:{name}")
        if holder is not None:
            from raypipe.serve.observe import serving

            if serving(holder[0], name) == version:
                return Standing("in place", f"version {version} answers at {holder[0]}")
        return Standing("recorded", f"version {version}, not serving: raypipe serve")

    def run(self, work: Work, version: Version, cleared: Report | None = None) -> Made[Endpoint]:
        from raypipe.registry.endpoints import set_endpoint
        from raypipe.registry.versions import move_alias

        name, number = version.figures["name"], version.figures["version"]

        def commit(connection: Any, artifact_id: str) -> None:
            move_alias(connection, work.ledger, name, "champion", number, run=work.run)
            set_endpoint(connection, work.ledger, name, number, self.settings(), run=work.run)

        figures = {"name": name, "version": number, "settings": self.settings()}
        work.report(f"version {number} is champion; recorded, not serving: raypipe serve")
        return Made(hashlib.sha256(json.dumps(figures, sort_keys=True).encode()).hexdigest(), figures=figures, commits=[commit])
