"""One process of a Serve deployment: it holds a model version and answers requests by the endpoint's application."""

from __future__ import annotations

from typing import Any

from raypipe.core.artifact import Json
from raypipe.serve.desired import Desired
from raypipe.serve.live import Live

REVISION = "1"
"""Raised when replicas must be replaced, not reconfigured: their code changed."""


class Replica:
    """What Serve makes a process of. `serve.ingress` hands its requests to the application."""

    def __init__(self):
        from ray import serve

        self.live = Live()
        self.id = serve.get_replica_context().replica_id.unique_id

    def reconfigure(self, user_config: Json) -> None:
        """Called before the first request, and again whenever another version is wanted. It never raises: an exception here would
        take the replica out of service, old version and all."""
        self.live.ask(Desired.from_json(user_config))

    def __serve_build_asgi_app__(self) -> Any:
        from raypipe.serve.endpoint import application

        return application(self.live, self.id)
