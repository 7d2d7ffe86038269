"""The verbs: what a person does with pipelines, tables, models and endpoints from a terminal."""

from raypipe.cli.main import main

__all__ = ["main"]
