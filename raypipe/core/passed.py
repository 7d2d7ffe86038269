"""Values that a submitted job is given beside the project's files: read by its driver and by each of its workers, not shown by Ray.

Ray keeps a runtime_env's `env_vars` in clear in the job's record, its dashboard's answers and its logs; these lie in the package of files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

FILE = ".raypipe-passed.json"


def packed(values: Mapping[str, str]) -> bytes:
    return json.dumps(dict(sorted(values.items()))).encode()


def load() -> None:
    """Into this process's environment, from the working directory that Ray made. Ray calls it as a worker starts."""
    file = Path(FILE)
    if file.is_file():
        file.chmod(0o600)  # Ray unpacks what others on the machine may read
        os.environ.update(json.loads(file.read_bytes()))
