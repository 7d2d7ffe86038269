"""Whether an error may be gone at the next try: a lost worker or node, a time-out, a store or a network that did not answer."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from raypipe.core.errors import ClusterError, Conflict, RaypipeError, StoreError

_ERRNOS = frozenset(
    getattr(errno, name)
    for name in (
        "EIO", "EAGAIN", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "ECONNREFUSED", "ECONNRESET", "EHOSTUNREACH", "EHOSTDOWN", "ENETDOWN",
        "ENETUNREACH", "ENETRESET", "ESTALE",
    )
)  # fmt: skip

_LASTING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT})
"""Of a store: what is full or forbidden stays so."""

# By name: none of these libraries may be imported for the question.
_NAMES = frozenset(
    {"ConnectionError", "TimeoutError", "Timeout", "OperationalError", "EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError"}
)
_RAYS = frozenset(
    {"RayTaskError", "TaskCancelledError", "RuntimeEnvSetupError", "PendingCallsLimitExceeded", "UserCodeException", "OutOfDiskError"}
)
"""Errors of Ray's that say that code failed or a disk is full, not that the cluster did."""


def is_transient(error: BaseException) -> bool:
    """Whether it is worth another try. What code of a user's raises for itself, wrong data and wrong settings are not."""
    return any(map(_is_one, _chain(error)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and what it was raised from, as Ray wraps them too."""
    seen: set[int] = set()
    left = [error]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        inner = [one.__cause__, getattr(one, "cause", None), *getattr(one, "worker_failures", {}).values()]
        left += [each for each in inner if isinstance(each, BaseException)]


def _is_one(error: BaseException) -> bool:
    if isinstance(error, StoreError):
        return error.transient or (isinstance(error.__cause__, OSError) and error.__cause__.errno not in _LASTING)
    if isinstance(error, RaypipeError):
        return error.transient or isinstance(error, (ClusterError, Conflict))
    if isinstance(error, OSError) and error.errno in _ERRNOS:
        return True
    classes = type(error).__mro__
    if any(c.__module__.startswith("ray.exceptions") and c.__name__ == "RayError" for c in classes):
        return not any(c.__name__ in _RAYS for c in classes)
    return any(c.__name__ in _NAMES for c in classes)
