"""The verbs: what a person does with pipelines, tables, models and endpoints from a terminal."""

from raypipe.cli.main import main

VERBS = ("check", "plan", "run", "ingest", "show", "runs", "tables", "gc", "models", "status", "serve", "predict", "init")
"""Every verb that `raypipe` has."""

__all__ = ["VERBS", "main"]
