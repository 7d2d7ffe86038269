"""JSON in the one form that digests are made of."""

from __future__ import annotations

import json

from raypipe.core.artifact import Json


def canonical(value: Json) -> str:
    """JSON with sorted keys and no spaces. ValueError for NaN and infinity, which JSON cannot say."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
