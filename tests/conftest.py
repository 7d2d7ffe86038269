"""What tests share: a store, a ledger, a PostgreSQL server of their own and one Ray cluster for the whole session."""

from __future__ import annotations

import glob
import importlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import hypothesis
import pytest

from raypipe.core.cluster import Local, connect
from raypipe.core.ledger import Ledger
from raypipe.core.store import Store

# The same examples each time, so that a change is judged by itself; HYPOTHESIS_PROFILE=default draws new ones.
hypothesis.settings.register_profile("same", derandomize=True, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))

# A warm head of the person's who runs the tests is not theirs to use.
os.environ["RAYPIPE_RUNTIME"] = tempfile.mkdtemp(prefix="raypipe-runtime-")

ASKED = {
    "server": {"s3_server", "kafka"},
    "ray": {"ray_cluster", "ray"},
    "postgres": {"postgres_url", "postgres_server", "postgres", "postgresql"},
}
"""Mark -> the fixtures and parameters that bring it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test is marked by what it asks for, and the cheap ones come first, so that what fails is seen early."""
    for item in items:
        call = getattr(item, "callspec", None)
        words = (value for value in call.params.values() if isinstance(value, str)) if call else ()
        asked = {*getattr(item, "fixturenames", ()), *words}
        for mark, those in ASKED.items():
            if asked & those:
                item.add_marker(mark)
        for folder in ("chaos", "e2e"):
            if folder in item.path.parts:
                item.add_marker(folder)
    marks = ("server", "postgres", "ray", "chaos", "e2e")
    items.sort(key=lambda item: max((place for place, mark in enumerate(marks, 1) if item.get_closest_marker(mark)), default=0))


@pytest.fixture(autouse=True)
def _own_code(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Code that a test wrote and imported is forgotten after it: another test's module of that name is not this one."""
    yield
    written = str(tmp_path_factory.getbasetemp())
    for name in [name for name, module in sys.modules.items() if (getattr(module, "__file__", None) or "").startswith(written)]:
        del sys.modules[name]
    sys.path[:] = [path for path in sys.path if not path.startswith(written)]
    importlib.invalidate_caches()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(tmp_path / "store")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(f"sqlite:///{tmp_path}/ledger.db", "test")
    yield opened
    opened.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def any_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger, on each database. A server's is shared by the session: a test's rows stand under a project of its own."""
    return f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def own_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The same with a database of the test's own on the server: for what looks at a whole catalog."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return new_database(request.getfixturevalue("postgres_url"))


def new_database(server: str) -> str:
    """The URL of a new database on the session's server."""
    import psycopg
    from psycopg import sql
    from sqlalchemy import make_url

    name = f"test_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(server.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def any_ledger(any_url: str) -> Iterator[Ledger]:
    opened = Ledger.open(any_url, f"test-{uuid.uuid4().hex[:8]}")
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A local Ray of four logical CPUs, started once for all tests; the repository's folder is importable on its workers."""
    with connect(Local(num_cpus=4), Path(__file__).parent.parent):
        yield


@dataclass(frozen=True)
class Postgres:
    """A server that tests may restart."""

    url: str
    pg_ctl: Callable[..., None]

    def restart(self, mode: str) -> None:
        """`fast` ends connections and then itself; `immediate` is a crash."""
        self.pg_ctl("-m", mode, "restart")


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    return postgres_server.url


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A PostgreSQL server of the session's own, on a socket in a temporary folder. It refuses to run as root, hence the other user."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("no PostgreSQL server is installed (`make services` installs it)")
    user = _unprivileged()
    if os.getuid() == 0 and user is None:
        pytest.skip("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` here")
    folder = Path(tempfile.mkdtemp(prefix="raypipe-pg-"))
    owner = user or pwd.getpwuid(os.getuid())
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    as_user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if user else {}

    def run(*command: str) -> None:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=120, **as_user)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"

    data = str(folder / "data")
    run(f"{programs}/initdb", "-D", data, "-U", "raypipe", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C")
    start = ["-w", "-t", "60", "-o", f"-c listen_addresses='' -c unix_socket_directories='{folder}'", "-l", str(folder / "log")]

    def pg_ctl(*arguments: str) -> None:
        run(f"{programs}/pg_ctl", "-D", data, *start, *arguments)

    pg_ctl("start")
    try:
        yield Postgres(f"postgresql+psycopg://raypipe@/postgres?host={folder}", pg_ctl)
    finally:
        run(f"{programs}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


def _postgres_programs() -> str | None:
    """The folder of initdb and pg_ctl: Debian keeps them off the path."""
    folders = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
    if found := shutil.which("pg_ctl"):
        folders.append(os.path.dirname(found))
    return next((path for path in folders if all(os.path.exists(f"{path}/{name}") for name in ("initdb", "pg_ctl", "postgres"))), None)


def _unprivileged() -> pwd.struct_passwd | None:
    """The user to run a server as; None where this process is not root and needs none."""
    for name in ("postgres", "nobody") if os.getuid() == 0 else ():
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    return None


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
def bucket(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URL of an empty bucket. The environment leads to the server."""
    from pyarrow.fs import FileSystem

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "canary-of-a-key")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    name = f"bucket-{uuid.uuid4().hex[:8]}"
    FileSystem.from_uri(f"s3://{name}?allow_bucket_creation=true")[0].create_dir(name)
    return f"s3://{name}"


@pytest.fixture
def s3(bucket: str) -> Callable[[str, bytes], str]:
    """Puts bytes under a name into that bucket, and says their URL."""
    from pyarrow.fs import FileSystem

    def put(name: str, data: bytes) -> str:
        system, base = FileSystem.from_uri(bucket)
        with system.open_output_stream(f"{base}/{name}") as stream:
            stream.write(data)
        return f"{bucket}/{name}"

    return put


@pytest.fixture(params=["folder", "s3_server"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    return Store.open(tmp_path / "store" if request.param == "folder" else f"{request.getfixturevalue('bucket')}/store")


@pytest.fixture(scope="session")
def churn_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project that `raypipe init` makes, run once without Ray. Read only: tests that change it take `churn`."""
    from raypipe.cli.main import main

    folder = tmp_path_factory.mktemp("projects") / "churn"
    assert main(["init", str(folder)]) == 0
    assert main(["run", "-cd", str(folder / "conf"), "cluster=debug"]) == 0
    return folder


@pytest.fixture
def churn(churn_once: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that project with its ledger and store, as the working directory."""
    shutil.copytree(churn_once, tmp_path / "churn")
    monkeypatch.chdir(tmp_path / "churn")
    return tmp_path / "churn"


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same project as `raypipe init` made it, never run, as the working directory."""
    from raypipe.cli.main import main

    assert main(["init", str(tmp_path / "churn")]) == 0
    monkeypatch.chdir(tmp_path / "churn")
    return tmp_path / "churn"
