"""The cluster of one run: joined by the first step that needs it, left when the run ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

from raypipe.core.cluster import Attach, Cluster, Session, connect, local_places, nodes
from raypipe.core.errors import ConfigError
from raypipe.core.place import Place

LEAVE_S = 30.0
"""How long a run waits for Ray to end."""
NODES_S = 5.0
"""Between two looks at a cluster's nodes. Ray itself takes a minute to give up one that is silent."""


class Connection:
    """Asked by many threads, and made once."""

    def __init__(self, cluster: Cluster, place: Place):
        self._cluster, self._place = cluster, place
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._error: BaseException | None = None
        self._settled, self._over = threading.Event(), threading.Event()
        self.on_lost: list[Callable[[str], None]] = []
        """Told of each node that is lost while the cluster is joined."""
        # Ray's own processes end with the thread that started them, not with the process: one that stays must do it. And in the main
        # thread Ray would put a handler of its own in the place of ours for SIGTERM.
        self._keeper = threading.Thread(target=self._keep, name="ray", daemon=True)

    def session(self) -> Session:
        """ClusterError where it cannot be joined; asked again, it is tried again."""
        with self._lock:
            if self._session is None:
                if self._keeper.ident is not None:
                    self._keeper.join()
                    self._settled.clear()
                    self._keeper = threading.Thread(target=self._keep, name="ray", daemon=True)
                self._keeper.start()
                self._settled.wait()
            if self._session is None:
                assert self._error is not None
                raise self._error
            return self._session

    def close(self) -> None:
        self._over.set()
        if self._keeper.is_alive():
            self._keeper.join(LEAVE_S)

    def _keep(self) -> None:
        try:
            with connect(self._cluster, self._place.path) as session:
                _refuse_local(session, self._place)
                self._session = session
                self._settled.set()
                if isinstance(self._cluster, Attach):
                    self._watch()
                self._over.wait()
        except BaseException as error:
            self._error = error
        finally:
            self._settled.set()

    def _watch(self) -> None:
        """Until the run is over. Ray does not always hear that a call to a silent node will not come back: then a step waits for ever."""
        known = {node for node, (_, lost) in nodes().items() if lost}
        while not self._over.wait(NODES_S):
            for node, (address, lost) in nodes().items():
                if lost and node not in known:
                    known.add(node)
                    for told in list(self.on_lost):
                        told(f"node {address} is lost: {lost}")


def _refuse_local(session: Session, place: Place) -> None:
    """How many nodes a cluster has that was found by itself is known only now."""
    found = local_places(f"the cluster at {session.address}", place.ledger_url, place.store_root) if session.num_nodes > 1 else []
    if found:
        raise ConfigError(found)
