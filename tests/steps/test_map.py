"""A function mapped over items: rows out, what is run again and what is not, failures, kills, and lists that are empty or too long."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import raypipe as rp
from raypipe.core.errors import ConfigError, Terminated
from raypipe.pipeline.chosen import Chosen
from raypipe.pipeline.options import Options, StepEvent
from raypipe.pipeline.plan import open_scene

MINE = """\
from __future__ import annotations
import os, signal, time
from pathlib import Path
import numpy as np
import pandas as pd
import polars as pl
from raypipe.core.errors import Terminated
import pyarrow as pa

HERE = Path({folder!r})

def called(what):
    with (HERE / "log").open("a") as stream:
        stream.write(f"{{what}}\\n")

def fit(carrier: str, flights: pl.DataFrame, depth: int = 3) -> dict:
    called(carrier)
    if (HERE / f"fail-{{carrier}}").exists():
        raise ValueError(f"nothing fits {{carrier}}")
    rows = flights.filter(pl.col("carrier") == carrier)
    return {{"mean": rows["delay"].mean(), "coefficients": np.arange(2.0), "depth": depth}}

def square(n: int):
    return n * n

def stopped(n: int):
    called(n)
    raise Terminated  # as the handler of the signal does

def several(n: int, times: int = 2) -> pd.DataFrame | None:
    called(n)
    return None if n == 0 else pd.DataFrame({{"n": [n] * n, "i": range(n)}})

def rows(n: int, letter: str = "z") -> list:
    return [{{"of": letter * n}}] * (n % 3)

def mixed(n: int):
    return {{"x": n if n < 2 else str(n)}}

def halved(n: int):
    return {{"x": n}} if n < 2 else {{"n": n}}

def kept(n: int) -> dict | None:
    return {{"n": n}} if n > 1 else None

def nothing(n: int):
    return None

def other(n: int):
    return {{"n": n + 1}}

def odd(n: int):
    return object()

def flaky(n: int):
    called(n)
    if n == 2 and (HERE / "log").read_text().count("2\\n") < 2:
        raise ConnectionError("no answer")
    return {{"n2": n * 2}}

def ends(n: int):
    called(n)
    if n == 3 and not (HERE / "ended").exists():
        (HERE / "ended").touch()
        time.sleep(1.1)  # what was done before is handed in
        return {{"m": n}}
    if n == 4 and (HERE / "log").read_text().count("4\\n") == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {{"m": n}}

def dies(n: int):
    if n == 5:
        os._exit(1)
    return n + 1

def changed(flights: pd.DataFrame, n: int) -> dict:
    flights["delay"] = 0.0
    return {{"columns": len(flights.columns), "sum": float(flights["delay"].sum())}}

def stream(n: int, flights: pl.LazyFrame | None) -> dict:
    return {{}}

class Each:
    pass
"""


class House:
    """A project, and what its runs told."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.told: list[str] = []
        (folder / "mine.py").write_text(MINE.format(folder=str(folder)))
        (folder / "carriers").mkdir()
        (folder / "flights").mkdir()
        rows = pa.table({"carrier": ["UA", "AA", "UA"], "delay": [1.0, 2.0, 4.0]})
        pq.write_table(rows, folder / "flights" / "a.parquet")
        self.carriers("UA", "AA")

    def carriers(self, *names: str) -> None:
        number = len(list((self.folder / "carriers").iterdir()))
        pq.write_table(pa.table({"carrier": names}), self.folder / "carriers" / f"{number}.parquet")

    def pipeline(self, execution: dict[str, Any] | None = None, **settings: Any) -> rp.Pipeline:
        steps = {"flights": rp.Ingest(source=rp.Parquet(path="flights")), "out": {"_target_": "raypipe.Map", **settings}}
        source = rp.Parquet(path="carriers")
        return rp.Pipeline("p", source=source, steps=steps, execution=execution, project_path=self.folder)

    def run(self, cluster: Any = None, execution: Any = None, force: Any = (), **settings: Any) -> Any:
        self.told.clear()
        (self.folder / "log").unlink(missing_ok=True)
        pipeline = self.pipeline(execution, **settings)
        chosen = Chosen.of(pipeline, force, (), ())
        return rp.run(pipeline, options=Options(cluster=cluster or rp.Debug(), on_event=self._tell, chosen=chosen))

    def check(self, **settings: Any) -> None:
        if problems := rp.check(self.pipeline(**settings), open_scene(self.folder)):
            raise ConfigError(problems)

    def _tell(self, event: StepEvent) -> None:
        if event.step == "out" and event.what == "progress":
            self.told.append(event.why)

    def made(self) -> dict[str, list[Any]]:
        return rp.table("p.out", project_path=self.folder).to_arrow().to_pydict()

    @property
    def calls(self) -> list[str]:
        path = self.folder / "log"
        return path.read_text().split() if path.exists() else []


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


