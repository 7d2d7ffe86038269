"""URLs of sources: taken apart, and refused where they carry credentials or options, or name a kind of place that is not read."""

from __future__ import annotations

import re

from raypipe.core.errors import nearest

SCHEMES = ("s3", "gs", "abfss", "http", "https")
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,221}")
_CONTAINER = re.compile(
    r"(?P<container>[a-z0-9$][a-z0-9-]*)@(?P<account>[a-z0-9]+)\.(?:dfs|blob)\.core\.(?:windows\.net|usgovcloudapi\.net)"
)
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?)(?::\d{1,5})?")


def is_url(path: str) -> bool:
    """Whether a path of a source is a URL rather than a path on this machine's disks."""
    return "://" in path


def split(url: str) -> tuple[str, str, str]:
    """Scheme, place (bucket, `container@account host` or host) and the key below it, which is taken as it is: nothing in it is decoded."""
    scheme, _, rest = url.partition("://")
    place, _, key = rest.partition("/")
    return scheme, place, key


def url_problems(url: str) -> list[str]:
    """What is wrong with a URL that a config gives. What may be a secret in it is not repeated."""
    scheme, place, key = split(url)
    if scheme not in SCHEMES:
        return [_other_scheme(scheme)]
    if _has_credentials(scheme, place):
        host = place.rpartition("@")[2]
        return [
            f"path has a user, a key or a password in front of {host}: a config ends up in logs. Take it out, and give credentials by the "
            "environment or a role"
        ]
    if "?" in key + place:
        return [
            f"path {url.partition('?')[0]} has options behind `?`: sources take none. Endpoint, region and credentials come from the "
            "environment (AWS_ENDPOINT_URL, AWS_REGION, ...); use * for a pattern"
        ]
    return _place_problems(scheme, place, key)


def _other_scheme(scheme: str) -> str:
    if scheme == "file":
        return "path begins with file://: write the path itself"
    also = {"s3a": "s3", "s3n": "s3", "gcs": "gs", "abfs": "abfss"}.get(scheme)
    hint = f" Write {also}://" if also else nearest(scheme, SCHEMES)
    return f"path begins with {scheme}://, which is not read: s3, gs, abfss, http and https are; mount or copy the rest.{hint}"


def _has_credentials(scheme: str, place: str) -> bool:
    """Azure's URLs have the container in front of the `@`."""
    user, at, _ = place.rpartition("@")
    return bool(at) and (scheme != "abfss" or not re.fullmatch(r"[a-z0-9$][a-z0-9-]*", user))


def _place_problems(scheme: str, place: str, key: str) -> list[str]:
    if ".." in key.split("/"):
        return ["path has `..` in it: a URL names its place outright"]
    if scheme in ("s3", "gs"):
        return [] if _BUCKET.fullmatch(place) else [f"path: '{place}' is no name of a bucket, as in {scheme}://bucket/folder"]
    if scheme == "abfss":
        good = _CONTAINER.fullmatch(place)
        return [] if good else [f"path: '{place}' is no Azure storage, as in abfss://container@account.dfs.core.windows.net/folder"]
    if not _HOST.fullmatch(place):
        return [f"path: '{place}' is no host, as in {scheme}://data.example.org/flights.csv"]
    if "#" in key or "*" in key or not key or key.endswith("/"):
        return [f"path {scheme}://{place}/{key} is read as one file: a web server gives no listing. Name the file, without * and #"]
    return []
