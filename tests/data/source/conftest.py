"""What tests of sources share: an S3 server of the session's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The URL of moto's S3."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], str]:
    """Puts bytes under a name into an empty bucket, and says their URL. The environment leads to the server."""
    from pyarrow.fs import S3FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary-of-a-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    system = S3FileSystem(endpoint_override=s3_server.removeprefix("http://"), scheme="http", allow_bucket_creation=True)
    bucket = f"bucket-{uuid.uuid4().hex[:8]}"
    system.create_dir(bucket)

    def put(name: str, data: bytes) -> str:
        with system.open_output_stream(f"{bucket}/{name}") as stream:
            stream.write(data)
        return f"s3://{bucket}/{name}"

    return put