FIT = {"function": {"_target_": "mine.fit"}, "over": "source", "inputs": {"flights": "flights"}}


def test_rows_in_the_order_of_the_items(house: House):
    result = house.run(**FIT)
    assert result.exit_code == 0, result.error
    assert house.made() == {"carrier": ["UA", "AA"], "mean": [2.5, 2.0], "coefficients": [[0.0, 1.0]] * 2, "depth": [3, 3]}
    assert house.told == ["2 items: 2 run, 0 found"]
    figures = result["out"].figures
    assert (figures["items"], figures["items_run"], figures["items_found"]) == (2, 2, 0)


def test_one_more_item_is_run_alone(house: House):
    house.run(**FIT)
    house.carriers("B6")
    planned = {s.name: s for s in rp.plan(house.pipeline(**FIT)).steps}
    assert planned["out"].state == "MAYBE", "the list is not there yet"
    result = house.run(**FIT)
    assert result.exit_code == 0, result.error
    assert house.calls == ["B6"]
    assert house.told == ["3 items: 1 to run, 2 found", "3 items: 1 run, 2 found"]
    assert house.made()["carrier"] == ["UA", "AA", "B6"]
    assert house.run(**FIT).steps["out"].state == "HIT"


def test_the_plan_says_how_many_where_the_list_is_there(house: House):
    house.run(function={"_target_": "mine.square"}, items=[1, 2])
    planned = {s.name: s for s in rp.plan(house.pipeline(function={"_target_": "mine.square"}, items=[1, 2, 3, 5])).steps}
    assert planned["out"].state == "RUN"
    assert planned["out"].why.endswith("2 of 4 items would run")


def test_changed_code_settings_and_tables_run_all_again(house: House):
    house.run(**FIT)
    house.run(**{**FIT, "function": {"_target_": "mine.fit", "depth": 5}})
    assert house.calls == ["UA", "AA"]
    source = house.folder / "mine.py"
    source.write_text(source.read_text().replace("np.arange(2.0)", "np.arange(3.0)"))
    house.run(**FIT)
    assert house.calls == ["UA", "AA"]
    assert house.made()["coefficients"] == [[0.0, 1.0, 2.0]] * 2
    pq.write_table(pa.table({"carrier": ["AA"], "delay": [6.0]}), house.folder / "flights" / "b.parquet")
    house.run(**FIT)
    assert house.calls == ["UA", "AA"]
    assert house.made()["mean"] == [2.5, 4.0]
    assert house.run(force=["out"], **FIT).exit_code == 0
    assert house.calls == ["UA", "AA"], "asked for anew, nothing is found"


LISTS = [
    ("square", [2, 3, 2], None, {"n": [2, 3, 2], "value": [4, 9, 4]}),
    ("several", [2, 0, 1], None, {"n": [2, 2, 1], "i": [0, 1, 0]}),
    (
        "rows",
        [{"n": 2, "letter": "a"}, {"n": 3, "letter": "b"}, {"n": 1}],
        None,
        {"n": [2, 2, 1], "letter": ["a", "a", None], "of": ["aa", "aa", "z"]},
    ),
    ("kept", [3, 1, 2], None, {"n": [3, 2]}),
    ("nothing", [1, 2], None, {"n": []}),
    ("nothing", [1], {"x": "float64"}, {"n": [], "x": []}),
    ("square", [3], {"value": "float32"}, {"n": [3], "value": [9.0]}),
    ("square", [], {"value": "float32"}, {"n": [], "value": []}),
]


@pytest.mark.parametrize(("function", "items", "gives", "expected"), LISTS)
def test_what_functions_may_give(function: str, items: list[Any], gives: Any, expected: Any, house: House):
    result = house.run(function={"_target_": f"mine.{function}"}, items=items, **({"gives": gives} if gives else {}))
    assert result.exit_code == 0, result.error
    assert house.made() == expected


