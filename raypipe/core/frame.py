"""The line of the user's code that an error came from."""

from __future__ import annotations

import os
import sysconfig
import traceback

import raypipe


def users_frame(error: BaseException) -> traceback.FrameSummary:
    """The last frame that is neither a library's nor raypipe's own: it says most, above it is raypipe, below it are libraries. The very
    last one where there is none."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame for frame in reversed(frames) if _is_users(frame.filename)), frames[-1])


def _is_users(filename: str) -> bool:
    libraries = (*(sysconfig.get_path(key) for key in ("stdlib", "purelib", "platlib")), *raypipe.__path__)
    if filename.startswith("<recorded "):  # source that a run recorded, loaded from there
        return True
    return os.path.isabs(filename) and not any(filename.startswith(os.path.join(folder, "")) for folder in libraries)
