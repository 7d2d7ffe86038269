"""One command line: a verb, its options, and overrides of the config; an error is one message and an exit code, never a traceback."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FrameType

from raypipe.cli.clusters import add as add_cluster_verbs
from raypipe.core.errors import ConfigError, RaypipeError, Terminated, nearest
from raypipe.core.interpreter import uncollected
from raypipe.core.opened import closed_at_end
from raypipe.core.streams import output_is_lost, say

CONFIG = """The config is `-cd FOLDER -cn NAME` (FOLDER/NAME.yaml). Overrides follow as KEY=VALUE: `train.epochs=3` sets a value,
`model=booster` chooses an option of a group, `~transform.hour` takes an entry out, `+steps.extra=...` adds a step."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns its exit code: 0 done, 1 a step failed, 2 refused before Ray, 3 the gate said no, 75 leased by another."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    options, rest = parser.parse_known_args(words)
    if not hasattr(options, "verb"):
        parser.print_help()
        return 0
    options.overrides = _overrides(parser, options, rest)
    try:
        with stopped_cleanly(), closed_at_end():
            code = options.verb(options)
            sys.stdout.flush()  # what cannot be written is met here, and not when the interpreter ends
            return code
    except RaypipeError as error:
        say(_words(error, options))
        return error.exit_code
    except OSError as error:
        if not output_is_lost():
            raise
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone: nobody is there to be told
            return 141
        say(f"raypipe: standard output cannot be written: {error.strerror or error}.")
        return 1


