"""What a model takes and answers: its input columns with their types, its features, its label and the names of the two classes."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from raypipe.core.artifact import Json


@dataclass(frozen=True)
class Field:
    """One input column, as a request must give it."""

    name: str
    type: str
    """Arrow's name of the type (`int64`, `string`, `timestamp[us]`)."""
    nullable: bool = True
    """Whether a row may leave it out or give null."""
    allowed: tuple[Json, ...] | None = None
    """The only values that it may have, where the contract lists them."""
    min: Json = None
    max: Json = None


@dataclass(frozen=True)
class Signature:
    """Inputs are what the fitted transform reads; features are what it makes of them, in the order in which the model takes them."""

    inputs: tuple[Field, ...]
    features: tuple[str, ...]
    label: str
    classes: tuple[str, str]
    """The names of the negative and the positive class; a probability is always that of the positive one."""
    positive: str = "true"
    """The label's value of the positive class, as Arrow casts it to a string; `true` is that of a bool label."""

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, json: Json) -> Signature:
        inputs = tuple(Field(**{**f, "allowed": f["allowed"] and tuple(f["allowed"])}) for f in json["inputs"])
        negative, positive = json["classes"]
        return cls(inputs, tuple(json["features"]), json["label"], (negative, positive), json["positive"])
