"""submit: a run as a job on any Ray cluster; its files, settings and environment travel, and what differs there is named beforehand."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import platform
import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from raypipe.cli.pipeline import config_name
from raypipe.core import lock
from raypipe.core.cluster import local_places
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.head import ray_version
from raypipe.core.jobs import Job, Jobs, There, is_warm
from raypipe.core.parcel import Parcel, gather, mark
from raypipe.core.passed import FILE, packed
from raypipe.core.place import Place, find_project
from raypipe.core.secret import masked

PLACES = ("RAYPIPE_LEDGER", "RAYPIPE_STORE")


def submit(options: argparse.Namespace) -> int:
    """A job's id; with --wait its lines, and its run's exit code. --status, --logs and --cancel are about a job that is there."""
    for name in ("status", "logs", "cancel"):
        if job := getattr(options, name):
            return {"status": _status, "logs": _logs, "cancel": _cancel}[name](Jobs(_address(options)), job, options)
    address = _address(options)
    folder = Path(options.config_dir)
    name, place = config_name(folder, options.config_name), find_project(folder, Path.cwd())
    sent = _composed(folder, name, place, options)
    parcel = gather(place.path, options.max_mb << 20)
    jobs = Jobs(address)
    there = jobs.there()
    if problems := [*_differences(there, options.env), *_places(place, there, sent, is_warm(address), address)]:
        raise ConfigError(problems)
    id = _submitted(jobs, there, parcel, place, sent, _words(folder, name, options))
    if not options.json:
        travels = f"{len(parcel.paths):,} files, {parcel.num_bytes / 1e6:,.1f} MB"
        print(f"{id}\n{travels}; variables: {', '.join(sorted(sent)) or 'none'}" + _left(parcel), flush=True)
    if not options.wait:
        return _told(Job(id, "PENDING", "", None, "", None)) if options.json else 0
    job = jobs.follow(id, lambda lines: None if options.json else print(lines, end="", flush=True))
    return _ended(job, options)


def _composed(folder: Path, name: str, place: Place, options: argparse.Namespace) -> dict[str, str]:
    """The variables that travel. ConfigError with what is wrong with the config and with them, before anybody is asked."""
    from raypipe.config.compose import compose
    from raypipe.pipeline.assemble import assemble

    assemble(compose(folder, name, options.overrides).values, (place.path,))
    values = {name: os.environ[name] for name in options.pass_env if name in os.environ}
    problems = [Problem(f"--pass-env {name}", "is not set here.") for name in options.pass_env if name not in os.environ]
    hint = "Write ${oc.env:NAME} in the config, and give --pass-env NAME."
    if masked(list(options.overrides)) != list(options.overrides):
        problems.append(
            Problem("overrides", f"one holds the value of a secret of this environment, and would stand in the job's record. {hint}")
        )
    for name, value in ((name, os.environ[name]) for name in PLACES if name in os.environ and name not in values):
        if re.search(r"://[^/@]*:[^/@]+@|[?&]password=", value):
            problems.append(Problem(name, f"holds a password: give --pass-env {name} to send it, or set it on the cluster and not here."))
        values[name] = value
    if problems:
        raise ConfigError(problems)
    return values


def _differences(there: There, env: str) -> Iterator[Problem]:
    """Ray and Python are the cluster's own in any case; raypipe and the rest travel with the lock."""
    theirs = {lock.normal(name): version for name, version in there.distributions.items()}
    if there.python.rpartition(".")[0] != platform.python_version().rpartition(".")[0]:
        yield Problem("Python", f"the cluster runs {there.python}, and this is {platform.python_version()}.")
    if (found := theirs.get("ray", "none")) != ray_version():
        yield Problem("Ray", f"the cluster runs {found}, and this is {ray_version()}.")
    if env == "lock":
        return
    if lacking := [*_raypipe(there), *lock.lacking(lock.lock(), theirs)]:
        hint = "Build it anew with `raypipe image`." if env == "image" else "--env lock installs them for the job alone."
        more = f" and {len(lacking) - 5} more" if len(lacking) > 5 else ""
        yield Problem("environment", f"the cluster lacks, or has in another version: {', '.join(lacking[:5])}{more}. {hint}")


