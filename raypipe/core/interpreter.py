"""What Python does beside the program: its collector of cycles, and the taking down of the interpreter."""

from __future__ import annotations

import atexit
import contextlib
import gc
import io
import os
import sys
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is collected in the block, which makes much and throws little away: imports, a config, a plan.

    The collector would go through all of it a dozen times: 1.5 times a bare program's CPU for an unchanged run, and 1.3 without it.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.unfreeze()  # what was made is the oldest generation's now, without having been gone through
        gc.enable()


ENGINES = ("ray", "duckdb", "onnx", "onnxruntime", "torch", "lightgbm")
"""Their own objects may wait to be told of the end; of those that are not, DuckDB prints a list of leaks."""

BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)
"""Files that may hold what was written to them."""


def leave() -> None:
    """At the end of a program that is Python alone nothing is left to collect: Python would look at every object once more, a fifth of an
    unchanged run."""
    if not any(engine in sys.modules for engine in ENGINES):
        gc.freeze()


def end(code: int) -> int:
    """The program's exit code; where Ray was at work the program ends here, once all that asked to hear of its end has.

    Taking the interpreter down below Ray's threads took half a second of each run, and nothing of what it frees is needed.
    """
    if "ray" not in sys.modules:
        return code
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # what the interpreter itself does first: no public name has it
        atexit._run_exitfuncs()
    except KeyboardInterrupt as stop:  # who waits for a thread no longer has its handlers run all the same
        code = getattr(stop, "exit_code", 130)
        atexit._run_exitfuncs()
    for kept in gc.get_objects():  # what a user's code wrote to a file that it left open, and the streams
        if type(kept) in BUFFERED:
            with contextlib.suppress(OSError, ValueError):  # who read our output has gone; closed
                kept.flush()
    os._exit(code)
