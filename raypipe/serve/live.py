"""What an endpoint's process serves right now, and what became of the version it was asked for last."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import Literal

from raypipe.core.artifact import Json
from raypipe.core.errors import RaypipeError
from raypipe.serve.desired import Desired
from raypipe.serve.served import Served, load_served

State = Literal["empty", "loading", "serving", "failed"]


@dataclass(frozen=True)
class Asked:
    """The version asked for last. `failed` leaves the one before it serving."""

    state: State = "empty"
    version: int | None = None
    mark: str = ""
    problem: str = "no model has been asked for yet"


class Live:
    """Holds at most one served version; a newer one takes its place once it has loaded, between two requests."""

    def __init__(self, served: Served | None = None):
        self.served = served
        self.asked = Asked("serving", served.desired.version, served.desired.mark, "") if served else Asked()
        self._lock = threading.Lock()

    def ask(self, desired: Desired) -> None:
        """Loads this version where it is not the one asked for last. Never raises.

        The first one loads in the caller's thread, so that a process takes no request before it can answer; a later one
        loads in a thread of its own, so that no request waits for it.
        """
        if desired.mark == self.asked.mark and self.asked.state != "failed":
            return
        self.asked = Asked("loading", desired.version, desired.mark, "it is being loaded")
        if self.served is None:
            self._load(desired)
        else:
            threading.Thread(target=self._load, args=[desired], name="load", daemon=True).start()

    def state(self) -> dict[str, Json]:
        """What `/readyz` answers; it is ready while some version answers, be it not the one asked for."""
        asked, served = self.asked, self.served
        document: dict[str, Json] = {"ready": served is not None, "state": asked.state, "asked": asked.version, "mark": asked.mark}
        document["serving"] = served.desired.version if served else None
        return document | ({"problem": asked.problem} if asked.problem else {})

    def _load(self, desired: Desired) -> None:
        with self._lock:
            if desired.mark != self.asked.mark:
                return  # a newer one was asked for meanwhile
            served = self.served
            if served is None or served.desired.mark != desired.mark:
                served = _loaded(desired)
            if isinstance(served, Served):
                self.served = served
            if desired.mark == self.asked.mark:
                problem = "" if isinstance(served, Served) else served
                self.asked = Asked("failed" if problem else "serving", desired.version, desired.mark, problem)


def _loaded(desired: Desired) -> Served | str:
    try:
        return load_served(desired)
    except RaypipeError as error:
        return str(error)
    except Exception as error:
        logging.getLogger(__name__).exception("%s version %s could not be loaded", desired.name, desired.version)
        return f"{type(error).__name__}: {error}"
