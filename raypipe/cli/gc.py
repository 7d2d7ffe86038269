"""gc: what of store and ledger may go under the project's policy, what stays and why; released first, deleted by a later call."""

from __future__ import annotations

import argparse
import dataclasses
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from raypipe.core.artifact import Json
from raypipe.core.disk import warning
from raypipe.core.retention import Retention
from raypipe.core.wording import counted, size_text
from raypipe.pipeline.plan import Scene, open_scene

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from raypipe.data.lake.forget import Old
    from raypipe.data.lake.gc import Collected, Garbage
    from raypipe.data.lake.holdings import Survey


def gc(options: argparse.Namespace) -> int:
    """Under --dry-run everything is told and nothing is changed."""
    scene = open_scene()
    policy = scene.place.retention
    if options.grace_hours is not None:
        policy = dataclasses.replace(policy, grace=f"{options.grace_hours:g}h")
    return _dry(scene, policy, options) if options.dry_run else _collect(scene, policy, options)


def _dry(scene: Scene, policy: Retention, options: argparse.Namespace) -> int:
    from raypipe.data.lake.holdings import survey

    found = survey(scene.ledger, scene.store, policy)
    if options.json:
        values = {"policy": dataclasses.asdict(policy), **dataclasses.asdict(found), "releasable_bytes": found.releasable_bytes}
        print(json.dumps({**values, "warning": warning(scene.store, policy)}, indent=2))
        return 0
    for line in (*_told(found, policy), *_list_told(found.on_list, policy, "would be deleted")):
        print(line)
    print(f"of {size_text(found.num_bytes)} in {counted(found.num_files, 'file')}, {size_text(found.releasable_bytes)} may go")
    _warn(scene, policy)
    for garbage in (*found.on_list.deleted, *found.on_list.listed, *found.files) if options.files else ():
        print(f"  {garbage.path} {size_text(garbage.size)} since {garbage.since[:19]}")
    return 0


def _told(found: Survey, policy: Retention) -> Iterator[str]:
    """Each step and table with what would go, how much that is, and why the rest stays."""
    for holding in found.holdings:
        going = f"releases {holding.num_going}" if holding.num_going else ""
        size = f" ({counted(holding.num_files, 'file')}, {size_text(holding.num_bytes)})" if holding.num_files else ""
        yield f"{holding.what}: {', '.join(filter(None, (f'{going}{size}', str(holding))))}"
    if found.holdings and any(holding.num_going for holding in found.holdings):
        yield f"released is what nothing needs, is older than {policy.keep_for}, and is none of the last {policy.keep_last} of its step"
    if not found.old.is_empty or found.old.num_kept:
        yield f"runs: {_old_told(found.old, 'forgets')}keeps lines and code of {found.old.num_kept:,} (logs_for={policy.logs_for})"


def _old_told(old: Old, verb: str) -> str:
    if old.is_empty:
        return ""
    lines = f"{old.num_lines:,} lines ({size_text(old.num_log_bytes)})"
    return f"{verb} {lines} and {len(old.documents):,} documents ({size_text(old.num_document_bytes)}) of {len(old.runs):,}, "


def _collect(scene: Scene, policy: Retention, options: argparse.Namespace) -> int:
    from raypipe.data.lake.forget import forget
    from raypipe.data.lake.gc import gc as collect
    from raypipe.data.lake.release import released_now
    from raypipe.data.lake.upkeep import count

    releasing = released_now(scene.ledger, policy)
    old = forget(scene.ledger, policy)
    done = collect(scene.ledger, scene.store, policy=policy)
    now = datetime.now(UTC)
    count(scene.ledger, scene.place.retention, now, now.isoformat())
    if options.json:
        values: dict[str, Json] = {"released": dataclasses.asdict(releasing), "old": dataclasses.asdict(old), **dataclasses.asdict(done)}
        print(json.dumps({**values, "warning": warning(scene.store, policy)}, indent=2))
        return 0
    print(f"{releasing.num_artifacts:,} artifacts released, {releasing.num_snapshots:,} snapshots of tables ended")
    if told := _old_told(old, "forgot"):
        print(f"{told.rstrip(', ')} runs")
    for line in _list_told(done, policy, "deleted"):
        print(line)
    _warn(scene, policy)
    return 0


def _list_told(done: Collected, policy: Retention, verb: str) -> Iterator[str]:
    yield f"{counted(len(done.deleted), 'file')} of {_size(done.deleted)} {verb}"
    yield f"{counted(len(done.listed), 'file')} of {_size(done.listed)} on the list: nothing names them, deleted after {policy.grace} on it"
    if done.read_by:
        yield f"some of them wait for runs that are at work, and may read them: {', '.join(done.read_by)}"
    if done.num_refused:
        yield (
            f"{done.num_refused:,} files in refused/ hold rows that a contract refused, to be looked at: listed after {policy.refused_for}"
        )
    if done.num_unknown:
        yield f"{counted(done.num_unknown, 'file')} in the store are not this ledger's: left alone"


def _size(files: Iterable[Garbage]) -> str:
    return size_text(sum(garbage.size for garbage in files))


def _warn(scene: Scene, policy: Retention) -> None:
    if told := warning(scene.store, policy):
        print(told)
