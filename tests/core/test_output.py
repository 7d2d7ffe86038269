"""Printed lines, heard beside where they go."""

from __future__ import annotations

import logging
import pickle
import sys
import threading
from collections.abc import Callable

from raypipe.core import output
from raypipe.core.output import Line, Lines, heard, unheard


def texts(lines: Lines) -> list[str]:
    return [line.text for line in (*lines.first, *lines.last)]


def test_lines_are_heard_and_still_printed(capsys):
    lines = Lines()
    before = sys.stdout
    with heard(lines):
        print("one\ntwo", end="")
        print("!")
        print("bad", file=sys.stderr)
        with unheard():
            print("aside")
        print("no end", end="")
    assert sys.stdout is before
    assert [(line.stream, line.text) for line in lines.first] == [("out", "one"), ("out", "two!"), ("err", "bad"), ("out", "no end")]
    assert capsys.readouterr().out == "one\ntwo!\naside\nno end"
    assert pickle.loads(pickle.dumps(lines)) == lines


def test_what_other_threads_print_belongs_to_them_unless_the_process_does_nothing_else():
    mine, ours = Lines(), Lines()

    def other() -> None:
        thread = threading.Thread(target=print, args=("other",))
        thread.start()
        thread.join()

    with heard(mine):
        other()
        print("own")
    with heard(ours, alone=True):
        other()
        print("own")
    assert (texts(mine), texts(ours)) == (["own"], ["other", "own"])


def test_a_handler_made_in_one_block_is_heard_in_the_next():
    first, second = Lines(), Lines()
    logger = logging.getLogger("tests.output")
    logger.propagate = False
    with heard(first):
        logger.addHandler(handler := logging.StreamHandler())
        logger.warning("early")
    with heard(second):
        logger.warning("late")
    logger.removeHandler(handler)
    assert (texts(first), texts(second)) == (["early"], ["late"])


def test_a_live_display_comes_and_goes(capsys):
    from rich.console import Console

    console = Console(force_terminal=True, width=80)
    lines = Lines()

    def shown(*steps: Callable[[], None]) -> None:
        with unheard():
            for step in steps:
                step()
        output.renew()

    status = console.status("busy")
    with heard(lines):
        print("before")
        shown(status.start)
        print("while")
        shown(status.stop, status.start)
        print("again")
        shown(status.stop)
        print("after")
    assert texts(lines) == ["before", "while", "again", "after"]
    assert "again" in capsys.readouterr().out


def test_the_middle_of_much_is_cut_and_counted_and_long_lines_too():
    lines = Lines()
    with heard(lines):
        for n in range(1000):
            print(n)
        print("x" * 5000)
        print("10 %\r100 %")
    assert len(lines.first) == output.NUM_FIRST
    assert lines.num_cut == 1002 - output.NUM_FIRST - output.NUM_LAST
    assert texts(lines)[-3] == "999"
    assert texts(lines)[-2].endswith("... (5,000 characters)")
    assert texts(lines)[-1] == "100 %"
    heard_here = Lines()
    with heard(heard_here):
        output.hand_on(lines, "part-3")
    assert heard_here.first[0] == Line(lines.first[0].at, "out", "0", "part-3")
    assert heard_here.num_cut >= lines.num_cut
