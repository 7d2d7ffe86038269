"""A Kafka topic as a source: each partition read from the offset that was committed to where it ends now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args

import pyarrow as pa

from raypipe.core.artifact import Json
from raypipe.core.errors import DataError
from raypipe.core.step import NO_IDENTITY, Look
from raypipe.data.source.kafka_settings import settings_problems
from raypipe.data.source.piece import Batch, Limit, New, Progress

if TYPE_CHECKING:
    from raypipe.data.source.kafka_consumer import Messages

MESSAGE_BYTES = 256
"""A message, where nothing is known of it: for limits by bytes, and to share tasks."""


@dataclass(frozen=True)
class Kafka:
    """A Kafka topic. Offsets are committed with the rows, in the ledger: no consumer group, nothing is written to Kafka."""

    revision: ClassVar[int] = 1
    distributions: ClassVar[tuple[str, ...]] = ("msgspec",)

    topic: str
    """The topic's name."""
    servers: str = field(default="", metadata=NO_IDENTITY)
    """Brokers to ask first: HOST:PORT, several with commas. Empty: the variable BOOTSTRAP_SERVERS behind `env`."""
    value: Literal["json", "raw"] = "json"
    """`json`: an object whose fields are the contract's columns. `raw`: the bytes as they are, in a binary column `value`."""
    unknown: Literal["refuse", "ignore"] = "refuse"
    """Of a field that is no column: the message is bad, or the field is passed over."""
    as_text: list[str] = field(default_factory=list)
    """Columns whose value, an object say, is kept as JSON text."""
    tombstones: Literal["bad", "skip"] = "bad"
    """Of a message without a value: it is bad, or passed over; as `raw` it is a row without a value."""
    key: str | None = None
    """Name of a column (binary; string where the contract says so) for the message's key."""
    headers: str | None = None
    """Name of a column (string) for the headers, as a JSON list of pairs of texts; bytes that are no text stand as base64 in a list."""
    timestamp: str | None = None
    """Name of a column (timestamp[ms, tz=UTC]) for the message's time."""
    partition: str | None = None
    """Name of a column (int32) for the partition."""
    offset: str | None = None
    """Name of a column (int64) for the offset."""
    trimmed: Literal["refuse", "skip"] = field(default="refuse", metadata=NO_IDENTITY)
    """Of messages that the topic has dropped before they were taken: refused with the offsets, or told and passed over."""
    settings: dict[str, str] = field(default_factory=dict, metadata=NO_IDENTITY)
    """Further properties of librdkafka, none about security, e.g. `{fetch.min.bytes: "100000"}`."""
    env: str = field(default="RAYPIPE_KAFKA_", metadata=NO_IDENTITY)
    """Beginning of the environment variables that hold security: RAYPIPE_KAFKA_SASL_PASSWORD is `sasl.password`."""
    readers: int = field(default=4, metadata=NO_IDENTITY)
    """Consumers at once, at most: each reads some of the partitions. A small batch of a follower is read by one."""
    timeout_s: float = field(default=20.0, metadata=NO_IDENTITY)
    """How long brokers may be silent."""

    def problems(self) -> list[str]:
        """What is wrong with the settings."""
        found = [] if self.topic else ["topic is empty, expected a topic's name"]
        choices = {"value": ("json", "raw"), "unknown": ("refuse", "ignore"), "tombstones": ("bad", "skip"), "trimmed": ("refuse", "skip")}
        found += [f"{k} is {getattr(self, k)!r}, expected {' or '.join(v)}" for k, v in choices.items() if getattr(self, k) not in v]
        named = list(self.envelope().values())
        found += [f"column '{name}' is named twice" for name in dict.fromkeys(named) if named.count(name) > 1]
        found += [f"{key} is {getattr(self, key)}, expected more than 0" for key in ("readers", "timeout_s") if getattr(self, key) <= 0]
        return found + settings_problems(self.settings, self.env)

    def envelope(self) -> dict[str, str]:
        """What surrounds a message's value -> the name of its column, of those that are asked for."""
        names = {part: getattr(self, part) for part in get_args(Part)}
        return {part: name for part, name in names.items() if name is not None}

    def new(self, look: Look, progress: Progress, limit: Limit | None = None) -> New:
        from raypipe.data.source.kafka_offsets import bounds

        there = bounds(self)
        _refuse_anew(self, there, progress.former)
        spans, told = _spans(self, there, progress.position or {})
        num_new, most = sum(span.num for span in spans), _most(limit)
        after = {str(span.partition): span.end for span in spans}
        return New(
            pieces=_pieces(self, spans, most) if num_new else (),
            after=after,
            state=after,
            told="; ".join([f"{num_new:,} new offsets in {len(there):,} partitions of {self.topic}", *told]),
            more=bool(most and num_new > most),
            lag={"messages": max(0, num_new - (most or num_new))},
        )

    def batches(self, piece: KafkaPiece, types: Mapping[str, pa.DataType]) -> Iterator[Batch]:
        from raypipe.data.source.kafka_messages import Reader

        reader = Reader(self, types)
        yield Batch(reader.empty())
        for messages in _consumed(self, piece):
            batch = reader.batch(messages)
            if messages.ended:
                batch = replace(batch, mark={str(partition): end for partition, end in messages.ended.items()})
            yield batch

    def settle(self, new: New, marks: Sequence[Json]) -> New:
        """Where the partitions were read to: a limit ends them before what was there, as an open transaction does."""
        after = dict(new.after)
        for mark in marks:
            after |= mark
        left = sum(max(0, end - after[partition]) for partition, end in new.after.items())
        return replace(new, after=after, state=after, lag={"messages": left})


