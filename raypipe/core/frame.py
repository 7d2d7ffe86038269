"""The line of the user's code that an error came from."""

from __future__ import annotations

import os
import sysconfig
import traceback

import raypipe
from raypipe.core.errors import RaypipeError


def users_frame(error: BaseException) -> traceback.FrameSummary:
    """The last frame that is neither a library's nor raypipe's own: it says most, above it is raypipe, below it are libraries. The very
    last one where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if _is_users(frame.filename)), frames[-1])


def is_end(error: BaseException) -> bool:
    """Whether Ray ends its worker by it. Code of the user's that calls `sys.exit` raises SystemExit too, and has failed."""
    return isinstance(error, SystemExit) and hasattr(error, "ray_terminate_msg")


def trace(error: RaypipeError) -> str:
    """The traceback of what an error of raypipe's came from, as written in a task or as it is. Empty for what raypipe itself found."""
    cause: BaseException | None = error
    while isinstance(cause, RaypipeError):
        if cause.trace:
            return cause.trace.rstrip()
        cause = cause.__cause__ or cause.__context__
    if cause is None or cause.__traceback__ is None:
        return ""
    return "".join(traceback.format_exception(cause)).rstrip()


def _is_users(filename: str) -> bool:
    libraries = (*(sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")), *raypipe.__path__)
    if filename.startswith("<recorded "):  # source that a run recorded, loaded from there
        return True
    return os.path.isabs(filename) and not any(filename.startswith(os.path.join(folder, "")) for folder in libraries)
