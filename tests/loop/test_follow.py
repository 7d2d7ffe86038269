"""Following: what comes is taken batch after batch, once, until it is told to stop; a run finds it done."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from raypipe.core.errors import ConfigError, DataError, LeaseHeld
from raypipe.core.place import Place
from raypipe.data.ingest.progress import taken_files
from raypipe.data.source.csv import Csv
from raypipe.data.table import read, snapshots
from raypipe.loop.follow import Follow, Pace, follow
from raypipe.pipeline.node import Pipeline
from raypipe.pipeline.plan import Scene, plan
from raypipe.steps.ingest import Ingest

QUICK = Pace(num_bytes=1, seconds=0.05, poll_s=0.02, tries=3)


@pytest.fixture
def scene(tmp_path, ledger, store):
    (tmp_path / "data").mkdir()
    return Scene(Place(tmp_path, ledger.project, ledger.url, store.root), ledger, store)


def put(scene, name, *numbers):
    part = scene.place.path / f"{name}.part"
    part.write_text("n\n" + "".join(f"{n}\n" for n in numbers))
    part.rename(scene.place.path / "data" / f"{name}.csv")


def pipeline(**settings):
    return Pipeline("shop", source=Ingest(Csv("data"), **settings), train=None)


def what(scene, pace=QUICK, forever=False, pipeline=pipeline(), **more):
    return Follow(pipeline, scene, [], pace, forever=forever, **more)


def rows(scene):
    artifact = scene.ledger.artifact(snapshots(scene.ledger, "shop.source")[0].artifact)
    return read(scene.ledger, scene.store, artifact)["n"].to_pylist()


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def test_what_is_there_is_taken_batch_after_batch_and_a_run_finds_it_done(scene):
    for n in range(4):
        put(scene, f"f{n}", n)
    (gauge,) = follow(what(scene), threading.Event())
    assert (gauge.num_batches, gauge.num_rows, gauge.lag) == (4, 4, {"files": 0})
    assert rows(scene) == [0, 1, 2, 3]
    assert plan(pipeline(), scene).steps[0].state == "HIT"
    (again,) = follow(what(scene), threading.Event())
    assert again.num_batches == 0
    put(scene, "f4", 4)
    assert plan(pipeline(), scene).steps[0].state == "RUN"


def test_what_comes_later_is_taken_until_it_is_stopped(scene, tmp_path):
    stop, found = threading.Event(), []
    put(scene, "a", 1)
    followed = what(scene, forever=True, on_gauges=lambda gauges: found.append(gauges[0].num_rows), metrics=tmp_path / "m.prom")
    thread = threading.Thread(target=follow, args=(followed, stop))
    thread.start()
    until(lambda: found and found[-1] == 1)
    put(scene, "b", 2, 3)
    until(lambda: found[-1] == 3)
    stop.set()
    thread.join(10)
    assert not thread.is_alive()
    assert rows(scene) == [1, 2, 3]
    assert 'raypipe_ingest_rows_total{table="shop.source"} 3' in (tmp_path / "m.prom").read_text()
    (run,) = scene.ledger.runs()
    assert (run.state, [step.why for step in scene.ledger.steps(run.id)]) == ("DONE", ["2 batches, 3 rows"])


def test_a_batch_waits_for_its_time_unless_it_is_full(scene):
    slow = Pace(num_bytes=100, seconds=3600, poll_s=0.02)
    stop, found = threading.Event(), []
    thread = threading.Thread(target=follow, args=(what(scene, slow, True, on_gauges=lambda g: found.append(g[0].num_rows)), stop))
    put(scene, "a", 1)
    thread.start()
    until(lambda: len(found) > 10)
    assert found[-1] == 0, "one small file does not fill a batch"
    put(scene, "b", *range(60))
    put(scene, "c", 99)
    until(lambda: found[-1] == 61)
    stop.set()
    thread.join(10)


def test_a_second_follower_of_the_table_leaves_or_waits(scene):
    put(scene, "a", 1)
    stop, said = threading.Event(), []
    first = threading.Thread(target=follow, args=(what(scene, forever=True), stop))
    first.start()
    until(lambda: taken_files(scene.ledger, "shop.source"))
    with pytest.raises(LeaseHeld, match=r"follow:shop.*: run .* is making it"):
        follow(what(scene, wait=False), threading.Event())
    second = threading.Thread(target=follow, args=(what(scene, report=lambda step, text: said.append(text)), threading.Event()))
    second.start()
    until(lambda: said)
    assert "Wait for it" in said[0]
    stop.set()
    first.join(10)
    second.join(10)
    assert not second.is_alive()
    assert rows(scene) == [1]


def test_a_source_that_fails_is_asked_again_and_then_given_up(scene):
    (scene.place.path / "data" / "a.csv").write_text("n\n1\nx\n2\n")
    said = []
    broken = what(scene, forever=True, pipeline=Pipeline("shop", source=Ingest(Csv("data", types={"n": "int64"})), train=None),
                  report=lambda step, text: said.append(text))  # fmt: skip
    with pytest.raises(DataError, match=r"data/a\.csv: line 3: column 'n': 'x' is no int64"):
        follow(broken, threading.Event())
    assert [text.partition("(")[2][:12] for text in said if "tried" in text] == ["tried 1 of 3", "tried 2 of 3"]
    assert scene.ledger.runs()[0].state == "FAILED"
    assert taken_files(scene.ledger, "shop.source") == []


def test_a_step_that_takes_from_no_source_is_refused(scene):
    with pytest.raises(ConfigError, match=r"sorce: is no step that ingests\. Did you mean 'source'\?"):
        follow(Follow(pipeline(), scene, ["sorce"]), threading.Event())


def project(scene: Scene, command: list[str], **more) -> subprocess.Popen[str]:
    (scene.place.path / "conf").mkdir(exist_ok=True)
    (scene.place.path / "conf" / "shop.yaml").write_text(
        "defaults: [pipeline, _self_]\nname: shop\nsource: {path: data}\ntransform: null\n"
    )
    environ = os.environ | {"RAYPIPE_LEDGER": scene.ledger.url, "RAYPIPE_STORE": scene.store.root, "PYTHONDONTWRITEBYTECODE": "1"}
    root = str(Path(__file__).parents[2])
    return subprocess.Popen(
        [sys.executable, "-m", "raypipe", *command], cwd=scene.place.path, env=environ | {"PYTHONPATH": root}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_it_after_the_batch_in_hand(scene, number, code):
    put(scene, "a", 1)
    process = project(scene, ["ingest", "source", "--follow", "--seconds", "0.1"])
    name = Path(scene.place.path).name
    ledger = type(scene.ledger).open(scene.ledger.url, name)
    until(lambda: taken_files(ledger, "shop.source") or process.poll() is not None, 30)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (code, "")
    assert "source has taken: 1 row in 1 batch" in out
    assert ledger.runs()[0].state == "DONE"
    ledger.close()


def test_the_verb_takes_what_is_there_and_a_run_if_new_does_nothing_at_once(scene):
    put(scene, "a", 1)
    process = project(scene, ["ingest", "--json"])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert json.loads(out)["shop.source"]["rows"] == 1
    process = project(scene, ["run", "--if-new"])
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "nothing new in any source\n", "")
