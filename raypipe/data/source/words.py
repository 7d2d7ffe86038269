"""What a library says of a place that cannot be read, in one line and without credentials."""

from __future__ import annotations

import re

from raypipe.core.secret import masked
from raypipe.core.wording import first_line

_OF_THE_PLACE = re.compile(r"AWS Error|curlCode|google::cloud|CURL error|Azure|timed? ?out|[Cc]onnection|Couldn't connect")
_IN_QUERY = re.compile(r"(?<=[?&])[^\s'\"]+")


def said(error: BaseException) -> str:
    """The first line of its text; what the environment names a secret, and what URLs have behind a `?`, is left out."""
    if isinstance(error, OSError) and error.errno and error.strerror:
        return error.strerror.lower()
    text = first_line(error).rstrip(".")
    return scrubbed(text.partition(". Detail: ")[0])


def scrubbed(text: str) -> str:
    """The text without any value of an environment variable that is named like a secret, and without the options of URLs."""
    return re.sub(r"(?<=://)[^/@\s']+:[^/@\s']+@", "***@", _IN_QUERY.sub("***", masked(text)))


def is_of_the_place(error: BaseException) -> bool:
    """Whether the store, not the file, is what failed."""
    return isinstance(error, ConnectionError | TimeoutError) or bool(_OF_THE_PLACE.search(str(error)))
