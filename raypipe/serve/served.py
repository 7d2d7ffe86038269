"""A model version that is loaded and answers: a request's body in, the answer's bytes out, and no HTTP in between."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from raypipe.bundle.bundle import Bundle, load
from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.serve.client import records
from raypipe.serve.records import Form
from raypipe.serve.refusal import Refused

if TYPE_CHECKING:
    from raypipe.serve.desired import Desired


class Prediction(msgspec.Struct, gc=False):
    """The answer to one record."""

    class_: str = msgspec.field(name="class")
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer to one request: JSON, and how many records it answers."""

    body: bytes
    num_rows: int


@dataclass(frozen=True)
class Served:
    """One version of one model. It answers from several threads at once."""

    desired: Desired
    bundle: Bundle
    form: Form

    def answer(self, body: bytes) -> Answer:
        """Raises Refused for a request that cannot be answered; anything else that it raises is the model's fault."""
        rows = self.form.read(body, self.desired.limits.num_rows)
        try:
            predicted = self.bundle.predict(rows)
        except DataError as error:
            raise Refused(422, f"The model cannot answer: {error}") from error
        classes, probabilities = predicted["prediction"].to_pylist(), predicted["probability"].to_pylist()
        predictions = list(map(Prediction, classes, probabilities))
        return Answer(msgspec.json.encode({"predictions": predictions, "model": self.model}), len(predictions))

    @property
    def model(self) -> dict[str, Json]:
        """What every answer says of the model that gave it."""
        return {
            "name": self.desired.name,
            "version": self.desired.version,
            "run": self.desired.model.run,
            "snapshot": self.bundle.lineage.get("snapshot"),
            "threshold": self.bundle.threshold,
            "classes": list(self.bundle.signature.classes),
        }

    @property
    def about(self) -> dict[str, Json]:
        """What `GET /v1/models/NAME` answers."""
        bundle = self.bundle
        more = {"format": bundle.format, "digest": bundle.digest, "lineage": bundle.lineage, "environment": bundle.environment}
        return {**self.model, "signature": bundle.signature.to_json(), **more}

    def example(self) -> dict[str, Any] | None:
        """A record that this model answers, from the rows that the bundle keeps; None where it keeps none."""
        rows, _ = self.bundle.examples()
        return records(rows.slice(0, 1).select([c.name for c in self.form.columns]))[0] if rows.num_rows else None


def load_served(desired: Desired) -> Served:
    """Reads the bundle from the store, verifies its digests, and lets it answer its own sample rows: what fails, fails here."""
    from raypipe.core.store import Store

    bundle = load(Store(desired.root), desired.model)
    bundle.verify()
    return Served(desired, bundle, Form.of(bundle.signature))