def test_an_item_that_is_there_twice_is_run_once(house: House):
    house.run(function={"_target_": "mine.several"}, items=[2, 1, 2])
    assert house.calls == ["2", "1"]
    assert house.made()["n"] == [2, 2, 1, 2, 2]
    assert house.told == ["3 items (1 of them the same as others): 2 run, 0 found"]


def test_what_a_function_does_to_its_table_the_next_item_does_not_see(house: House):
    result = house.run(function={"_target_": "mine.changed"}, items=[1, 2], inputs={"flights": "flights"})
    assert result.exit_code == 0, result.error
    assert house.made() == {"n": [1, 2], "columns": [2, 2], "sum": [0.0, 0.0]}


def test_failed_items_are_told_and_the_others_kept(house: House):
    house.carriers("B6", "DL")
    (house.folder / "fail-AA").touch()
    (house.folder / "fail-B6").touch()
    result = house.run(**FIT)
    assert result.exit_code == 1
    assert house.calls == ["UA", "AA", "B6", "DL"]
    first, *lines = result.error.splitlines()
    assert first == "step 'out': 2 of 4 items failed; the others, 2, are done and are not run again"
    assert lines[0].startswith("  carrier=AA: function mine.fit raised ValueError: nothing fits AA (line ")
    assert "of mine.py: raise ValueError" in lines[0]
    assert lines[1].startswith("  carrier=B6: ")
    for path in house.folder.glob("fail-*"):
        path.unlink()
    planned = {s.name: s for s in rp.plan(house.pipeline(**FIT)).steps}
    assert (planned["out"].state, planned["out"].why) == ("RESUME", "2 of 4 items would run")
    assert house.run(**FIT).exit_code == 0
    assert house.calls == ["AA", "B6"]


def test_sigterm_is_no_item_s_failure(house: House):
    with pytest.raises(Terminated):
        house.run(function={"_target_": "mine.stopped"}, items=[1, 2])
    assert house.calls == ["1"]


def test_ten_failures_are_named(house: House):
    error = house.run(function={"_target_": "mine.odd"}, items=list(range(12))).error
    assert "step 'out': 12 of 12 items failed\n  n=0: function mine.odd returned object, expected a mapping (one row), a table," in error
    assert error.splitlines()[-1] == "  and 2 more"
    assert len(error.splitlines()) == 12


def test_what_may_be_gone_at_the_next_try_is_tried_again_alone(house: House):
    result = house.run(function={"_target_": "mine.flaky"}, items=[1, 2, 3], execution={"out": {"retries": 1, "backoff": "1ms"}})
    assert result.exit_code == 0, result.error
    assert house.calls == ["1", "2", "3", "2"]


def test_results_of_unlike_columns(house: House):
    error = house.run(function={"_target_": "mine.mixed"}, items=[1, 2]).error
    assert "mine.mixed gave other columns for item n=2 than for item n=1: 'x' int64 and string. `gives` says types for all" in error
    result = house.run(function={"_target_": "mine.mixed"}, items=[1, 2], gives={"x": "string"})
    assert result.exit_code == 0, result.error
    assert house.made()["x"] == ["1", "2"]
    error = house.run(function={"_target_": "mine.halved"}, items=[1, 2]).error
    assert "gave other columns for item n=2 than for item n=1: 'x' int64 and missing" in error
    assert "returned another 'n' than the item has" in house.run(function={"_target_": "mine.other"}, items=[1]).error


