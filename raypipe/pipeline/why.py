"""Why a step is not a HIT: what differs between its identity now and that of the nearest earlier artifact."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from raypipe.core.artifact import Json


def difference(
    before: Mapping[str, Json] | None,
    now: Mapping[str, Json],
    sources: Mapping[str, str | None],
    override: Callable[[str], str] = lambda setting: "",
    line: Callable[[str], str] = lambda code: "",
) -> str:
    """One line that names every setting, line of code, library and input that changed; `sources` maps an edge to its step.
    `override` and `line` say more of a setting and of a part of the code.

    Only what `now` holds is compared: a document without `inputs` compares the step's own part. Empty where nothing differs.
    """
    if before is None:
        return "never made"
    parts = [
        *(f"{text}{override(at)}" for at, text in _settings(before.get("settings"), now.get("settings"), "")),
        *(
            f"{_short(name)} {verb}{line(name) if verb == 'changed' else ''}"
            for name, verb in _changed(before.get("code", {}), now.get("code", {}))
        ),
        *(f"{name} {a} -> {b}" for name, a, b in _both(before.get("versions", {}), now.get("versions", {}))),
        *(f"raypipe's {_short(name)} is of a new revision" for name, _, _ in _both(before.get("revisions", {}), now.get("revisions", {}))),
    ]
    if "inputs" in now:
        changed = [e for e, _, _ in _values(before.get("inputs", {}), now["inputs"])]
        parts += [f"'{sources.get(e) or e}' came out different" for e in changed]
        parts += _observed(before.get("observed"), now.get("observed"))
    if now.get("uncached"):
        parts.append(f"no source of {', '.join(now['uncached'])}: not cached")
    if not parts and {k: v for k, v in before.items() if k in now} != dict(now):
        parts.append("libraries or components that shape it came or went")
    return "; ".join(parts)


def _settings(before: Json, now: Json, where: str) -> list[tuple[str, str]]:
    """Each setting with what it was and is."""
    if before == now:
        return []
    if isinstance(before, dict) and isinstance(now, dict) and before.get("_target_") == now.get("_target_"):
        keys = dict.fromkeys([*before, *now])
        return [told for k in keys for told in _settings(before.get(k), now.get(k), f"{where}.{k}" if where else k)]
    return [(where, f"{where or 'settings'} {_say(before)} -> {_say(now)}")]


def _observed(before: Json, now: Json) -> list[str]:
    if before == now:
        return []
    if isinstance(before or {}, dict) and isinstance(now or {}, dict):
        changed = _values(before or {}, now or {})
        told = [one for one in changed if not _is_digest(one[1])] or changed
        return [_one_observed(*one) for one in told]
    return [f"{_say(before)} -> {_say(now)}"]


def _one_observed(name: str, before: Json, now: Json) -> str:
    if not all(value is None or _is_digest(value) for value in (before, now)):
        return f"{name} {_say(before)} -> {_say(now)}"
    return f"{name} is given now" if before is None else f"{name} is not given any more" if now is None else f"{name} is another one"


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[tuple[str, str]]:
    words = {(True, True): "changed", (False, True): "is new", (True, False): "is no longer used"}
    return [(k, words[k in before, k in now]) for k in dict.fromkeys([*before, *now]) if before.get(k) != now.get(k)]


def _values(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[tuple[str, Json, Json]]:
    return [(k, before.get(k), now.get(k)) for k in dict.fromkeys([*before, *now]) if before.get(k) != now.get(k)]


def _both(before: Mapping[str, Json], now: Mapping[str, Json]) -> list[tuple[str, Json, Json]]:
    """Those on both sides: what only one side has came or went with a setting or a line of code that is told already."""
    return [(k, a, b) for k, a, b in _values(before, now) if a is not None and b is not None]


def _is_digest(value: Json) -> bool:
    """One or several: they tell a person nothing, where anything else does."""
    return isinstance(value, str) and all(len(word) >= 32 and not word.strip("0123456789abcdef") for word in value.split(" "))


def _say(value: Json) -> str:
    if value is None:
        return "default"
    if isinstance(value, dict) and "_target_" in value:
        return _short(value["_target_"])
    text = str(value)
    return text if len(text) <= 40 else f"{text[:12]}..."


def _short(name: str) -> str:
    """`flights:add_hour` as `flights.add_hour`; raypipe's own by the last word."""
    return name.rpartition(".")[2] if name.startswith("raypipe.") else name.replace(":", ".")
