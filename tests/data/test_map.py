import functools
import os
import pickle
import threading
import time
from dataclasses import dataclass

import pytest

from raypipe.core.errors import DataError, Interrupted, StoreError
from raypipe.core.transient import is_transient
from raypipe.data.function.fault import FunctionError, Rows
from raypipe.data.map import Workers, _pieces, map_fragments
from raypipe.pipeline.interrupt import Interrupt


@dataclass(frozen=True)
class Item:
    path: str
    number: int
    size: int = 8 << 20


ITEMS = [Item(f"t/{n}.parquet", n) for n in range(12)]


@pytest.fixture(params=["inline", "ray"])
def inline(request):
    """Every promise holds in both ways of running."""
    if request.param == "ray":
        request.getfixturevalue("ray_cluster")
    return request.param == "inline"


def user_function(number):
    return {"ratio": 1 / (number - 7)}


def test_results_come_in_the_order_of_the_items(inline):
    def kernel(item):
        time.sleep(0.01 * (12 - item.number))
        return item.number

    assert map_fragments(kernel, ITEMS, inline=inline) == list(range(12))
    assert map_fragments(kernel, [], inline=inline) == []


def test_values_arrive_as_they_were(inline):
    values = [{"a": None, "b": (1, 2)}, {"c": float("inf")}, None, Item("x", 1), [1, "a"], "text"]
    assert map_fragments(lambda value: value, values, inline=inline) == values


def test_raypipes_own_errors_arrive_as_themselves(inline):
    def kernel(item):
        if item.number == 3:
            raise StoreError("t/3.parquet: is gone")
        return item

    with pytest.raises(StoreError, match=r"^t/3\.parquet: is gone$"):
        map_fragments(kernel, ITEMS, inline=inline)


def test_an_error_of_the_users_names_item_function_and_line(inline):
    with pytest.raises(DataError) as caught:
        map_fragments(lambda item: user_function(item.number), ITEMS, inline=inline)
    line = user_function.__code__.co_firstlineno + 1
    assert str(caught.value) == (
        "t/7.parquet: user_function raised ZeroDivisionError: division by zero\n"
        f'  {__file__}, line {line}: return {{"ratio": 1 / (number - 7)}}'
    )


def test_an_error_inside_a_library_names_the_users_line(inline):
    import pyarrow as pa

    with pytest.raises(DataError, match=r"t/\d+\.parquet: <lambda> raised KeyError.*\n  .*test_map.py, line \d+: "):
        map_fragments(lambda item: pa.table({"x": [1]}).column("y"), ITEMS, inline=inline)


def test_an_error_ends_the_job_early(ray_cluster, tmp_path):
    def kernel(item):
        (tmp_path / str(item.number)).touch()
        if item.number == 0:
            raise ValueError("no")
        time.sleep(0.5)

    many = [Item(f"t/{n}.parquet", n) for n in range(60)]
    with pytest.raises(DataError, match="ValueError: no"):
        map_fragments(kernel, many, inline=False)
    assert len(list(tmp_path.iterdir())) < 40


def test_work_that_waits_is_spread_over_all_that_the_cluster_is_told_of(ray_cluster):
    def kernel(item):
        time.sleep(0.2)
        return os.getpid()

    assert len(set(map_fragments(kernel, ITEMS, inline=False, on=Workers(waits=True)))) >= 3


def test_work_that_computes_is_spread_over_the_cores(ray_cluster):
    def kernel(item):
        began = time.monotonic()
        time.sleep(0.2)
        return began, time.monotonic()

    times = map_fragments(kernel, ITEMS, inline=False)
    at_once = [sum(begun <= began < ended for begun, ended in times) for began, _ in times]
    assert 1 <= max(at_once) <= (os.cpu_count() or 1)


def test_a_worker_that_dies_is_said(ray_cluster):
    def kernel(item):
        if item.number == 1:
            os._exit(1)
        return item.number

    with pytest.raises(DataError, match=r"t/1\.parquet: the worker process ended 2 times before it was done"):
        map_fragments(kernel, ITEMS[:2], inline=False)


def test_many_tiny_items_share_tasks():
    tiny = [Item(f"{n}", n, size=1_000) for n in range(320)]
    pieces = _pieces(tiny, num_cpus=4)
    assert len(pieces) == 16
    assert [item for piece in pieces for item in piece.items] == tiny
    assert [piece.first for piece in pieces] == list(range(0, 320, 20))
    assert len(_pieces(tiny[:16], num_cpus=4)) == 16
    assert len(_pieces([Item("", 0, size=5 << 20)] * 320, num_cpus=4)) == 320
    assert len(_pieces([Item("", 0, size=2 << 20)] * 320, num_cpus=4)) == 80
    assert len(_pieces(list(range(320)), num_cpus=4)) == 320


def test_a_single_item_has_the_same_promises(inline):
    assert map_fragments(lambda item: item, ITEMS[:1], inline=inline) == ITEMS[:1]
    with pytest.raises(DataError, match=r"t/7\.parquet: user_function raised ZeroDivisionError"):
        map_fragments(lambda item: user_function(item.number), ITEMS[7:8], inline=inline)
    with pytest.raises(StoreError, match="is gone"):
        map_fragments(_gone, ITEMS[:1], inline=inline)


def test_what_may_be_gone_at_the_next_try_is_known_behind_a_task_too(inline):
    """What an error was raised from stays in the process that raised it."""
    for error, cause, expected in (
        (FunctionError("f raised"), ConnectionError("no answer"), True),
        (FunctionError("f raised"), ValueError("wrong"), False),
        (StoreError("cannot be read"), OSError("AWS Error INTERNAL_FAILURE"), True),
    ):
        with pytest.raises(type(error)) as raised:
            map_fragments(functools.partial(_raise, error, cause), ITEMS[:2], inline=inline)
        assert is_transient(raised.value) is expected


def test_an_error_of_a_function_travels_with_all_that_it_says():
    error = FunctionError("f raised", Rows(1, 2))
    error.transient, error.trace = True, "Traceback"
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.rows, again.transient, again.trace) == (str(error), error.rows, True, "Traceback")


def _raise(error, cause, item):
    raise error from cause


def _gone(item):
    raise StoreError(f"{item.path}: is gone")


def test_a_single_item_whose_worker_dies_is_said(ray_cluster):
    with pytest.raises(DataError, match=r"t/1\.parquet: the worker process ended 2 times before it was done"):
        map_fragments(lambda item: os._exit(1), ITEMS[1:2], inline=False)


def test_a_single_item_is_ended_with_the_thread_that_waits_for_it(ray_cluster, tmp_path):
    interrupt, outcome = Interrupt(), []

    def kernel(item):
        (tmp_path / "begun").touch()
        time.sleep(60)
        (tmp_path / "ended").touch()

    def work():
        try:
            with interrupt.within():
                map_fragments(kernel, ITEMS[:1], inline=False)
        except Interrupted as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.01)
    interrupt.ask(Interrupted("enough"))
    interrupt.force()
    thread.join(30)
    assert [str(error) for error in outcome] == ["enough"]
    assert not (tmp_path / "ended").exists()
