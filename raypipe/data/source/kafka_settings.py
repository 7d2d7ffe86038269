"""How Kafka is reached: librdkafka's properties from the config, security from the environment alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from raypipe.core.errors import DataError

if TYPE_CHECKING:
    from raypipe.data.source.kafka import Kafka

SECRET = ("sasl", "ssl", "security", "password", "secret", "token", "oauth", "credential", "key.pem", "username")
OURS = ("bootstrap.servers", "group.id", "auto.offset.reset", "enable.auto.commit", "enable.partition.eof", "isolation.level")
CODE = ("plugin.library.paths",)
"""Properties that load code."""


def settings_problems(settings: Mapping[str, str], env: str) -> list[str]:
    """What may not stand in a config."""
    found = []
    for name in settings:
        variable = env + name.upper().replace(".", "_")
        if any(word in name.lower() for word in SECRET):
            found.append(f"settings.{name}: security is not written into a config; set the environment variable {variable}")
        elif name in OURS:
            found.append(f"settings.{name}: is set by raypipe" + (" (setting `servers`)" if name == "bootstrap.servers" else ""))
        elif name in CODE:
            found.append(f"settings.{name}: would load code, and is not taken")
    return found


def properties(source: Kafka) -> dict[str, Any]:
    """What a consumer is made with. DataError where no broker is named."""
    found: dict[str, Any] = {
        "group.id": "raypipe",  # librdkafka asks for one; nothing is committed under it
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "check.crcs": True,
        "queued.max.messages.kbytes": 32 << 10,
        "fetch.wait.max.ms": 50,
        "log_level": 0,
        **source.settings,
        **_from_environment(source.env),
    }
    if source.servers:
        found["bootstrap.servers"] = source.servers
    if not found.get("bootstrap.servers"):
        raise DataError(f"topic {source.topic}: no broker is named. Set `servers`, or the variable {source.env}BOOTSTRAP_SERVERS.")
    return found


def _from_environment(env: str) -> dict[str, str]:
    names = {name: name.removeprefix(env).lower().replace("_", ".") for name in os.environ if name.startswith(env)}
    return {property: os.environ[name] for name, property in names.items() if property not in CODE}
