"""A contract as YAML: written with comments that say what was seen, and read back."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from typing import Any

from raypipe.core.artifact import Json
from raypipe.data.contract.infer import Inferred

COMMENT_COLUMN = 60
"""Where comments begin, if the line lets them."""
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[ .-][A-Za-z0-9_]+)*")
_WORDS = {"true", "false", "null", "yes", "no", "on", "off", "y", "n", "nan", "inf", "infinity"}
"""What YAML takes for something else than text."""


def to_yaml(found: Inferred, of: str) -> str:
    """The file that `raypipe tables infer` writes; `of` says of what."""
    contract = found.contract
    lines = [
        f"# A contract to start from: {of}, {found.num_rows:,} rows. Ranges are rounded outwards; what was seen stands behind each line.",
        "# Tighten it, and say what becomes of rows that break it: on_breach: fail (the default), quarantine, drop or warn.",
        *([] if contract.exact else ["exact: false"]),
        f"min_rows: {contract.min_rows}",
        "columns:",
    ]
    for name, column in contract.columns.items():
        line = f"  {_scalar(name)}: {_flow(stated(column))}"
        seen = found.seen.get(name, "")
        lines.append(f"{line:{COMMENT_COLUMN}}  # {seen}" if seen else line)
    lines += [f"  # {name}: left out, {why}" for name, why in found.left_out.items()]
    return "\n".join(lines) + "\n"


def stated(part: Any) -> dict[str, Json]:
    """The settings that differ from their defaults, as JSON."""
    made = {}
    for field in dataclasses.fields(part):
        value = getattr(part, field.name)
        default = field.default_factory() if field.default_factory is not dataclasses.MISSING else field.default
        if type(value) is not type(default) or value != default:
            made[field.name] = _json(value)
    return made


def _json(value: Any) -> Json:
    if dataclasses.is_dataclass(value):
        return stated(value)
    if isinstance(value, Mapping):
        return {name: _json(item) for name, item in value.items()}
    return [_json(item) for item in value] if isinstance(value, list | tuple) else value


def _flow(value: Json) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_scalar(k)}: {_flow(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Json) -> str:
    if isinstance(value, float):
        text = repr(value)
        # YAML 1.1 takes 1e-05 for text.
        return text.replace("e", ".0e") if "e" in text and "." not in text else text
    if not isinstance(value, str):
        return json.dumps(value)
    return value if _PLAIN.fullmatch(value) and value.lower() not in _WORDS else _quoted(value)


def _quoted(text: str) -> str:
    """What YAML lets stand in a text stands there, the rest as its number."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'