Part = Literal["key", "headers", "timestamp", "partition", "offset"]


@dataclass(frozen=True)
class Span:
    """Offsets of one partition."""

    partition: int
    first: int
    end: int
    """The offset after the last one."""

    @property
    def num(self) -> int:
        return self.end - self.first


@dataclass(frozen=True)
class KafkaPiece:
    """What one consumer reads: offsets of some of the partitions."""

    topic: str
    spans: tuple[Span, ...]
    most: int | None = None
    """Messages, at most, of whichever partitions they come; null: all of the spans."""

    @property
    def name(self) -> str:
        partitions = [str(span.partition) for span in self.spans]
        return f"{self.topic}/{partitions[0]}" + (f" and {len(partitions) - 1} more" if len(partitions) > 1 else "")

    @property
    def size(self) -> int:
        return MESSAGE_BYTES * min(self.most or 2**62, sum(span.num for span in self.spans))


def _consumed(source: Kafka, piece: KafkaPiece) -> Iterator[Messages]:
    from raypipe.data.source.kafka_consumer import consume

    return consume(source, piece)


def _spans(source: Kafka, there: Mapping[int, tuple[int, int]], position: Mapping[str, int]) -> tuple[list[Span], list[str]]:
    """What of each partition is new, and what is to be told of messages that are lost. DataError where the topic does not go on from the
    position."""
    lost: list[str] = []
    broken = [f"{source.topic}/{p}: was taken up to offset {n}, and is no partition of the topic any more" for p, n in position.items()]
    broken = [text for text, p in zip(broken, position, strict=True) if int(p) not in there]
    spans = []
    for partition, (low, high) in sorted(there.items()):
        first = position.get(str(partition), low)
        if high < first:
            broken.append(
                f"{source.topic}/{partition}: was taken up to offset {first}, and ends at {high} now: the topic was made anew or cut back. "
                "Take it into another table (setting `table`)."
            )
        if low > first:
            lost.append(f"{source.topic}/{partition}: offsets {first} to {low - 1} are not in the topic any more, it begins at {low}")
        spans.append(Span(partition, min(max(first, low), high), high))
    if lost and source.trimmed == "refuse":
        broken += [f"{text}: they were dropped before they were taken. `trimmed: skip` goes on without them." for text in lost]
    if broken:
        raise DataError("\n".join(broken))
    return spans, [f"{text}: passed over" for text in lost]


def _refuse_anew(source: Kafka, there: Mapping[int, tuple[int, int]], former: Json) -> None:
    """A table that is made anew would lose what the topic has dropped since it was taken."""
    lost = [f"{source.topic}/{partition} begins at offset {low}" for partition, (low, _) in sorted(there.items()) if low]
    if former and lost and source.trimmed == "refuse":
        raise DataError(
            f"{', '.join(lost)}: with other settings or another contract than before the table would be made anew from there, without what "
            "it holds of earlier offsets. Take it into another table (setting `table` of the step), or say `trimmed: skip`."
        )


def _most(limit: Limit | None) -> int | None:
    bounds = [limit.num_rows, limit.num_bytes and max(1, limit.num_bytes // MESSAGE_BYTES)] if limit else []
    return min((bound for bound in bounds if bound), default=None)


def _pieces(source: Kafka, spans: Sequence[Span], most: int | None) -> list[KafkaPiece]:
    """The partitions that have something, dealt out so that each consumer has about as much to read; all to one where it is a part."""
    if most:
        return [KafkaPiece(source.topic, tuple(spans), most)]
    filled = sorted((span for span in spans if span.num), key=lambda span: -span.num)
    hands: list[list[Span]] = [[] for _ in range(min(source.readers, len(filled)))]
    for span in filled:
        min(hands, key=lambda hand: sum(s.num for s in hand)).append(span)
    return [KafkaPiece(source.topic, tuple(sorted(hand, key=lambda span: span.partition))) for hand in hands]
