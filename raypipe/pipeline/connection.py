"""The cluster of one run: joined by the first step that needs it, left when the run ends."""

from __future__ import annotations

import threading
from pathlib import Path

from raypipe.core.cluster import Cluster, Session, connect

LEAVE_S = 30.0
"""How long a run waits for Ray to end."""


class Connection:
    """Asked by many threads, and made once."""

    def __init__(self, cluster: Cluster, project_path: Path):
        self._cluster, self._project_path = cluster, project_path
        self._lock = threading.Lock()
        self._session: Session | None = None
        self._error: BaseException | None = None
        self._settled, self._over = threading.Event(), threading.Event()
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
            with connect(self._cluster, self._project_path) as session:
                self._session = session
                self._settled.set()
                self._over.wait()
        except BaseException as error:
            self._error = error
        finally:
            self._settled.set()