BAD: list[tuple[dict[str, Any], str]] = [
    ({}, r"out: a map needs `over`, the name of a step, or `items`, a list; neither is there"),
    ({"over": "source", "items": [1]}, r"both are there: leave one out"),
    ({"items": [1, 2, 3], "max_items": 2}, r"out.items: 3 items are more than 2 \(`max_items`\)"),
    ({"items": []}, r"out.items: it is empty, and nothing says which columns the table has: say them as `gives`"),
    ({"items": [{"m": 1}]}, r"out.items: mine.square takes no 'm'. Valid: n"),
    ({"items": [1], "inputs": {"rows": "source"}}, r"out.inputs: mine.square takes no 'rows'"),
    ({"items": [1], "inputs": {"rows": "sorce"}}, r"out.inputs.rows: there is no step 'sorce'. Did you mean 'source'\?"),
    ({"items": [1], "inputs": ["source"]}, r"out.inputs: found \['source'\], expected a mapping of names to steps"),
    ({"items": [1], "function": {"_target_": "mine.square", "n": 3}}, r"out: 'n' is given twice"),
    (
        {"items": [1], "function": {"_target_": "mine.Each"}},
        r"out.function: mine.Each is a class; here it is a function, called for each item",
    ),
    (
        {"items": ["UA"], "function": {"_target_": "mine.fit"}},
        r"out: mine.fit needs 'flights', which is a table: name its step under `inputs`",
    ),
    (
        {"items": [1], "function": {"_target_": "mine.stream"}, "inputs": {"flights": "flights"}},
        r"out.inputs.flights: mine.stream takes it as polars.LazyFrame \| None; with an item it gets one of: pa.Table, dict",
    ),
    ({"items": [1], "gives": {"value": "flaot"}}, r"out.gives.value: 'flaot' is no type"),
    ({"items": [1, "a"]}, r"out.items: 'n' has values of unlike kinds"),
    ({"items": [1], "chunk_items": 0}, r"out.chunk_items: found 0, expected at least 1"),
    ({"over": "source", "takes": ["carrier"]}, r"out.over: mine.square takes no 'carrier'.* `takes` names the columns that make an item"),
]


@pytest.mark.parametrize(("settings", "text"), BAD)
def test_what_is_wrong_is_told_before_anything_is_called(settings: dict[str, Any], text: str, house: House):
    with pytest.raises(ConfigError, match=text):
        house.check(**{"function": {"_target_": "mine.square"}, **settings})


@pytest.mark.parametrize("settings", [{}, {"items": [1, "a"]}, {"over": "source", "takes": ["carier"]}])
def test_a_plan_of_what_is_wrong_is_refused_as_the_check_refuses_it(settings: dict[str, Any], house: House):
    """Though the step was made before, and a plan would count the items that would run."""
    square = {"function": {"_target_": "mine.square"}}
    assert house.run(**square, items=[1]).exit_code == 0
    with pytest.raises(ConfigError, match=r"out") as checked:
        house.check(**square, **settings)
    with pytest.raises(ConfigError) as ran:
        house.run(**square, **settings)
    assert set(checked.value.problems) <= set(ran.value.problems)  # those of a table's columns a check alone does not know


def test_columns_that_make_no_item(house: House):
    """Those of `source` are known when it is there."""
    error = house.run(function={"_target_": "mine.square"}, over="source").error
    assert "out.over: mine.square takes no 'carrier'. Valid: n. `takes` names the columns that make an item." in error


def test_a_table_of_more_rows_than_may_be(house: House):
    house.carriers(*(["B6"] * 9))
    error = house.run(**FIT, max_items=10).error
    assert "out.over: the 11 rows of 'source', each an item, are more than 10 (`max_items`)" in error
    assert not house.calls


def test_a_thousand_items_are_quick(house: House):
    began = time.process_time()
    assert house.run(function={"_target_": "mine.square"}, items=list(range(1000))).exit_code == 0
    assert time.process_time() - began < 5
    assert house.made()["value"][-1] == 999**2
    files = list((house.folder / ".raypipe" / "store").rglob("*.arrow"))
    assert len(files) < 20


def test_the_store_that_lost_results(house: House):
    house.run(**FIT)
    for path in (house.folder / ".raypipe" / "store").rglob("*.arrow"):
        path.unlink()
    house.carriers("B6")
    assert house.run(**FIT).exit_code == 0
    assert house.calls == ["UA", "AA", "B6"]
    assert house.told[0].startswith("the store has lost p/out/")


