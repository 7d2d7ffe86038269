"""The arguments of the verbs about where a run runs: cluster, submit, image."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

Verb = Callable[..., argparse.ArgumentParser]


def add(verbs: argparse._SubParsersAction, words: Sequence[str], verb: Verb, config: Verb) -> None:
    """Adds them to the command line; `verb` and `config` make a verb, and one that composes a config."""
    cluster = verb(verbs, "cluster", "cluster", "status", "the warm local head that runs attach to: up, down, status")
    if "cluster" in words:
        _cluster(cluster.add_subparsers(metavar="WHAT"), verb)
    text = "a run as a job on any Ray cluster: files, overrides and environment travel"
    _submit(config(verb(verbs, "submit", "submit", "submit", text)))
    image = verb(verbs, "image", "image", "image", "write a Dockerfile of this project with the lock of this environment")
    image.add_argument("folder", nargs="?", default=".", help="the project's folder (default: this one)")
    image.add_argument("--base", metavar="IMAGE", help="the image to start from (default: python:VERSION-slim-bookworm, as this Python)")
    image.add_argument("--force", action="store_true", help="replace files that are there")


def _cluster(of: argparse._SubParsersAction, verb: Verb) -> None:
    up = verb(of, "up", "cluster", "up", "start it on loopback, behind a token; it ends by itself when nobody uses it")
    up.add_argument("--idle", default="30m", metavar="TIME", help="end it when nobody has used it for so long, e.g. 90s, 8h (default: 30m)")
    up.add_argument("--num-cpus", type=int, help="logical CPUs (default: the machine's, but at least four)")
    up.add_argument("--jobs-port", type=int, default=8265, help="port of the Jobs API and the dashboard; the next free one (default: 8265)")
    verb(of, "down", "cluster", "down", "end it, and nothing else")
    verb(of, "status", "cluster", "status", "its address, versions and resources, who uses it, and for how long nobody has")


def _submit(submit: argparse.ArgumentParser) -> None:
    submit.add_argument("--address", metavar="URL", help="the cluster's Jobs API, e.g. http://HOST:8265 (default: RAY_API_SERVER_ADDRESS)")
    submit.add_argument("--wait", action="store_true", help="show what the job writes, and end with its run's exit code")
    how = "lock: what the cluster lacks of this environment is installed for the job; none, image: it must have all (default: lock)"
    submit.add_argument("--env", choices=("lock", "none", "image"), default="lock", help=how)
    text = "send this variable's value, out of the job's record; may be given several times"
    submit.add_argument("--pass-env", action="append", default=[], metavar="NAME", help=text)
    submit.add_argument("--max-mb", type=int, default=100, metavar="MB", help="of the project's files that may travel (default: 100)")
    one = submit.add_mutually_exclusive_group()
    one.add_argument("--status", metavar="JOB", help="how a job stands")
    one.add_argument("--logs", metavar="JOB", help="what a job has written; with --wait until it is over")
    one.add_argument("--cancel", metavar="JOB", help="stop a job: it ends as a run does on SIGTERM, and can be run again")
