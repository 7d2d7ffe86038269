"""Kafka: every message between the committed offsets and the end, once; what the topic has lost is told with its offsets."""

import json
from typing import Any

import pyarrow as pa
import pytest

from raypipe.core.errors import DataError
from raypipe.data.source.kafka import Kafka, KafkaPiece, Span
from raypipe.data.source.kafka_consumer import Reading
from raypipe.data.source.kafka_settings import properties
from raypipe.data.source.piece import NOTHING, Limit, Progress
from tests.kafka import MockKafka

TYPES = {"n": pa.int64()}
LOOK: Any = None


@pytest.fixture(scope="module")
def kafka():
    brokers = MockKafka()
    yield brokers
    brokers.close()


@pytest.fixture
def topic(kafka, request):
    return kafka.topic(request.node.name.partition("[")[0], 4)


def send(kafka, topic, numbers, partition=0, **more):
    kafka.send(topic, [json.dumps({"n": n}).encode() for n in numbers], partition, **more)


def found_by(source, progress=NOTHING, limit=None) -> Any:
    return source.new(LOOK, progress, limit)


def take(source, progress=NOTHING, types=TYPES, limit=None) -> Any:
    """Rows, bad records and the settled `New`."""
    new = found_by(source, progress, limit)
    batches = [batch for piece in new.pieces for batch in source.batches(piece, types)]
    rows = pa.concat_tables([batch.rows for batch in batches]) if batches else None
    marks = [batch.mark for batch in batches if batch.mark is not None]
    return rows, [bad for batch in batches for bad in batch.bad], source.settle(new, marks)


def told(source, progress=NOTHING):
    with pytest.raises(DataError) as error:
        take(source, progress)
    return str(error.value)


def test_each_partition_is_read_from_the_committed_offset_to_its_end(kafka, topic):
    source = Kafka(topic, kafka.servers, readers=2)
    for partition in range(3):
        send(kafka, topic, range(partition * 100, partition * 100 + 50), partition)
    rows, bad, new = take(source)
    assert (sorted(rows["n"].to_pylist()), bad) == ([p * 100 + n for p in range(3) for n in range(50)], [])
    assert new.after == new.state == {"0": 50, "1": 50, "2": 50, "3": 0}
    assert (new.told, new.lag, len(new.pieces)) == (f"150 new offsets in 4 partitions of {topic}", {"messages": 0}, 2)
    assert list(found_by(source, Progress(new.after)).pieces) == []
    send(kafka, topic, [7], 3)
    rows, _, later = take(source, Progress(new.after))
    assert rows["n"].to_pylist() == [7]
    assert later.after == {**new.after, "3": 1}


def test_a_partition_keeps_its_order(kafka, topic):
    send(kafka, topic, range(25_000))
    rows, _, _ = take(Kafka(topic, kafka.servers))
    assert rows["n"].to_pylist() == list(range(25_000))


def test_what_surrounds_a_message_comes_on_request(kafka, topic):
    kafka.send(topic, [b'{"n":1}'], 2, key=b"k", headers=[("a", b"x"), ("a", b"\xff"), ("b", None)], timestamp=1_700_000_000_000)
    kafka.send(topic, [b'{"n":2}'], 2)
    source = Kafka(topic, kafka.servers, key="k", headers="h", timestamp="t", partition="p", offset="o")
    rows, _, _ = take(source, types={"k": pa.string(), **TYPES})
    assert rows.column_names == ["k", "n", "h", "t", "p", "o"]
    first, second = rows.to_pylist()
    assert (first["k"], first["p"], first["o"], first["t"].timestamp()) == ("k", 2, 0, 1_700_000_000)
    assert json.loads(first["h"]) == [["a", "x"], ["a", ["/w=="]], ["b", None]]
    assert (second["k"], second["h"], second["o"]) == (None, None, 1)


def test_raw_values_are_bytes(kafka, topic):
    kafka.send(topic, [b"\x00\xff", None])
    rows, bad, _ = take(Kafka(topic, kafka.servers, value="raw"), types={})
    assert (rows.to_pylist(), bad) == ([{"value": b"\x00\xff"}, {"value": None}], [])


