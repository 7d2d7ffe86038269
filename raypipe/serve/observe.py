"""What an endpoint says of itself, asked over loopback without Ray."""

from __future__ import annotations

from raypipe.core.errors import RaypipeError
from raypipe.serve.client import Client


def serving(url: str, name: str, wait_s: float = 1.0) -> int | None:
    """The version of a model that answers at `url`; None where nothing answers, or answers otherwise."""
    try:
        with Client(url, name, wait_s) as client:
            return client.describe().get("version")
    except RaypipeError:
        return None
