"""Object stores: files found, opened by range and told apart through pyarrow's filesystems; web servers through `http`.

Endpoint, region and credentials come from the environment or a role, so that no config can send a request elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from raypipe.core.errors import DataError
from raypipe.data.source import http
from raypipe.data.source.location import Found
from raypipe.data.source.url import split, url_problems
from raypipe.data.source.words import said

NUM_ATTEMPTS = 3
"""Requests that are sent, at most, before a place counts as not to be reached."""
TIMEOUT_S = 10
_S3_ENDPOINT = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
_S3_REGION = ("AWS_REGION", "AWS_DEFAULT_REGION")


def open_file(url: str) -> Any:
    """A pyarrow.NativeFile that fetches the ranges it is asked for."""
    system, path = _place(url)
    return http.open_file(url) if system is None else system.open_input_file(path)


def open_stream(url: str) -> Any:
    """A pyarrow.NativeFile that is read from front to end."""
    system, path = _place(url)
    return http.open_file(url) if system is None else system.open_input_stream(path, buffer_size=1 << 20)


def find(url: str) -> Found | None:
    """The file as it is now, None where there is none."""
    system, path = _place(url)
    if system is None:
        return http.find(url)
    info = system.get_file_info(path)
    return _found(url, info) if info.is_file else None


def list_below(url: str) -> list[Found]:
    """Every file below a folder, by whatever order the store has; none where there is no such folder."""
    from pyarrow.fs import FileSelector

    system, path = _place(url)
    assert system is not None, "a web server gives no listing"
    infos = system.get_file_info(FileSelector(path, recursive=True, allow_not_found=True))
    start = url.partition("://")[0] + "://"
    return [_found(_url(start, url, path, info.path), info) for info in infos if info.is_file]


def told(url: str, error: Exception) -> DataError:
    """What is said where a place cannot be listed."""
    hint = " Credentials come from the environment or a role." if _is_refusal(str(error)) else ""
    return DataError(f"{url}: cannot be listed: {said(error)}. It was tried {NUM_ATTEMPTS} times.{hint}")


def _is_refusal(text: str) -> bool:
    return any(word in text for word in ("ACCESS_DENIED", "Access Denied", "HTTP status 403", "code 403", "InvalidAccessKey", "credential"))


def _url(start: str, url: str, base: str, path: str) -> str:
    """The URL of a path below `base`, which is that of `url`."""
    return start + path if not url.startswith("abfss://") else url.rstrip("/") + path[len(base.rstrip("/")) :]


def _found(url: str, info: Any) -> Found:
    return Found(url, info.size, -1 if info.mtime_ns is None else info.mtime_ns)


def _place(url: str) -> tuple[Any, str]:
    """The filesystem, and the path in it; None for a web server."""
    # A listing may hold names with `?` in them; a config may not.
    problems = url_problems(url.replace("?", "_"))
    if problems:
        raise DataError("\n".join(problems))
    scheme, place, key = split(url)
    if scheme in ("http", "https"):
        return None, key
    if scheme == "abfss":
        container, _, host = place.partition("@")
        return _azure(host.partition(".")[0]), f"{container}/{key}".rstrip("/")
    return (_s3(place, *_s3_settings(os.environ)) if scheme == "s3" else _gcs()), f"{place}/{key}".rstrip("/")


def _s3_settings(environment: Mapping[str, str]) -> tuple[str, str]:
    """Endpoint and region as the environment has them."""
    endpoint = next((environment[name] for name in _S3_ENDPOINT if environment.get(name)), "")
    return endpoint, next((environment[name] for name in _S3_REGION if environment.get(name)), "")


@lru_cache(maxsize=64)
def _s3(bucket: str, endpoint: str, region: str) -> Any:
    from pyarrow.fs import AwsStandardS3RetryStrategy, S3FileSystem, resolve_s3_region

    settings: dict[str, Any] = {"region": region} if region else {}
    if endpoint:
        scheme, _, host = endpoint.rpartition("://")
        settings |= {"endpoint_override": host.rstrip("/"), "scheme": scheme or "https"}
    elif not region:
        settings |= {"region": resolve_s3_region(bucket)}
    strategy = AwsStandardS3RetryStrategy(max_attempts=NUM_ATTEMPTS)
    return S3FileSystem(**settings, connect_timeout=TIMEOUT_S, request_timeout=TIMEOUT_S, retry_strategy=strategy)


@lru_cache(maxsize=1)
def _gcs() -> Any:
    from datetime import timedelta

    from pyarrow.fs import GcsFileSystem

    return GcsFileSystem(retry_time_limit=timedelta(seconds=NUM_ATTEMPTS * TIMEOUT_S))


@lru_cache(maxsize=16)
def _azure(account: str) -> Any:
    from pyarrow.fs import AzureFileSystem

    return AzureFileSystem(account)
