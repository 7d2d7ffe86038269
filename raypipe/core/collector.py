"""Python's collector of cycles, kept from going again and again through what is made to stay."""

from __future__ import annotations

import contextlib
import gc
import sys
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


def leave() -> None:
    """At the end of a program that is Python alone nothing is left to collect: Python would look at every object once more, a fifth of an
    unchanged run. Where Ray was, its own objects may wait to be told."""
    if "ray" not in sys.modules:
        gc.freeze()