def test_a_poison_message_is_told_by_its_offset_and_the_rest_goes_on(kafka, topic):
    kafka.send(topic, [b'{"n":1}', b"poison", None, b'{"n":4}'], 1, key=b"\xff")
    source = Kafka(topic, kafka.servers, key="k")
    rows, bad, new = take(source)
    assert rows["n"].to_pylist() == [1, 4]
    assert [(b.position, b.reason, b.value) for b in bad] == [
        (f"{topic}/1 offset 1", "JSON is malformed: invalid character (byte 0)", b"poison"),
        (f"{topic}/1 offset 2", "has no value", None),
    ]
    assert new.after["1"] == 4
    assert [b.position[-1] for b in take(Kafka(topic, kafka.servers, tombstones="skip"))[1]] == ["1"]
    rows, bad, _ = take(source, types={"k": pa.string(), **TYPES})
    assert (rows.num_rows, len(bad), bad[0].reason) == (0, 4, "the key is no text - at `k`")


def test_a_limit_takes_so_many_and_the_next_batch_goes_on(kafka, topic):
    send(kafka, topic, range(90), 0)
    send(kafka, topic, range(90, 100), 1)
    source, progress, found, sizes = Kafka(topic, kafka.servers), NOTHING, [], []
    while True:
        rows, _, new = take(source, progress, limit=Limit(num_rows=30))
        if rows is None:
            break
        assert sum(new.after.values()) == len(found) + rows.num_rows
        assert new.lag == {"messages": 100 - sum(new.after.values())}
        progress, found = Progress(new.after), found + rows["n"].to_pylist()
        sizes.append(rows.num_rows)
    assert (sizes, sorted(found)) == ([30, 30, 30, 10], list(range(100)))
    send(kafka, topic, [100], 2)
    assert take(source, progress, limit=Limit(num_bytes=10**6))[0]["n"].to_pylist() == [100]


def test_a_kept_consumer_that_stands_elsewhere_is_not_used(kafka, topic):
    send(kafka, topic, range(50))
    source = Kafka(topic, kafka.servers)
    _, _, new = take(source, limit=Limit(num_rows=20))
    again, _, _ = take(source, limit=Limit(num_rows=20))
    assert again["n"].to_pylist() == list(range(20)), "what was not committed comes again"
    rest, _, _ = take(source, Progress(new.after))
    assert rest["n"].to_pylist() == list(range(20, 50))


class Arrived:
    """A consumer to which everything came at once: brokers cannot be made to send so."""

    def __init__(self, *messages):
        self.messages = list(messages)

    def consume(self, num, timeout):
        found, self.messages = self.messages, []
        return found

    def assign(self, partitions):
        pass

    def incremental_unassign(self, partitions):
        pass


class Message:
    def __init__(self, partition, offset, error=None):
        self._told = partition, offset, error

    def partition(self):
        return self._told[0]

    def offset(self):
        return self._told[1]

    def error(self):
        return self._told[2]


def test_the_end_of_a_partition_that_comes_with_it_does_not_move_the_end_of_a_piece():
    from confluent_kafka import KafkaError

    arrived: Any = Arrived(*[Message(0, n) for n in range(10)], Message(0, 10, KafkaError(KafkaError._PARTITION_EOF)))
    found = list(Reading(Kafka("t", "h:1"), KafkaPiece("t", (Span(0, 0, 5),)), arrived).all())
    assert [(len(batch.messages), batch.ended) for batch in found] == [(5, {0: 5})]


def test_an_open_transaction_ends_a_partition_before_what_there_is():
    from confluent_kafka import KafkaError

    for most in (None, 100):
        arrived: Any = Arrived(*[Message(0, n) for n in range(3)], Message(0, 3, KafkaError(KafkaError._PARTITION_EOF)))
        reading = Reading(Kafka("t", "h:1", timeout_s=0.1), KafkaPiece("t", (Span(0, 0, 5),), most), arrived)
        found = list(reading.some(most) if most else reading.all())
        assert (sum(len(batch.messages) for batch in found), found[-1].ended) == (3, {0: 3})


def test_messages_that_were_dropped_before_they_were_taken_are_refused_by_offset(kafka, topic):
    kafka.send(topic, [b"x" * 100_000] * 120)
    low = found_by(Kafka(topic, kafka.servers, value="raw")).pieces[0].spans[0].first
    assert low > 10
    progress = Progress({"0": 10, "1": 0})
    text = told(Kafka(topic, kafka.servers, value="raw"), progress)
    assert text == (
        f"{topic}/0: offsets 10 to {low - 1} are not in the topic any more, it begins at {low}: they were dropped before they were taken. "
        "`trimmed: skip` goes on without them."
    )
    source = Kafka(topic, kafka.servers, value="raw", trimmed="skip")
    rows, _, new = take(source, progress, {})
    assert (rows.num_rows, new.after["0"]) == (120 - low, 120)
    assert new.told.endswith(f"it begins at {low}: passed over")