def _raypipe(there: There) -> list[str]:
    from raypipe import __version__

    return [] if there.distributions.get("raypipe") == __version__ else [f"raypipe=={__version__}"]


def _places(place: Place, there: There, sent: dict[str, str], warm: bool, address: str) -> list[Problem]:
    """A ledger and a store that the job reaches: shared ones, those that the cluster's own environment names, or ours on the warm head."""
    found = {"RAYPIPE_LEDGER": place.ledger_url, "RAYPIPE_STORE": place.store_root}
    if warm:
        sent.update({name: value for name, value in found.items() if name not in sent})
        return []
    theirs = [name for name in PLACES if name in there.variables and name not in sent]
    problems = local_places(f"the cluster at {address}", place.ledger_url, place.store_root)
    kinds = {"ledger": "RAYPIPE_LEDGER", "store": "RAYPIPE_STORE"}
    return [problem for problem in problems if kinds[problem.where] not in theirs]


def _submitted(jobs: Jobs, there: There, parcel: Parcel, place: Place, sent: Mapping[str, str], words: Sequence[str]) -> str:
    environment: dict[str, Any] = {"worker_process_setup_hook": "raypipe.core.passed.load"} if sent else {}
    if lacking := lock.lacking(lock.lock(), there.distributions):
        environment["pip"] = {"packages": lacking, "pip_check": False}
    more = mark(place.path, place.name) | ({FILE: packed(sent)} if sent else {})
    entrypoint = shlex.join(["python", "-m", "raypipe.cli.job", *words])
    metadata = {"raypipe": "run", "project": place.name, "variables": ",".join(sorted(sent))}
    with tempfile.TemporaryDirectory() as folder:
        if _raypipe(there):
            environment["py_modules"] = [str(lock.wheel(Path(folder)))]
        return jobs.submit(entrypoint, environment, metadata, parcel.packed(more))


def _words(folder: Path, name: str, options: argparse.Namespace) -> list[str]:
    """The run there: the cluster that the job is on, unless the overrides say another."""
    chosen = [] if any(re.match(r"cluster=", word) for word in options.overrides) else ["cluster=attach"]
    sample = [] if options.sample == 1 else ["--sample", f"{options.sample:g}"]
    return ["run", "-cd", folder.absolute().name, "-cn", name, *sample, *chosen, *options.overrides]


def _address(options: argparse.Namespace) -> str:
    address = options.address or os.environ.get("RAY_API_SERVER_ADDRESS") or ""
    if not re.match(r"https?://[^/]+", address):
        raise ConfigError(f"--address: found {address!r}, expected the Jobs API of a cluster, e.g. http://HOST:8265.")
    return address.rstrip("/")


def _left(parcel: Parcel) -> str:
    return f"\nleft here, since they lead out of the project: {', '.join(parcel.left[:5])}" if parcel.left else ""


def _status(jobs: Jobs, id: str, options: argparse.Namespace) -> int:
    job = jobs.job(id)
    if options.json:
        return _told(job)
    code = "" if job.exit_code is None else f", exit code {job.exit_code}"
    print(f"{job.id}  {job.state}{code}  {job.entrypoint}\n{masked(job.message)}")
    return 0


def _logs(jobs: Jobs, id: str, options: argparse.Namespace) -> int:
    if options.wait:
        return _ended(jobs.follow(id, lambda lines: print(lines, end="", flush=True)), options)
    print(jobs.logs(id), end="")
    return 0


def _cancel(jobs: Jobs, id: str, options: argparse.Namespace) -> int:
    ran = jobs.stop(id)
    print(json.dumps({"id": id, "stopped": ran}) if options.json else f"{id} {'is told to stop' if ran else 'was over already'}")
    return 0


def _ended(job: Job, options: argparse.Namespace) -> int:
    """The run's own exit code; 143 where the job was cancelled."""
    if options.json:
        _told(job)
    elif job.state != "SUCCEEDED":
        print(f"{job.id} {job.state}: {masked(job.message)}")
    if job.state == "STOPPED":
        return 143
    return job.exit_code if job.exit_code is not None else int(job.state != "SUCCEEDED")


def _told(job: Job) -> int:
    print(json.dumps(dataclasses.asdict(job), indent=2))
    return 0
