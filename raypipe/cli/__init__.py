"""The verbs: what a person does with pipelines, tables, models and endpoints from a terminal."""

from raypipe.cli.main import main
from raypipe.cli.program import program

VERBS = (
    *("check", "plan", "run", "sweep", "ingest", "show", "runs", "logs"),
    *("tables", "gc", "models", "status", "serve", "predict", "reproduce", "init"),
)
"""Every verb that `raypipe` has."""

__all__ = ["VERBS", "main", "program"]
