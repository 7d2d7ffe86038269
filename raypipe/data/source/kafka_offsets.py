"""Where the partitions of a Kafka topic begin and end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from raypipe.core.errors import DataError
from raypipe.data.source.kafka_settings import properties

if TYPE_CHECKING:
    from raypipe.data.source.kafka import Kafka


def bounds(source: Kafka) -> dict[int, tuple[int, int]]:
    """Partition -> its first offset and the one after its last committed message. DataError where brokers are silent or refuse."""
    from confluent_kafka import IsolationLevel, KafkaException, TopicPartition
    from confluent_kafka.admin import AdminClient, OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

    said = Complaints()
    settings: Any = {**properties(source), "error_cb": said}
    client = AdminClient(settings)
    try:
        # All topics: to ask for one by its name would make it, where brokers make topics by themselves.
        partitions = _partitions(source, client.list_topics(timeout=source.timeout_s))
        asked: Any = {TopicPartition(source.topic, number): OffsetSpec.earliest() for number in partitions}
        lows = client.list_offsets(asked, request_timeout=source.timeout_s)
        asked = {partition: OffsetSpec.latest() for partition in asked}
        committed = IsolationLevel.READ_COMMITTED
        highs = client.list_offsets(asked, isolation_level=committed, request_timeout=source.timeout_s)
        ends = {partition.partition: future.result(source.timeout_s).offset for partition, future in highs.items()}
        return {p.partition: (future.result(source.timeout_s).offset, ends[p.partition]) for p, future in lows.items()}
    except (KafkaException, TimeoutError) as error:
        client.poll(0)  # for what librdkafka has to say beside
        raise DataError(f"topic {source.topic}: {told(error, source, said)}") from None


class Complaints:
    """What librdkafka says beside its answers: why no broker can be reached."""

    def __init__(self) -> None:
        self.last = ""

    def __call__(self, error: Any) -> None:
        self.last = error.str()


def told(error: Any, source: Kafka, said: Complaints) -> str:
    """The cause in one line: the brokers that were asked, never what they were asked with."""
    cause = error.args[0] if error.args else error
    text = cause.str() if hasattr(cause, "str") else str(cause) or type(error).__name__
    where = source.servers or f"the brokers of {source.env}BOOTSTRAP_SERVERS"
    more = f" ({said.last})" if said.last and said.last != text else ""
    return f"{where}: {text}{more}"


def _partitions(source: Kafka, metadata: Any) -> list[int]:
    topic = metadata.topics.get(source.topic)
    if topic is None or topic.error is not None or not topic.partitions:
        why = topic.error.str() if topic is not None and topic.error is not None else "the brokers do not know it"
        raise DataError(f"topic {source.topic}: {why}")
    return sorted(topic.partitions)