def killed(house: House) -> None:
    """A process of its own that is killed while the fifth item is at work."""
    program = (
        "import raypipe as rp\nfrom raypipe.pipeline.options import Options\n"
        "p = rp.Pipeline('p', steps={'out': {'_target_': 'raypipe.Map', 'function': {'_target_': 'mine.ends'}, 'items': list(range(8))}})\n"
        "rp.run(p, options=Options(cluster=rp.Debug()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=house.folder, timeout=120, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


def eight() -> rp.Pipeline:
    return rp.Pipeline("p", steps={"out": {"_target_": "raypipe.Map", "function": {"_target_": "mine.ends"}, "items": list(range(8))}})


def test_killed_in_the_middle_what_is_done_is_not_repeated(house: House, monkeypatch: pytest.MonkeyPatch):
    killed(house)
    assert house.calls == ["0", "1", "2", "3", "4"]
    (house.folder / "log").write_text("4\n")
    monkeypatch.chdir(house.folder)
    planned = rp.plan(eight()).steps[0]
    assert (planned.state, planned.why) == ("RESUME", "4 of 8 items would run")
    result = rp.run(eight(), options=Options(cluster=rp.Debug()))
    assert result.exit_code == 0, result.error
    assert house.calls == ["4", "4", "5", "6", "7"]
    assert house.made()["m"] == list(range(8))


def test_in_tasks(house: House, ray_cluster: None):
    result = house.run(rp.Local(), **FIT)
    assert result.exit_code == 0, result.error
    assert house.made()["mean"] == [2.5, 2.0]
    assert sorted(house.calls) == ["AA", "UA"]
    result = house.run(rp.Local(), function={"_target_": "mine.square"}, items=list(range(1000)))
    assert result.exit_code == 0, result.error
    assert house.made()["value"] == [n * n for n in range(1000)]


def test_an_item_that_ends_its_process_fails_alone(house: House, ray_cluster: None):
    result = house.run(rp.Local(), function={"_target_": "mine.dies"}, items=list(range(8)), chunk_items=4)
    assert result.exit_code == 1
    assert "step 'out': 1 of 8 items failed; the others, 7, are done" in result.error
    assert "n=5: the worker process ended 2 times before it was done" in result.error


@pytest.fixture
def on_s3(house: House, s3: Callable[[str, bytes], str], monkeypatch: pytest.MonkeyPatch) -> House:
    """The same project with its store in a bucket."""
    monkeypatch.setenv("RAYPIPE_STORE", s3("there", b"").removesuffix("/there") + "/store")
    return house


def test_on_an_object_store(on_s3: House):
    """Found again, run again where its bytes are gone, and gathered, like on a disk."""
    assert on_s3.run(**FIT).exit_code == 0
    on_s3.carriers("B6")
    assert on_s3.run(**FIT).exit_code == 0
    assert on_s3.calls == ["B6"]
    assert on_s3.made()["mean"] == [2.5, 2.0, None]
    assert on_s3.run(**FIT).steps["out"].state == "HIT"
    store = open_scene(on_s3.folder).store
    gone = [path for path, *_ in store.files() if path.endswith(".arrow")]
    assert len(gone) == 2
    for path in gone:
        store.remove(path)
    on_s3.carriers("DL")
    assert on_s3.run(**FIT).exit_code == 0
    assert on_s3.calls == ["UA", "AA", "B6", "DL"]
    assert on_s3.told[0].startswith("the store has lost p/out/")


def test_killed_in_the_middle_on_an_object_store(on_s3: House, monkeypatch: pytest.MonkeyPatch):
    killed(on_s3)
    monkeypatch.chdir(on_s3.folder)
    (on_s3.folder / "log").write_text("4\n")
    result = rp.run(eight(), options=Options(cluster=rp.Debug()))
    assert result.exit_code == 0, result.error
    assert on_s3.calls == ["4", "4", "5", "6", "7"]
    assert on_s3.made()["m"] == list(range(8))


@pytest.mark.skipif(os.environ.get("RAYPIPE_CHAOS") != "long", reason="Ray starts workers of their own for it: RAYPIPE_CHAOS=long does")
def test_in_tasks_on_an_object_store(on_s3: House, ray_cluster: None):
    """The workers are told of the store by the step's environment."""
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL")}
    execution = {"default": {"runtime_env": {"env_vars": keys}}}
    result = on_s3.run(rp.Local(), execution, **FIT)
    assert result.exit_code == 0, result.error
    assert on_s3.made()["mean"] == [2.5, 2.0]
    result = on_s3.run(rp.Local(), execution, function={"_target_": "mine.square"}, items=list(range(1000)))
    assert result.exit_code == 0, result.error
    assert on_s3.made()["value"] == [n * n for n in range(1000)]