def test_messages_that_are_dropped_while_the_topic_is_read_are_refused(kafka, topic):
    kafka.send(topic, [b"x" * 100_000] * 10)
    source = Kafka(topic, kafka.servers, value="raw")
    (piece,) = found_by(source).pieces
    kafka.send(topic, [b"x" * 100_000] * 120)
    with pytest.raises(DataError, match=f"{topic}/0 offset 0: is not in the topic any more: it was dropped while the topic was read"):
        list(source.batches(piece, {}))


def test_a_topic_that_was_made_anew_is_refused(kafka, topic):
    send(kafka, topic, [1])
    text = told(Kafka(topic, kafka.servers), Progress({"0": 17, "9": 4}))
    assert f"{topic}/9: was taken up to offset 4, and is no partition of the topic any more" in text
    assert f"{topic}/0: was taken up to offset 17, and ends at 1 now: the topic was made anew or cut back." in text


def test_offsets_without_a_message_at_the_end_are_passed_over(kafka, topic):
    """Markers of transactions and what compaction took leave such offsets; the mock cluster has neither, so the end lies further on."""
    send(kafka, topic, range(3))
    source = Kafka(topic, kafka.servers)
    new = found_by(source)
    span = new.pieces[0].spans[0]
    piece = type(new.pieces[0])(topic, (type(span)(0, 0, 5),))
    batches = list(source.batches(piece, TYPES))
    assert sum(batch.rows.num_rows for batch in batches) == 3
    assert [batch.mark for batch in batches if batch.mark] == [{"0": 3}]


def test_a_topic_that_is_not_there_and_brokers_that_are_silent_are_named(kafka, topic):
    assert told(Kafka("oders", kafka.servers)) == "topic oders: the brokers do not know it"
    text = told(Kafka("orders", "127.0.0.1:1", timeout_s=1))
    assert text.startswith("topic orders: 127.0.0.1:1: ")
    assert "Connection refused" in text


def test_brokers_that_go_down_are_waited_for_and_then_named(kafka, topic):
    send(kafka, topic, range(100))
    source = Kafka(topic, kafka.servers, timeout_s=1)
    (piece,) = found_by(source).pieces
    kafka.down()
    try:
        with pytest.raises(DataError, match=rf"{topic}/0 offset 0: no message for 1 s.*Run again"):
            list(source.batches(piece, TYPES))
    finally:
        kafka.up()
    assert take(Kafka(topic, kafka.servers))[0].num_rows == 100


def test_json_without_a_contract_is_refused(kafka, topic):
    send(kafka, topic, [1])
    with pytest.raises(DataError, match="JSON values need a contract that states their columns, or `value: raw`"):
        take(Kafka(topic, kafka.servers), types={})


def test_security_comes_from_the_environment_alone(monkeypatch):
    source = Kafka("t", "h:1", settings={"sasl.password": "x", "group.id": "y", "plugin.library.paths": "z", "fetch.min.bytes": "1"})
    assert source.problems() == [
        "settings.sasl.password: security is not written into a config; set the environment variable RAYPIPE_KAFKA_SASL_PASSWORD",
        "settings.group.id: is set by raypipe",
        "settings.plugin.library.paths: would load code, and is not taken",
    ]
    monkeypatch.setenv("RAYPIPE_KAFKA_SASL_PASSWORD", "secret")
    monkeypatch.setenv("RAYPIPE_KAFKA_PLUGIN_LIBRARY_PATHS", "evil.so")
    found = properties(Kafka("t", "h:1"))
    assert found["sasl.password"] == "secret"
    assert "plugin.library.paths" not in found
    with pytest.raises(DataError, match=r"no broker is named\. Set `servers`, or the variable RAYPIPE_KAFKA_BOOTSTRAP_SERVERS"):
        properties(Kafka("t"))


def test_bad_settings_are_told():
    wrong: Any = "xml"
    problems = Kafka("", value=wrong, key="a", offset="a", readers=0).problems()
    assert problems == [
        "topic is empty, expected a topic's name",
        "value is 'xml', expected json or raw",
        "column 'a' is named twice",
        "readers is 0, expected more than 0",
    ]
