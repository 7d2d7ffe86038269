"""What `raypipe` is in a shell: a verb, and the end of the process."""

from __future__ import annotations

import atexit

from raypipe.cli.main import main
from raypipe.core.interpreter import end, leave
from raypipe.core.streams import open_streams


def program() -> int:
    """The exit code of the verb that the process's arguments name."""
    open_streams()
    atexit.register(leave)
    return end(main())
