"""cluster: the warm local head, started, ended and looked at."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import time

from raypipe.cli.terminal import console
from raypipe.core import head
from raypipe.core.errors import ConfigError
from raypipe.core.head import Head


def up(options: argparse.Namespace) -> int:
    """Starts the head, detached, where none is there."""
    idle_s = _seconds(options.idle)
    started = time.monotonic()
    found, new = head.up(options.num_cpus, options.jobs_port, idle_s)
    if options.json:
        print(json.dumps({**_public(found), "started": new}, indent=2))
        return 0
    out = console()
    took = f"started in {time.monotonic() - started:.1f} s" if new else "is there already"
    out.print(f"the head at {found.address} {took}; it ends when nobody has used it for {_time(found.idle_s)}.")
    if not new and (options.num_cpus not in (None, found.num_cpus) or idle_s != found.idle_s):
        out.print("It keeps the settings that it was started with; `raypipe cluster down` ends it.")
    out.print("`raypipe run` with cluster=local attaches to it. Jobs and dashboard, which ask for its token:")
    out.print(f"  {found.jobs_url}", highlight=False)
    out.print(f"  export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH={found.token_path}", highlight=False, soft_wrap=True)
    return 0


def down(options: argparse.Namespace) -> int:
    """Ends the head that `up` started."""
    found = head.down()
    if options.json:
        print(json.dumps({"ended": found.address if found else None}))
    else:
        using = f" {len(found.users)} that used it lost their cluster." if found and found.users else ""
        print(f"the head at {found.address} is ended.{using}" if found else "no head runs that `raypipe cluster up` started.")
    return 0


def status(options: argparse.Namespace) -> int:
    """What the head's process last wrote of itself, at most some seconds ago. Starts no Ray."""
    found = head.find()
    if options.json:
        print(json.dumps(_public(found) if found else None, indent=2))
        return 0
    out = console()
    if found is None:
        out.print("no warm head: `raypipe cluster up` starts one, and each run with cluster=local then attaches to it.")
        return 0
    for name, value in _lines(found):
        out.print(f"{name:12} {value}", highlight=False, soft_wrap=True)
    return 0


def _lines(found: Head) -> list[tuple[str, str]]:
    now = time.time()
    free = ", ".join(
        f"{found.free.get(name, 0):g} of {total:g} {name}" for name, total in found.resources.items() if name in ("CPU", "GPU")
    )
    idle = "in use" if found.users else f"{_time(now - found.used_at)}, ends after {_time(found.idle_s)}"
    return [
        ("address", found.address),
        ("jobs", found.jobs_url),
        ("process", f"{found.owner['pid']}, since {_time(now - found.started_at)}"),
        ("versions", f"Python {found.python}, Ray {found.ray}, raypipe {found.raypipe}"),
        ("free", free),
        ("idle", idle),
        *(("used by", f"{user['pid']}  {user['entrypoint']}") for user in found.users),
        ("fits", found.unfit(None, None) or "a run from here attaches to it"),
        ("log", found.log_path),
    ]


def _public(found: Head) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(found).items() if name != "environment"}


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", text)
    if found is None or float(found[1]) <= 0:
        raise ConfigError(f"--idle: found {text!r}, expected a time, e.g. 90s, 30m, 8h.")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}[found[2]]


def _time(seconds: float) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.0f} s"
