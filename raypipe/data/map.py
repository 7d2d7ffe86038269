"""The one executor: a kernel mapped over descriptors (fragments, files) by Ray Data, or in a plain loop."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from raypipe.core.errors import DataError, RaypipeError

T = TypeVar("T")
R = TypeVar("R")


def map_fragments(kernel: Callable[[T], R], items: Sequence[T], *, inline: bool) -> list[R]:
    """`kernel` of each item, in the order of the items; one task an item, so that they spread over the CPUs.

    What the kernel raises arrives as itself where it is raypipe's own, and otherwise as DataError with the function, the item and
    the line that raised. `inline` runs them here, one after another. Results are small: descriptors and counts, never rows.
    """
    attempt = _Attempt(kernel)
    if inline or not items:
        return [_value(attempt(item)) for item in items]
    results: list[Any] = [None] * len(items)
    for index, outcome in _by_ray(attempt, items):
        results[index] = _value(outcome)
    return results


class _Attempt:
    """Runs the kernel and returns `(value, None)` or `(None, error)`: an error that travels as a value is not wrapped or logged by Ray."""

    def __init__(self, kernel: Callable[[Any], Any]):
        self.kernel = kernel

    def __call__(self, item: Any) -> tuple[Any, Exception | None]:
        try:
            return self.kernel(item), None
        except RaypipeError as error:
            return None, error
        except Exception as error:
            return None, DataError(_told(self.kernel, item, error))


def _value(outcome: tuple[Any, Exception | None]) -> Any:
    value, error = outcome
    if error is not None:
        raise error
    return value


def _told(kernel: Callable[..., Any], item: Any, error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    name = getattr(kernel, "__name__", type(kernel).__name__)
    return f"{getattr(item, 'path', item)}: {name} raised {type(error).__name__}: {error} (line {last.lineno} of {last.filename}: {last.line})"


def _by_ray(attempt: _Attempt, items: Sequence[Any]) -> Iterator[tuple[int, tuple[Any, Exception | None]]]:
    import ray.data

    rows = [{"index": index, "item": item} for index, item in enumerate(items)]
    dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(lambda row: {"index": row["index"], "outcome": attempt(row["item"])})
    for row in dataset.iter_rows():
        yield row["index"], row["outcome"]
