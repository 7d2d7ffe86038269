"""How much of the chaos is tried: a little in `make test`, all with RAYPIPE_CHAOS=long, the third tenth with RAYPIPE_CHAOS=long:3/10."""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_FORM, _, _WHICH = os.environ.get("RAYPIPE_CHAOS", "").partition(":")
LONG = _FORM == "long"
PART, NUM_PARTS = map(int, (_WHICH or "1/1").split("/"))


def amount(long: int, short: int) -> int:
    """So many kills, cuts or schedules."""
    return -(-long // NUM_PARTS) if LONG else short


def share(all_of_them: Sequence[T]) -> Sequence[T]:
    """This part's of what the long form tries one by one."""
    return all_of_them[PART - 1 :: NUM_PARTS]


def chance(seed: int) -> random.Random:
    """The same at each call, and another one in each part."""
    return random.Random(seed + 1_000_003 * (PART - 1))
