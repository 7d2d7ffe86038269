"""What an endpoint says of itself, asked over loopback without Ray."""

from __future__ import annotations

import json


def serving(url: str, name: str, wait_s: float = 1.0) -> int | None:
    """The version of a model that answers at `url`; None where nothing answers, or answers otherwise."""
    from urllib.error import URLError
    from urllib.request import urlopen

    try:
        with urlopen(f"{url}/v1/models/{name}", timeout=wait_s) as answer:
            return json.load(answer).get("version")
    except (URLError, OSError, ValueError):
        return None
