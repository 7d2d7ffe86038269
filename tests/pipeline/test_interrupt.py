"""Ending work from outside of its thread: once, in time, and for the reason that counts."""

from __future__ import annotations

import threading
import time

import pytest

from raypipe.core.errors import Interrupted, TimedOut
from raypipe.pipeline.interrupt import Ended, Interrupt


def test_a_signal_counts_for_more_than_a_time_that_is_over_and_another_try_does_not_undo_it():
    interrupt = Interrupt()
    late = TimedOut("too long")
    interrupt.ask(late)
    interrupt.over()
    interrupt.wait(0)
    interrupt.ask(late)
    interrupt.ask(Interrupted("ctrl-c"))
    interrupt.over()
    with pytest.raises(Interrupted, match="ctrl-c"):
        interrupt.wait(0)
    interrupt.ask(late)
    with pytest.raises(Interrupted):
        interrupt.wait(0)


def test_what_is_forced_has_time_to_clean_up_before_it_is_forced_again():
    interrupt, seen = Interrupt(), []

    def work() -> None:
        try:
            with interrupt.within():
                try:
                    while True:
                        time.sleep(0.001)
                finally:
                    time.sleep(0.3)
                    seen.append("cleaned up")
        except Interrupted as error:
            seen.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(0.05)
    interrupt.ask(Interrupted("ended"))
    while thread.is_alive():
        interrupt.force()
        time.sleep(0.005)
    assert seen == ["cleaned up", "ended"]


def test_nothing_is_raised_after_the_work_however_close_it_was():
    for _ in range(300):
        interrupt, outcome = Interrupt(), []
        began = threading.Event()

        def work(interrupt: Interrupt = interrupt, outcome: list = outcome, began: threading.Event = began) -> None:
            try:
                with interrupt.within():
                    began.set()
            except Interrupted:
                outcome.append("ended")
            except Ended:
                outcome.append("escaped")
            try:
                for _ in range(200):
                    len(outcome)
                outcome.append("after")
            except BaseException as error:
                outcome.append(repr(error))

        thread = threading.Thread(target=work)
        thread.start()
        began.wait()
        interrupt.ask(Interrupted("x"))
        interrupt.force()
        thread.join()
        assert outcome[-1] == "after"
