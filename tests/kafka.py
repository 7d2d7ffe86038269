"""A Kafka of the tests' own: librdkafka's mock cluster, brokers in this process that speak the protocol on loopback.

It drops old messages when a partition holds more than about 5 MB. It is reached through the library that confluent-kafka brings, because
the client's own setting `test.mock.num.brokers` makes topics of four partitions only.
"""

from __future__ import annotations

import ctypes
import glob
from collections.abc import Iterable
from pathlib import Path
from typing import Any


class MockKafka:
    """Brokers that live as long as this object."""

    def __init__(self, num_brokers: int = 1):
        import confluent_kafka

        folder = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
        self._library = _declared(ctypes.CDLL(glob.glob(str(folder / "librdkafka-*"))[0]))
        settings = self._library.rd_kafka_conf_new()
        self._library.rd_kafka_conf_set(settings, b"log_level", b"0", None, 0)
        self._client = self._library.rd_kafka_new(0, settings, None, 0)
        self._cluster = self._library.rd_kafka_mock_cluster_new(self._client, num_brokers)
        self.servers: str = self._library.rd_kafka_mock_cluster_bootstraps(self._cluster).decode()

    def topic(self, name: str, num_partitions: int = 4) -> str:
        self._library.rd_kafka_mock_topic_create(self._cluster, name.encode(), num_partitions, 1)
        return name

    def down(self, broker: int = 1) -> None:
        self._library.rd_kafka_mock_broker_set_down(self._cluster, broker)

    def up(self, broker: int = 1) -> None:
        self._library.rd_kafka_mock_broker_set_up(self._cluster, broker)

    def send(self, topic: str, values: Iterable[bytes | None], partition: int = 0, **more: Any) -> None:
        """Produces to one partition, in order, and waits until all is there."""
        producer = self.producer()
        for value in values:
            while True:
                try:
                    producer.produce(topic, value, partition=partition, **more)
                    break
                except BufferError:
                    producer.poll(0.05)
        assert producer.flush(10) == 0

    def producer(self) -> Any:
        from confluent_kafka import Producer

        return Producer({"bootstrap.servers": self.servers, "log_level": 0, "linger.ms": 5})

    def close(self) -> None:
        self._library.rd_kafka_mock_cluster_destroy(self._cluster)
        self._library.rd_kafka_destroy(self._client)


def _declared(library: Any) -> Any:
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    functions: dict[str, tuple[Any, list[Any]]] = {
        "rd_kafka_conf_new": (pointer, []),
        "rd_kafka_conf_set": (number, [pointer, text, text, text, ctypes.c_size_t]),
        "rd_kafka_new": (pointer, [number, pointer, text, ctypes.c_size_t]),
        "rd_kafka_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_new": (pointer, [pointer, number]),
        "rd_kafka_mock_cluster_destroy": (None, [pointer]),
        "rd_kafka_mock_cluster_bootstraps": (text, [pointer]),
        "rd_kafka_mock_topic_create": (number, [pointer, text, number, number]),
        "rd_kafka_mock_broker_set_down": (number, [pointer, ctypes.c_int32]),
        "rd_kafka_mock_broker_set_up": (number, [pointer, ctypes.c_int32]),
    }
    for name, (result, arguments) in functions.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
