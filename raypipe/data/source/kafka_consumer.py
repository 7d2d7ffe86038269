"""The messages of a piece, consumed in bounded memory: up to where each partition ended, or as many as a batch may have."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import DataError
from raypipe.data.source.kafka_offsets import Complaints, told
from raypipe.data.source.kafka_settings import properties

if TYPE_CHECKING:
    from raypipe.data.source.kafka import Kafka, KafkaPiece

CONSUMED = 10_000
"""Messages in memory as Python's objects, at most."""
WAIT_S = 0.2


@dataclass
class Messages:
    """Some messages of a piece, by partition and offset, and the partitions that end with them."""

    topic: str
    messages: list[Any]
    ended: dict[int, int] = field(default_factory=dict)
    """Partition -> the offset after the last one, of those that were read to their end."""


def consume(source: Kafka, piece: KafkaPiece) -> Iterator[Messages]:
    """The messages of the piece, some at a time. DataError where one cannot be had: trimmed meanwhile, brokers silent.

    A follower's consumer is kept for its next batch, with what it has fetched ahead: to make one anew for each batch fetched twice as much.
    """
    from confluent_kafka import KafkaException

    reading = _kept(source, piece) or Reading(source, piece)
    try:
        yield from reading.some(piece.most) if piece.most else reading.all()
    except KafkaException as error:
        reading.close()
        raise DataError(f"{piece.name}: {told(error, source, reading.said)}") from None
    except BaseException:
        reading.close()
        raise
    if piece.most:
        _idle[_key(source)] = reading
    else:
        reading.close()


_idle: dict[tuple[str, ...], Reading] = {}
"""Consumers of this process that wait for the next batch of their topic."""


def _key(source: Kafka) -> tuple[str, ...]:
    return source.topic, source.servers, source.env


def _kept(source: Kafka, piece: KafkaPiece) -> Reading | None:
    """One that stands just where the piece begins."""
    reading = _idle.pop(_key(source), None)
    if reading is None:
        return None
    if piece.most and reading.at == {span.partition: span.first for span in piece.spans}:
        reading.ends = {span.partition: span.end for span in piece.spans}
        return reading
    reading.close()
    return None


class Reading:
    """A consumer on its way through some partitions."""

    def __init__(self, source: Kafka, piece: KafkaPiece, consumer: Any = None):
        from confluent_kafka import Consumer, TopicPartition

        self.said = Complaints()
        self.at = {span.partition: span.first for span in piece.spans}
        """The next offset of each partition."""
        self.ends = {span.partition: span.end for span in piece.spans}
        """Where those end that are not read to their end."""
        self._source = source
        self._consumer: Any = consumer or Consumer({**properties(source), "error_cb": self.said})
        self._consumer.assign([TopicPartition(source.topic, span.partition, span.first) for span in piece.spans])
        self._heard = time.monotonic()

    def close(self) -> None:
        with contextlib.suppress(RuntimeError):
            self._consumer.close()

    def all(self) -> Iterator[Messages]:
        """Up to where each partition ended, and nothing beyond."""
        from confluent_kafka import TopicPartition

        self._heard = time.monotonic()
        while self.ends:
            found = self._consumed(sum(end - self.at[partition] for partition, end in self.ends.items()))
            ended = {p: end for p, end in self.ends.items() if self.at[p] >= end}
            ended |= {p: at for p, at in self._stopped.items() if p in self.ends and p not in ended}
            messages = [message for message in found if message.offset() < self.ends.get(message.partition(), 0)]
            for partition in ended:
                del self.ends[partition]
            if ended and self.ends:
                self._consumer.incremental_unassign([TopicPartition(self._source.topic, partition) for partition in ended])
            if messages or ended:
                yield Messages(self._source.topic, messages, ended)

    def some(self, most: int) -> Iterator[Messages]:
        """As many messages, of whichever partitions they come; fewer where each partition comes to its end before."""
        self._heard = time.monotonic()
        num = 0
        while num < most and any(self.at[partition] < end for partition, end in self.ends.items()):
            messages = self._consumed(most - num)
            num += len(messages)
            self.ends |= {p: min(self.ends[p], at) for p, at in self._stopped.items() if p in self.ends}
            if messages:
                yield Messages(self._source.topic, messages)
        yield Messages(self._source.topic, [], dict(self.at))

    def _consumed(self, most: int) -> list[Any]:
        """Messages in the order of each partition, which `at` has moved on from; offsets at a partition's end that hold no message (markers
        of transactions, what compaction took) it has passed too."""
        messages: list[Any] = []
        self._stopped: dict[int, int] = {}
        for message in self._consumer.consume(max(1, min(CONSUMED, most)), WAIT_S):
            if message.error() is not None:
                self._event(message)
            elif message.partition() in self.at:
                messages.append(message)
                self.at[message.partition()] = message.offset() + 1
        if messages or self._stopped:
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard > self._source.timeout_s:
            topic, more = self._source.topic, f" ({self.said.last})" if self.said.last else ""
            waiting = ", ".join(f"{topic}/{p} offset {self.at[p]}" for p, end in sorted(self.ends.items()) if self.at[p] < end)
            raise DataError(f"{waiting}: no message for {self._source.timeout_s:g} s{more}. Run again.")
        messages.sort(key=lambda message: (message.partition(), message.offset()))
        return messages

    def _event(self, message: Any) -> None:
        from confluent_kafka import KafkaError

        partition, error = message.partition(), message.error()
        if error.code() == KafkaError._PARTITION_EOF:
            self.at[partition] = self._stopped[partition] = max(message.offset(), self.at.get(partition, 0))
            return
        at = f"{self._source.topic}/{partition} offset {self.at.get(partition, '?')}"
        if error.code() in (KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE):
            raise DataError(f"{at}: is not in the topic any more: it was dropped while the topic was read. Run again.")
        if not (error.retriable() or error.code() in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT)):
            raise DataError(f"{at}: {error.str()}")
