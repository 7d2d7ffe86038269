"""Messages of Kafka as rows: consumed in bounded memory, decoded many at a time."""

from __future__ import annotations

import base64
import contextlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from raypipe.core.errors import DataError
from raypipe.data.source.json_message import Decoder
from raypipe.data.source.kafka_offsets import Complaints, told
from raypipe.data.source.kafka_settings import properties
from raypipe.data.source.piece import Bad, Batch
from raypipe.data.types import is_text

if TYPE_CHECKING:
    from raypipe.data.source.kafka import Kafka, KafkaPiece

CONSUMED = 10_000
"""Messages of a batch, at most."""
WAIT_S = 0.2

TYPES: dict[str, pa.DataType] = {
    "key": pa.binary(),
    "headers": pa.string(),
    "timestamp": pa.timestamp("ms", "UTC"),
    "partition": pa.int32(),
    "offset": pa.int64(),
}


@dataclass
class Messages:
    """Some messages of a piece, by partition and offset, and the partitions that end with them."""

    topic: str
    messages: list[Any]
    ended: dict[int, int] = field(default_factory=dict)
    """Partition -> the offset after the last one, of those that were read to their end."""


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


def consume(source: Kafka, piece: KafkaPiece) -> Iterator[Messages]:
    """The messages of the piece's offsets, a batch at a time. DataError where one cannot be had: trimmed meanwhile, brokers silent."""
    from confluent_kafka import Consumer, KafkaException, TopicPartition

    said = Complaints()
    try:
        with contextlib.closing(Consumer({**properties(source), "error_cb": said})) as consumer:
            consumer.assign([TopicPartition(source.topic, span.partition, span.first) for span in piece.spans])
            yield from _until_the_ends(source, piece, consumer, said)
    except KafkaException as error:
        raise DataError(f"{piece.name}: {told(error, source, said)}") from None


def _until_the_ends(source: Kafka, piece: KafkaPiece, consumer: Any, said: Complaints) -> Iterator[Messages]:
    from confluent_kafka import TopicPartition

    ends = {span.partition: span.end for span in piece.spans}
    next_offset = {span.partition: span.first for span in piece.spans}
    heard = time.monotonic()
    while ends:
        messages, ended = [], {}
        wanted = sum(end - next_offset[partition] for partition, end in ends.items())
        for message in consumer.consume(max(1, min(CONSUMED, wanted)), WAIT_S):
            if message.error() is not None:
                # The end of the partition says nothing where the end of the piece came before it.
                ended = _event(source, message, next_offset) | ended
                continue
            partition, offset, heard = message.partition(), message.offset(), time.monotonic()
            if offset < ends.get(partition, 0):
                messages.append(message)
                next_offset[partition] = offset + 1
            if partition in ends and offset >= ends[partition] - 1:
                ended[partition] = ends[partition]
        ended = {partition: end for partition, end in ended.items() if partition in ends}
        for partition in ended:
            del ends[partition]
        if ended and ends:
            consumer.incremental_unassign([TopicPartition(source.topic, partition) for partition in ended])
        if messages or ended:
            # Partitions come as they arrive: only within one is there an order.
            messages.sort(key=lambda message: (message.partition(), message.offset()))
            yield Messages(source.topic, messages, ended)
        elif time.monotonic() - heard > source.timeout_s:
            waiting = ", ".join(f"{source.topic}/{p} offset {next_offset[p]}" for p in sorted(ends))
            raise DataError(f"{waiting}: no message for {source.timeout_s:g} s{f' ({said.last})' if said.last else ''}. Run again.")


def _event(source: Kafka, message: Any, next_offset: Mapping[int, int]) -> dict[int, int]:
    """The end of a partition, where offsets at its end hold no message: markers of transactions, what compaction took."""
    from confluent_kafka import KafkaError

    partition, error = message.partition(), message.error()
    if error.code() == KafkaError._PARTITION_EOF:
        return {partition: max(message.offset(), next_offset.get(partition, 0))}
    at = f"{source.topic}/{partition} offset {next_offset.get(partition, '?')}"
    if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
        raise DataError(f"{at}: is not in the topic any more: it was dropped while the topic was read. Run again.")
    if error.retriable() or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT):
        return {}
    raise DataError(f"{at}: {error.str()}")


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
