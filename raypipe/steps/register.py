"""Register: gives a bundle its version number and makes it the candidate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any, ClassVar

from raypipe.core.artifact import Json, Model, Verdict, Version
from raypipe.core.step import NO_IDENTITY, Look, Made, Ref, Standing, Work


@dataclass(frozen=True)
class Register:
    """An effect step: the version exists (one for a bundle's digest) and the alias `candidate` names it."""

    revision: ClassVar[int] = 1
    driver_only: ClassVar[bool] = True
    figures: ClassVar[tuple[str, ...]] = ("name", "model", "version")

    name: str | None = None
    """The model's name; null: the pipeline's."""
    model: Ref[Model] = Ref("train")
    """The step whose model is registered."""
    verdict: Ref[Verdict] | None = field(default=Ref("gate"), metadata=NO_IDENTITY)
    """The verdict that must have passed."""
    promote: bool = False
    """Move `champion` too: for a life without an endpoint; Deploy does it otherwise."""

    def aliases(self) -> tuple[str, ...]:
        return ("candidate", "champion") if self.promote else ("candidate",)

    def standing(self, look: Look, artifact: Version, **inputs: Any) -> Standing:
        from raypipe.registry.versions import alias

        version = artifact.figures["version"]
        rows = {name: alias(look.ledger, self.name or look.pipeline, name) for name in self.aliases()}
        moved = {name: row for name, row in rows.items() if row is None or row.version != version}
        if not moved:
            return Standing("in place", f"version {version}")
        name, row = next(iter(moved.items()))
        if row is None:
            return Standing("lost", f"the alias '{name}' is gone")
        if row.by_run:
            return Standing("lost", f"'{name}' is version {row.version}")
        return Standing("held", f"'{name}' was moved to version {row.version} by {row.moved_by} at {row.moved_at}")

    def run(self, work: Work, model: Model, verdict: Verdict | None = None) -> Made[Version]:
        from raypipe.registry.versions import move_alias, register

        name = self.name or work.pipeline

        def commit(connection: Any, artifact_id: str) -> dict[str, Json]:
            version = register(connection, work.ledger, name, model)
            for alias in self.aliases():
                move_alias(connection, work.ledger, name, alias, version, run=work.run)
            return {"version": version}

        digest = hashlib.sha256(f"{name} {model.digest}".encode()).hexdigest()
        return Made(digest, figures={"name": name, "model": model.digest}, commits=[commit])
