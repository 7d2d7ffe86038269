"""What a follower shows and exports."""

from raypipe.loop.gauge import Gauge, prometheus, write


def gauge(**values):
    now = [100.0]
    made = Gauge("source", 'flights."source"', clock=lambda: now[0], **values)
    return made, now


def test_the_line_says_rows_rate_lag_and_the_last_commit():
    made, now = gauge()
    assert made.line() == "source waits: 0 rows in 0 batches, 0/s"
    made.committed(1500, 0, 7, {"messages": 12})
    now[0] += 3
    made.committed(1500, 2, 8, {"messages": 3})
    now[0] += 2
    assert made.line() == "source waits: 3,000 rows in 2 batches, 600/s, lag 3 messages, 2 in quarantine, snapshot 8, 2 s ago"


def test_a_rate_is_of_the_last_while():
    made, now = gauge()
    made.committed(90_000, 0, 7, {})
    now[0] += 1000
    assert made.rows_per_s == 0
    made.committed(50, 0, 8, {})
    assert made.rows_per_s == 50


def test_the_text_of_prometheus(tmp_path):
    made, _ = gauge()
    made.committed(1500, 2, 7, {"messages": 12})
    write(tmp_path / "raypipe.prom", [made])
    text = (tmp_path / "raypipe.prom").read_text()
    assert text == prometheus([made])
    lines = text.splitlines()
    assert "# TYPE raypipe_ingest_rows_total counter" in lines
    assert 'raypipe_ingest_rows_total{table="flights.\\"source\\""} 1500' in lines
    assert 'raypipe_ingest_lag{table="flights.\\"source\\"",unit="messages"} 12' in lines
    assert 'raypipe_ingest_last_commit_timestamp_seconds{table="flights.\\"source\\""} 100' in lines
    assert [path.name for path in tmp_path.iterdir()] == ["raypipe.prom"]
