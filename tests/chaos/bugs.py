"""Bugs to plant into the commit protocol: each a mistake that someone could make in the code of leases, ledger, store or collection.

The simulation must catch every one of them; where it does not, it would not catch the mistake either.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import and_, delete, text, update

from raypipe.core import lease as leases
from raypipe.core import records
from raypipe.core import store as stores
from raypipe.core.errors import Fenced
from raypipe.core.ledger import Ledger
from raypipe.core.schema import leases as table
from raypipe.core.store import Store
from raypipe.data.lake import attempts as at_work
from raypipe.pipeline import attempt

Bug = Callable[[pytest.MonkeyPatch], None]


def _named(project: str, key: str) -> Any:
    return and_(table.c.project == project, table.c.key == key)


def nobody_asks_for_the_token(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases, "fence", lambda *_: None)


def the_token_is_asked_for_before_the_transaction(patch: pytest.MonkeyPatch) -> None:
    fence, publish = leases.fence, Ledger.publish

    def published(self: Ledger, lease: Any, *rest: Any, **more: Any) -> Any:
        with self.reading() as connection:
            fence(connection, self.project, lease)
        return publish(self, lease, *rest, **more)

    patch.setattr(Ledger, "publish", published)
    patch.setattr(leases, "fence", lambda *_: None)


def the_lease_is_held_by_the_clock_alone(patch: pytest.MonkeyPatch) -> None:
    def fence(connection: Any, project: str, lease: Any) -> None:
        row = leases.lock(connection, project, lease.key)
        if row.released_at is not None:
            raise Fenced("given back")

    patch.setattr(leases, "fence", fence)


def the_token_does_not_rise(patch: pytest.MonkeyPatch) -> None:
    claim = leases.claim

    def claimed(connection: Any, project: str, key: str, *rest: Any) -> Any:
        lease = claim(connection, project, key, *rest)
        token = max(1, lease.token - 1)
        connection.execute(update(table).where(_named(project, key)).values(token=token))
        return leases.Lease(key, token, lease.run, lease.ttl_s)

    patch.setattr(leases, "claim", claimed)


def the_token_of_a_released_lease_begins_anew(patch: pytest.MonkeyPatch) -> None:
    def release(connection: Any, project: str, lease: Any, now: float) -> None:
        connection.execute(delete(table).where(_named(project, lease.key), table.c.token == lease.token))

    patch.setattr(leases, "release", release)


def who_never_beat_lives_for_ever(patch: pytest.MonkeyPatch) -> None:
    alive = leases._alive

    def lives(key: str, row: Any, now: float, one_host: bool) -> str:
        fresh = row.owner is not None and row.released_at is None and row.beaten_at is None
        return alive(key, row, now, one_host) or ("never beat" if fresh else "")

    patch.setattr(leases, "_alive", lives)


def the_time_since_the_claim_counts_and_no_sign_of_life(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases, "beat", lambda connection, project, lease, now: None)


def a_lease_is_taken_whoever_holds_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases, "_alive", lambda *_: "")


def the_dead_are_looked_for_on_the_wrong_host(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(leases.Owner, "is_dead", lambda self, here, one_host=False: self.boot != here.boot)


def a_clock_set_back_keeps_a_lease(patch: pytest.MonkeyPatch) -> None:
    def alive(key: str, row: Any, now: float, one_host: bool) -> str:
        if row.owner is None or row.released_at is not None:
            return ""
        last = row.claimed_at if row.beaten_at is None else row.beaten_at
        return "" if now - last >= row.ttl_s else "alive"

    patch.setattr(leases, "_alive", alive)


def anyone_beats_for_the_holder(patch: pytest.MonkeyPatch) -> None:
    def beat(connection: Any, project: str, lease: Any, now: float) -> None:
        connection.execute(update(table).where(_named(project, lease.key)).values(beaten_at=now))

    patch.setattr(leases, "beat", beat)


def anyone_gives_back_what_another_holds(patch: pytest.MonkeyPatch) -> None:
    def release(connection: Any, project: str, lease: Any, now: float) -> None:
        connection.execute(update(table).where(_named(project, lease.key)).values(released_at=now))

    patch.setattr(leases, "release", release)


def a_winner_is_superseded_unseen(patch: pytest.MonkeyPatch) -> None:
    publish = Ledger._publish

    def published(self: Ledger, connection: Any, lease: Any, record: Any, commits: Any, replace: bool, id: str) -> Any:
        return publish(self, connection, lease, record, commits, True, id)

    patch.setattr(Ledger, "_publish", published)


def what_else_was_made_is_committed_apart(patch: pytest.MonkeyPatch) -> None:
    publish = Ledger._publish

    def published(self: Ledger, connection: Any, lease: Any, record: Any, commits: Any, replace: bool, id: str) -> Any:
        artifact = publish(self, connection, lease, record, [], replace, id)
        connection.commit()
        connection.begin()
        for commit in commits:
            commit(connection, artifact.id)
        return artifact

    patch.setattr(Ledger, "_publish", published)


def a_lost_connection_is_taken_for_a_failure(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "_read_back", lambda *_: None)


def a_file_is_renamed_and_not_synced(patch: pytest.MonkeyPatch) -> None:
    def keep(self: Any) -> None:
        self.stream.close()
        stores.os.replace(self._part, self._full)

    patch.setattr(stores._Part, "keep", keep)


def names_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "sync", lambda self, folder: None)


def only_the_last_folder_is_synced(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Store, folder: str) -> None:
        for path, _, _ in os.walk(self.local(folder)):
            stores._sync_folder(path)

    patch.setattr(Store, "sync", sync)


def names_are_synced_after_the_commit(patch: pytest.MonkeyPatch) -> None:
    sync, publish = Store.sync, Ledger.publish
    late: list[tuple[Store, str]] = []
    patch.setattr(Store, "sync", lambda self, folder: late.append((self, folder)))

    def published(self: Ledger, *args: Any, **more: Any) -> Any:
        artifact = publish(self, *args, **more)
        for store, folder in late:
            sync(store, folder)
        return artifact

    patch.setattr(Ledger, "publish", published)


def attempts_share_a_folder(patch: pytest.MonkeyPatch) -> None:
    work_under = attempt.work_under

    def shared(lease: Any, heartbeat: Any, look: Any, run: str, **more: Any) -> Any:
        return work_under(lease, heartbeat, look, run, **{**more, "path": f"{look.pipeline}/{look.step}/000001-aaaaaaaaaaaa"})

    patch.setattr(attempt, "work_under", shared)


def garbage_is_what_no_record_names(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(at_work, "live", lambda *_: lambda path: False)


def who_lost_its_files_may_publish(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(at_work, "end_stale", lambda *_: None)


def the_second_to_publish_wins_as_well(patch: pytest.MonkeyPatch) -> None:
    """`publish` does not look whether one is there already, and no index forbids two."""
    publish = Ledger._publish

    def published(self: Ledger, connection: Any, *rest: Any) -> Any:
        connection.execute(text("drop index if exists raypipe_artifacts_live"))
        with contextlib.ExitStack() as stack:
            inner = stack.enter_context(pytest.MonkeyPatch.context())
            inner.setattr(records, "live", lambda *_: {})
            inner.setattr(records, "supersede", lambda *_: None)
            return publish(self, connection, *rest)

    patch.setattr(Ledger, "_publish", published)


BUGS: dict[str, Bug] = {name: bug for name, bug in globals().items() if getattr(bug, "__module__", "") == __name__ and name[0] != "_"}
