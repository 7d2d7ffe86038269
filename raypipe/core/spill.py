"""What does not fit into Ray's memory it puts on a disk: where that is, and what is said when that is full too."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator

from raypipe.core.errors import StepFailed
from raypipe.core.placement import cluster_resources
from raypipe.core.wording import size_text

FILLED = "95 %"
"""Of a disk Ray fills no more (RAY_local_fs_capacity_threshold)."""


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Where the block fails for want of room, StepFailed names the disk, and what can be done. `what`: whose rows they were."""
    try:
        yield
    except Exception as error:
        if not _is_full(error):
            raise
        memory = size_text(cluster_resources().get("object_store_memory", 0.0))
        raise StepFailed(
            f"{what}: its rows do not fit into Ray's object store ({memory}), and the disk that Ray moves them to is full: {_disk()}. "
            "Free some space there, or start Ray with a folder on a larger disk (RAY_object_spilling_directory); fewer rows are held at "
            "once where nothing is materialized, shuffled or sorted. What was done so far is kept, and the run goes on from there."
        ) from error


def _is_full(error: BaseException | None) -> bool:
    from ray.exceptions import OutOfDiskError

    seen: list[BaseException] = []
    while error is not None and error not in seen:
        if isinstance(error, OutOfDiskError) or isinstance(getattr(error, "cause", None), OutOfDiskError):
            return True
        seen.append(error)
        error = error.__cause__
    return False


def _disk() -> str:
    folder = _folder()
    if not folder:
        return f"that of its node's temporary folder, unless it was started with another; Ray fills {FILLED} of a disk at most"
    found = os.statvfs(folder)
    return f"{folder}, {size_text(found.f_blocks * found.f_frsize)} in all, of which Ray fills {FILLED} at most"


def _folder() -> str:
    """Of a Ray that this process started; empty of one that others did."""
    from ray._private import worker

    node = worker._global_node
    if node is None or not node.is_head():
        return ""
    found = json.loads(node._object_spilling_config).get("params", {}).get("directory_path", "")
    return found if isinstance(found, str) else ", ".join(found)
