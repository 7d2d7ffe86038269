"""Secrets: the values of variables of the environment whose names say so. They reach no file, no log and no tracker."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

NAME = re.compile(r"KEY|SECRET|TOKEN|PASS|CREDENTIAL|CONNECTION_STRING", re.IGNORECASE)
SHORTEST = 6
"""Characters: a shorter value would be found in plain words."""


def values(environ: Mapping[str, str] | None = None) -> list[str]:
    """The longest first, so that one that holds another is masked whole."""
    environ = os.environ if environ is None else environ
    found = {value for name in environ if NAME.search(name) and len(value := environ.get(name, "")) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def masked(value: Any, environ: Mapping[str, str] | None = None, *, told_apart: bool = False, known: Sequence[str] | None = None) -> Any:
    """A JSON value, keys too, with `***` where a secret stood; `told_apart` adds 8 digits of its sha256, so that another one differs.

    `known`: the secrets, where they have been looked for already.
    """
    secrets: dict[str, str] | None = None

    def mask(value: Any) -> Any:
        nonlocal secrets
        if isinstance(value, Mapping):
            return {mask(str(key)): mask(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return [mask(each) for each in value]
        if isinstance(value, str):
            if secrets is None:
                secrets = {
                    s: f"***{hashlib.sha256(s.encode()).hexdigest()[:8]}" if told_apart else "***"
                    for s in (values(environ) if known is None else known)
                }
            for secret, mask_ in secrets.items():
                value = value.replace(secret, mask_)
        return value

    return mask(value)
