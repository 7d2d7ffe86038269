"""Messages of Kafka as rows, decoded many at a time."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.source.json_message import Decoder
from raypipe.data.source.kafka_consumer import Messages
from raypipe.data.source.piece import Bad, Batch
from raypipe.data.types import is_text

if TYPE_CHECKING:
    from raypipe.data.source.kafka import Kafka

TYPES: dict[str, pa.DataType] = {
    "key": pa.binary(),
    "headers": pa.string(),
    "timestamp": pa.timestamp("ms", "UTC"),
    "partition": pa.int32(),
    "offset": pa.int64(),
}


class Reader:
    """Messages -> rows of the columns wanted."""

    def __init__(self, source: Kafka, types: Mapping[str, pa.DataType]):
        self._source = source
        self._envelope = source.envelope()
        self._types = dict(types)
        own = set(self._envelope.values())
        if source.value == "json" and not (set(types) - own):
            raise DataError(f"topic {source.topic}: JSON values need a contract that states their columns, or `value: raw`")
        fields = {name: type for name, type in types.items() if name not in own}
        self._decoder = Decoder(fields, source.as_text, source.unknown == "ignore") if source.value == "json" else None

    def empty(self) -> pa.Table:
        return self.batch(Messages(self._source.topic, [])).rows

    def batch(self, consumed: Messages) -> Batch:
        import numpy as np

        messages = consumed.messages
        if self._decoder and self._source.tombstones == "skip":
            messages = [message for message in messages if message.value() is not None]
        columns, kept, bad = self._values([message.value() for message in messages])
        parts, wrong = self._around(messages, kept)
        if wrong:
            bad = bad | wrong
            still = [n for n, place in enumerate(kept) if place not in wrong]
            columns, parts = (
                {name: column.take(pa.array(still, pa.int64())) for name, column in each.items()} for each in (columns, parts)
            )
            kept = [kept[n] for n in still]
        offsets = np.fromiter((messages[place].offset() for place in kept), np.int64, len(kept))
        told = [self._bad(messages[place], reason) for place, reason in sorted(bad.items())]
        return Batch(pa.table(self._ordered({**columns, **parts})), offsets, told)

    def _values(self, values: list[bytes | None]) -> tuple[dict[str, pa.Array], Sequence[int], dict[int, str]]:
        if self._decoder is None:
            return {"value": pa.array(values, pa.binary())}, range(len(values)), {}
        decoded = self._decoder.decode(values)
        return decoded.columns, decoded.kept, dict(decoded.bad)

    def _around(self, messages: Sequence[Any], kept: Sequence[int]) -> tuple[dict[str, pa.Array], dict[int, str]]:
        """The columns around the values, and the places of keys that are no text where text is wanted."""
        columns: dict[str, pa.Array] = {}
        wrong: dict[int, str] = {}
        for part, name in self._envelope.items():
            values = [_PARTS[part](messages[place]) for place in kept]
            columns[name] = pa.array(values, TYPES[part])
            wanted = self._types.get(name, TYPES[part])
            if part == "key" and is_text(wanted):
                wrong = {place: f"the key is no text - at `{name}`" for place, value in zip(kept, values, strict=True) if not _text(value)}
                columns[name] = pa.array([value if _text(value) else None for value in values], TYPES[part]).cast(wanted)
        return columns, wrong

    def _ordered(self, columns: dict[str, pa.Array]) -> dict[str, pa.Array]:
        return {name: columns[name] for name in dict.fromkeys([*(n for n in self._types if n in columns), *columns])}

    def _bad(self, message: Any, reason: str) -> Bad:
        return Bad(f"{self._source.topic}/{message.partition()} offset {message.offset()}", reason, message.value())


def _text(value: bytes | None) -> bool:
    with contextlib.suppress(UnicodeDecodeError):
        return value is None or value.decode() is not None
    return False


def _headers(message: Any) -> str | None:
    found = message.headers()
    if found is None:
        return None
    return json.dumps([[name, _header(value)] for name, value in found], ensure_ascii=False)


def _header(value: bytes | None) -> Any:
    if value is None or not _text(value):
        return value and [base64.b64encode(value).decode()]
    return value.decode()


def _time(message: Any) -> int | None:
    kind, milliseconds = message.timestamp()
    return milliseconds if kind else None


_PARTS = {
    "key": lambda message: message.key(),
    "headers": _headers,
    "timestamp": _time,
    "partition": lambda message: message.partition(),
    "offset": lambda message: message.offset(),
}