@contextlib.contextmanager
def stopped_cleanly() -> Iterator[None]:
    """SIGINT ends the block with exit code 130, SIGTERM with 143, and a word about what to do then."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        yield
    except KeyboardInterrupt as stop:
        code = getattr(stop, "exit_code", 130)
        say("interrupted: what was finished is kept; the same command goes on from there.")
        if "ray" in sys.modules or any(thread.name.startswith("step ") for thread in threading.enumerate()):
            # A step that does not end, and a training's own thread, would run on inside of libraries while the interpreter is taken down
            # below them: seen to abort the process (exit 134).
            with contextlib.suppress(OSError):
                sys.stdout.flush()
            os._exit(code)
        sys.exit(code)


def _terminated(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _words(error: RaypipeError, options: argparse.Namespace) -> str:
    if not isinstance(error, ConfigError) or len(error.problems) < 2:
        return f"raypipe: {error}"
    name = getattr(options, "config_name", None) or "the pipeline"
    width = max(len(p.where) for p in error.problems)
    lines = [f"  {p.where:{width}}  {line}" for p in error.problems for line in p.what.splitlines()[:1]]
    return "\n".join([f"raypipe: {name} has {len(error.problems)} problems", *lines])


def _overrides(parser: argparse.ArgumentParser, options: argparse.Namespace, rest: list[str]) -> tuple[str, ...]:
    unknown = [a for a in rest if a.startswith("-")]
    if unknown:
        parser.error(f"no option {unknown[0]}.{nearest(unknown[0], OPTIONS)}")
    if rest and not getattr(options, "composes", False):
        parser.error(f"'{rest[0]}' is one argument too many for this verb.")
    return tuple(rest)


OPTIONS = (
    "-cd",
    "-cn",
    "--sample",
    "--from",
    "--only",
    "--debug",
    "--no-wait",
    "--if-new",
    "--follow",
    "--keep",
    "--within",
    "--rows",
    "--bytes",
    "--seconds",
    "--metrics",
    "--columns",
    "--html",
    "--json",
    "--help",
    "--port",
    "--host",
    "--address",
    "--limit",
    "--all",
    "--output",
    "--out",
    "--contract",
    "--key",
    "--code",
    "--cost",
    "--force",
    "--remove",
    "--format",
    "--by",
    "--direction",
    "--figure",
    "--trials",
    "--seed",
    "--scheduler",
    "--parallel",
    "--stop-on-failure",
    "--plot",
    "--dry-run",
    "--files",
    "--idle",
    "--num-cpus",
    "--jobs-port",
    "--env",
    "--pass-env",
    "--max-mb",
    "--wait",
    "--status",
    "--logs",
    "--cancel",
    "--base",
)


def _lazy(module: str, name: str) -> Callable[[argparse.Namespace], int]:
    """A verb whose module is imported when it is called: `raypipe --help` imports nothing."""

    def call(options: argparse.Namespace) -> int:
        from importlib import import_module

        with uncollected():
            verb = getattr(import_module(f"raypipe.cli.{module}"), name)
        return verb(options)

    return call


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raypipe", description="The whole life of a model on Ray, composed by one config.")
    parser.add_argument("--version", action="version", version=f"raypipe {_version()}")
    verbs = parser.add_subparsers(metavar="VERB")
    _pipeline_verbs(verbs)
    _ledger_verbs(verbs)
    _database_verbs(verbs, words)
    _table_verbs(verbs, words)
    _model_verbs(verbs)
    add_cluster_verbs(verbs, words, _verb, _config)
    new = _verb(verbs, "init", "new", "init", "make a new project's folder that runs as it is")
    new.add_argument("folder", help="the folder to make; its name is the project's")
    return parser


def _pipeline_verbs(verbs: argparse._SubParsersAction) -> None:
    _config(_verb(verbs, "check", "pipeline", "check", "everything wrong with a config, without Ray", CONFIG))
    plan = _config(_verb(verbs, "plan", "pipeline", "plan", "what a run would do with each step, and why, without Ray", CONFIG))
    plan.add_argument("--explain", action="store_true", help="what each pass over the files of a table consists of, and what runs it")
    run = _config(_verb(verbs, "run", "pipeline", "run", "run what is not done", CONFIG))
    for verb in (plan, run):
        _steps(verb)
    run.add_argument("--debug", metavar="STEP", help="make this step alone, anew, in this process and thread, where a debugger works")
    run.add_argument("--no-wait", action="store_true", help="leave with exit code 75 where another run is making a step")
    run.add_argument("--if-new", action="store_true", help="do nothing, at once, where no source has anything new")
    _sweep_verb(verbs)
    _ingest_verb(verbs)
    about = "one run, by its name; or the composed config, each value with its origin, and the graph"
    show = _config(_verb(verbs, "show", "show", "show", about, f"`show RUN` needs nothing else. {CONFIG}"))
    show.add_argument("--all", action="store_true", help="values that are declared defaults too")


def _steps(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--force", action="append", default=[], metavar="STEP", help="make this step anew; may be given several times")
    verb.add_argument(
        "--from", dest="since", action="append", default=[], metavar="STEP", help="make it anew, and all that is made from it"
    )
    verb.add_argument("--only", action="append", default=[], metavar="STEP", help="make nothing else; what it reads must be there")


def _sweep_verb(verbs: argparse._SubParsersAction) -> None:
    text = "run a pipeline at many points, KEY=A,B or KEY=range(1,9) or KEY=interval(0,1), and go on with the best one"
    sweep = _config(_verb(verbs, "sweep", "sweep", "sweep", text, CONFIG))
    sweep.add_argument("--by", metavar="STEP.FIGURE", help="the figure to compare by (default: train.validation.auc)")
    sweep.add_argument("--direction", choices=("max", "min"), help="which way is better (default: as the figure's name says)")
    sweep.add_argument("--figure", action="append", default=[], metavar="STEP.FIGURE", help="show this one too; may be given several times")
    sweep.add_argument("--trials", type=int, metavar="N", help="draw N points at random instead of trying every combination")
    sweep.add_argument("--seed", type=int, help="of that draw (default: 0)")
    sweep.add_argument(
        "--scheduler", choices=("all", "halving"), help="halving: only the better points go on to more epochs (default: all)"
    )
    sweep.add_argument("--parallel", type=int, metavar="N", help="points at work at once (default: 1)")
    sweep.add_argument("--stop-on-failure", action="store_true", help="end with the first point that fails")
    sweep.add_argument("--plot", metavar="FILE", help="a page that compares the points, in one file that needs no network")
    sweep.add_argument("--dry-run", action="store_true", help="show the points, what they share and what each would run, without Ray")


def _ingest_verb(verbs: argparse._SubParsersAction) -> None:
    ingest = _config(_verb(verbs, "ingest", "ingest", "ingest", "take what is new in the sources into their tables", CONFIG))
    ingest.add_argument("names", nargs="*", metavar="STEP", help="steps that ingest (default: all); overrides may follow")
    ingest.add_argument("--follow", action="store_true", help="go on until Ctrl-C, batch after batch")
    ingest.add_argument("--rows", type=int, default=200_000, help="rows that fill a batch, about (default: 200000)")
    ingest.add_argument("--bytes", type=int, default=128 << 20, help="bytes that fill a batch, about (default: 134217728)")
    ingest.add_argument("--seconds", type=float, default=5.0, help="with --follow: a batch waits no longer to be filled (default: 5)")
    ingest.add_argument("--metrics", metavar="FILE", help="a file to write rows, rate and lag to, in Prometheus' text format")
    ingest.add_argument("--no-wait", action="store_true", help="leave with exit code 75 where another process follows the table")


def _ledger_verbs(verbs: argparse._SubParsersAction) -> None:
    runs = _verb(verbs, "runs", "ledger", "runs", "the latest runs; `show RUN` tells of one")
    runs.add_argument("--limit", type=int, default=20, help="how many runs (default: 20)")
    runs.add_argument("--cost", action="store_true", help="CPU, GPU, memory and bytes of what was made, and what the cache saved")
    logs = _verb(verbs, "logs", "logs", "logs", "what a run's steps said and the user's code printed, with tracebacks")
    logs.add_argument("run", nargs="?", metavar="RUN", help="the name of a run, or how it ends (default: the latest)")
    logs.add_argument("step", nargs="?", metavar="STEP", help="of this step alone")
    logs.add_argument("--follow", action="store_true", help="go on until the run ends")
    diff = _verb(verbs, "diff", "diff", "diff", "two runs side by side: config, code, data, environment, figures")
    diff.add_argument("before", metavar="RUN", help="the name of a run, or how it ends")
    diff.add_argument("after", metavar="RUN", help="of the other run")
    diff.add_argument("--code", action="store_true", help="the lines of the user's code that differ")
    models = _verb(verbs, "models", "ledger", "models", "the models with their versions and aliases, or one model's figures")
    models.add_argument("model", nargs="?", help="NAME, NAME@VERSION or NAME@ALIAS")
    _verb(verbs, "status", "ledger", "status", "where ledger and store lie, and how much they hold")


def _database_verbs(verbs: argparse._SubParsersAction, words: Sequence[str]) -> None:
    ledger = _verb(verbs, "ledger", "database", "usage", "the ledger itself: check it, copy it out and in, bring it up to date")
    if "ledger" not in words:
        return
    of = ledger.add_subparsers(metavar="WHAT")
    check = _verb(of, "check", "database", "check", "every live record against the store: files there, and of their size")
    check.add_argument("--bytes", action="store_true", help="read every file and compare its sha256")
    _verb(of, "export", "database", "export", "the whole ledger, all projects, as a text file").add_argument(
        "file", help="a file that is new"
    )
    _verb(of, "import", "database", "import_", "such a file into this project's ledger, which must be empty").add_argument(
        "file", help="FILE"
    )
    _verb(of, "migrate", "database", "migrate", "bring a ledger of an older version up to this one's, in one transaction")


AT = "NAME, or NAME@SNAPSHOT, NAME@TAG, NAME@TIME"


def _table_verbs(verbs: argparse._SubParsersAction, words: Sequence[str]) -> None:
    tables = _verb(verbs, "tables", "tables", "list_", "the project's tables: what they are, were and hold, and what is done with them")
    about = "release what the project's policy keeps no longer, and delete files that nothing names: listed first, deleted by a later call"
    gc = _verb(verbs, "gc", "gc", "gc", about)
    gc.add_argument("--dry-run", action="store_true", help="tell what would go, how much that is, and why the rest stays; change nothing")
    gc.add_argument("--files", action="store_true", help="with --dry-run: each file too")
    help = "how long a file is on the list before it is deleted (default: the policy's grace, one day)"
    gc.add_argument("--grace-hours", type=float, metavar="H", help=help)
    if "tables" in words:  # a dozen parsers that no other verb should pay for
        of = tables.add_subparsers(metavar="WHAT")
        _table_looks(of)
        _table_contracts(of)
        _table_changes(of)


def _table_looks(of: argparse._SubParsersAction) -> None:
    _verb(of, "list", "tables", "list_", "every table with its newest snapshot (as without WHAT)")
    _verb(of, "show", "tables", "show", "one snapshot: its columns with their types and statistics").add_argument("table", help=AT)
    log = _verb(of, "log", "tables", "log", "a table's snapshots, newest first, with what made them")
    log.add_argument("table", help="NAME")
    log.add_argument("--limit", type=int, default=20, help="how many snapshots (default: 20)")
    head = _verb(of, "head", "tables", "head", "the first rows of a snapshot")
    head.add_argument("table", help=AT)
    head.add_argument("--limit", type=int, default=10, help="how many rows (default: 10)")
    _profile_verb(of)
    diff = _verb(of, "diff", "tables", "diff", "what differs between two snapshots: columns, counts, statistics, and rows by their key")
    diff.add_argument("before", help=AT)
    diff.add_argument("after", nargs="?", help="SNAPSHOT, TAG or TIME; by default the newest snapshot")
    diff.add_argument("--key", action="append", default=[], help="a column to tell rows by; may be given several times")
    export = _verb(of, "export", "tables", "export", "copy a snapshot out for others")
    export.add_argument("table", help=AT)
    export.add_argument("folder", help="a folder that is new")
    export.add_argument("--format", choices=("parquet", "iceberg"), default="parquet", help="default: parquet")
    sql = _verb(of, "sql", "tables", "sql", "the rows of one SELECT over tables")
    sql.add_argument("text", help='e.g. "select origin, count(*) from flights.source group by origin"; a snapshot: from "flights.source@5"')
    sql.add_argument("--limit", type=int, default=40, help="how many rows are shown (default: 40)")
    sql.add_argument("-o", "--output", help="a Parquet or CSV file to write; otherwise the first rows are shown")


def _table_contracts(of: argparse._SubParsersAction) -> None:
    rows = "files (a file, folder, pattern or URL; Parquet, CSV or JSON lines) or a table: NAME, NAME@SNAPSHOT, NAME@TAG, NAME@TIME"
    infer = _verb(of, "infer", "contracts", "infer", "write a contract to start from, as rows are: types, ranges, sets, uniqueness")
    infer.add_argument("rows", help=rows)
    infer.add_argument("--out", metavar="FILE", help="the YAML file to write, e.g. conf/contract/flights.yaml; otherwise it is shown")
    infer.add_argument("--force", action="store_true", help="replace a file that is there")
    validate = _verb(of, "validate", "contracts", "validate", "hold rows to a contract, without a pipeline; exit code 3 where it is broken")
    validate.add_argument("rows", help=rows)
    validate.add_argument("--contract", metavar="FILE", help="the contract's YAML; without it: what a table's own contract has found")
    validate.add_argument("-o", "--output", metavar="FILE", help="a Parquet file for the first rows that break it, with their reasons")


def _profile_verb(of: argparse._SubParsersAction) -> None:
    profile = _verb(of, "profile", "profile", "profile", "what the values of each column are like, in the terminal or as a page to look at")
    profile.add_argument("table", help=AT)
    profile.add_argument("--columns", nargs="+", metavar="COLUMN", help="only these columns")
    profile.add_argument("--html", metavar="FILE", help="a page to write, in one file that needs no network")


def _table_changes(of: argparse._SubParsersAction) -> None:
    tag = _verb(of, "tag", "changes", "tag", "name a snapshot: what a tag names is kept")
    tag.add_argument("table", help=AT)
    tag.add_argument("tag", help="letters, digits, `.`, `_` and `-`")
    tag.add_argument("--force", action="store_true", help="move a tag that names another snapshot")
    tag.add_argument("--remove", action="store_true", help="take the tag away")
    delete = _verb(of, "delete", "changes", "delete", "delete the rows that meet conditions; earlier snapshots keep them until they expire")
    delete.add_argument("table", help="NAME")
    delete.add_argument("--where", required=True, help="e.g. \"carrier = 'UA' and at < '2013-02-01T00:00:00Z'\"")
    alter = _verb(of, "alter", "changes", "alter", "change the columns from the next snapshot on; no file is written")
    alter.add_argument("table", help="NAME")
    alter.add_argument(
        "--add", action="append", default=[], metavar="COLUMN:TYPE[=DEFAULT]", help="a new column, for earlier rows null or DEFAULT (JSON)"
    )
    alter.add_argument("--widen", action="append", default=[], metavar="COLUMN:TYPE", help="a wider type, e.g. count:int64")
    alter.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="another name")
    alter.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="a column that goes")
    _verb(of, "restore", "changes", "restore", "make an older snapshot's content the newest; nothing is lost").add_argument(
        "table", help=AT
    )
    compact = _verb(of, "compact", "changes", "compact", "join small files; rows, their order and the table's digest stay")
    compact.add_argument("table", help="NAME")
    compact.add_argument(
        "--min-deleted", type=float, default=0.0, metavar="SHARE", help="rewrite files of which this share is deleted (default: any)"
    )
    compact.add_argument("--any-order", action="store_true", help="join files of one partition wherever they lie: rows may move")
    expire = _verb(of, "expire", "changes", "expire", "end old snapshots; what is tagged, registered or running is kept")
    expire.add_argument("table", help="NAME")
    expire.add_argument("--keep", type=int, metavar="N", help="the last N snapshots stay")
    expire.add_argument("--older-than", metavar="AGE", help="only snapshots older than this, e.g. 30d, 12h")
    expire.add_argument("--dry-run", action="store_true", help="show what would expire")


def _model_verbs(verbs: argparse._SubParsersAction) -> None:
    serve = _verb(verbs, "serve", "serve", "serve", "serve a model's champion and follow what is deployed, until Ctrl-C")
    serve.add_argument("model", nargs="?", help="the model's name; may be left out where only one is deployed")
    serve.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    serve.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1, this machine alone)")
    serve.add_argument("--address", help="join the Ray cluster there, instead of starting Ray on this machine")
    predict = _verb(verbs, "predict", "predict", "predict", "a model's answers to the rows of a file, into a file or the terminal")
    predict.add_argument("model", help="NAME, NAME@VERSION or NAME@ALIAS")
    predict.add_argument("input", help="a Parquet, CSV or JSON lines file with the columns that the model takes")
    predict.add_argument("-o", "--output", help="a Parquet or CSV file to write; otherwise the first answers are shown")
    reproduce = _verb(verbs, "reproduce", "reproduce", "reproduce", "make a registered model again from what was kept, and compare")
    reproduce.add_argument("model", help="NAME, NAME@VERSION or NAME@ALIAS")
    reproduce.add_argument("--keep", metavar="FOLDER", help="a folder that is new, for its ledger, store and code (default: none is kept)")
    bound = "share by which figures may differ where bytes need not be the same (default: 0.01)"
    reproduce.add_argument("--within", type=float, default=0.01, metavar="SHARE", help=bound)


def _verb(verbs: argparse._SubParsersAction, name: str, module: str, function: str, text: str, more: str = "") -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}. {more}", allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="the result as JSON, for machines")
    parser.set_defaults(verb=_lazy(module, function))
    return parser


def _config(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument("-cd", "--config-dir", default="conf", help="folder of the config; its parent is the project (default: conf)")
    parser.add_argument("-cn", "--config-name", help="name of the config; may be left out where the folder holds one")
    parser.add_argument(
        "--sample",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="take only this share of the rows, e.g. 0.01; changes nothing in the world",
    )
    parser.set_defaults(composes=True)
    return parser


def _version() -> str:
    from raypipe import __version__

    return __version__
