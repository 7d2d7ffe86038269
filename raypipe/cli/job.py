"""What a submitted job runs on the cluster: the verb that was submitted, with the values that it was given."""

from __future__ import annotations

import sys

from raypipe.cli.program import program
from raypipe.core.passed import load

if __name__ == "__main__":
    load()
    sys.exit(program())
