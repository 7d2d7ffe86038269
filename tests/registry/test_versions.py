"""Versions count without gaps, aliases move in one transaction with their audit, and a name that is nothing says what there is."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from raypipe.core import schema
from raypipe.core.artifact import Artifact, Json, Model
from raypipe.core.errors import ConfigError
from raypipe.core.ledger import Ledger, Record
from raypipe.registry.versions import alias, aliases, champion, move_alias, names, register, resolve, verdicts, versions


def published(ledger: Ledger, digest: str, kind: str = "Model", pipeline: str = "flights", **figures: Json) -> Artifact:
    fingerprint = uuid.uuid4().hex
    lease = ledger.claim(fingerprint, "run-1")
    return ledger.publish(lease, Record(kind, pipeline, kind.lower(), "run-1", fingerprint, digest, figures=figures))


def registered(ledger: Ledger, *digests: str, name: str = "flights") -> list[int]:
    numbers = []
    for digest in digests:
        model = published(ledger, digest)
        assert isinstance(model, Model)
        with ledger.writing() as connection:
            numbers.append(register(connection, ledger, name, model))
    return numbers


def moved(ledger: Ledger, alias: str, version: int, **why: str):
    with ledger.writing() as connection:
        return move_alias(connection, ledger, "flights", alias, version, **why)


def audit(ledger: Ledger, what: str) -> list[tuple[str, Json]]:
    with ledger.reading() as connection:
        query = select(schema.events.c.who, schema.events.c.detail).where(schema.events.c.what == what).order_by(schema.events.c.number)
        return [(row.who, row.detail) for row in connection.execute(query)]


def test_a_bundle_has_one_version(ledger: Ledger):
    assert registered(ledger, "a", "b", "a", "c", "b") == [1, 2, 1, 3, 2]
    assert registered(ledger, "b", name="other") == [1]
    assert [(row.version, row.model_digest) for row in versions(ledger, "flights")] == [(1, "a"), (2, "b"), (3, "c")]
    assert names(ledger) == ["flights", "other"]
    assert [detail["version"] for _, detail in audit(ledger, "version registered")] == [1, 2, 3, 1]


def test_a_version_that_is_not_committed_leaves_no_gap(ledger: Ledger):
    model = published(ledger, "a")
    assert isinstance(model, Model)

    def broken_off() -> None:
        with ledger.writing() as connection:
            assert register(connection, ledger, "flights", model) == 1
            raise InterruptedError

    with pytest.raises(InterruptedError):
        broken_off()
    assert registered(ledger, "b", "a") == [1, 2]


def test_an_alias_moves_with_rev_and_audit(ledger: Ledger):
    registered(ledger, "a", "b")
    assert moved(ledger, "champion", 1, run="run-1").by_run
    back = moved(ledger, "champion", 2, reason="the first one is worse on Mondays")
    assert (back.version, back.rev, back.by_run) == (2, 2, False)
    assert back.moved_by.endswith("(unverified)")
    assert alias(ledger, "flights", "champion") == back
    (_, first), (who, second) = audit(ledger, "alias moved")
    assert first == {"model": "flights", "alias": "champion", "from": None, "to": 1, "rev": 1, "run": "run-1", "reason": ""}
    assert (second["from"], second["to"], second["rev"], second["reason"]) == (1, 2, 2, "the first one is worse on Mondays")
    assert who.endswith("(unverified)")


def test_an_alias_that_is_there_already_stays_with_its_mover(ledger: Ledger):
    registered(ledger, "a")
    by_person = moved(ledger, "champion", 1, reason="mine")
    assert moved(ledger, "champion", 1, run="run-2") == by_person
    assert len(audit(ledger, "alias moved")) == 1


def test_a_name_stands_for_its_champion_else_its_newest(ledger: Ledger):
    registered(ledger, "a", "b", "c")
    assert resolve(ledger, "flights")[1].digest == "c"
    assert champion(ledger, "flights") is None
    moved(ledger, "champion", 2)
    assert resolve(ledger, "flights")[1].digest == "b"
    assert resolve(ledger, "flights@champion")[0].version == 2
    assert resolve(ledger, "flights@1")[1].digest == "a"
    found = champion(ledger, "flights")
    assert found is not None
    assert found.digest == "b"
    assert list(aliases(ledger, "flights")) == ["champion"]


@pytest.mark.parametrize(
    ("ref", "message"),
    [
        ("flight@1", "there is no model 'flight' in project 'test'. Did you mean 'flights'?"),
        ("flights@7", "model 'flights' has no version 7. It has versions 1 to 2, champion (version 2)."),
        ("flights@champ", "model 'flights' has no alias 'champ'. It has versions 1 to 2, champion (version 2)."),
        ("flights@", "model 'flights' has no alias ''."),
        ("flights@1@2", "model 'flights' has no alias '1@2'."),
    ],
)
def test_what_names_nothing_says_what_there_is(ledger: Ledger, ref: str, message: str):
    registered(ledger, "a", "b")
    moved(ledger, "champion", 2)
    with pytest.raises(ConfigError) as error:
        resolve(ledger, ref)
    assert message in str(error.value)
    assert error.value.exit_code == 2


def test_nothing_registered_yet_is_said(ledger: Ledger):
    with pytest.raises(ConfigError, match="No model is registered yet"):
        resolve(ledger, "flights")
    with pytest.raises(ConfigError, match="there is no model 'flights'"):
        moved(ledger, "champion", 1)


def test_an_alias_of_no_version_and_a_name_that_is_a_number_are_refused(ledger: Ledger):
    registered(ledger, "a")
    with pytest.raises(ConfigError, match=r"no version 2\. It has version 1"):
        moved(ledger, "champion", 2)
    with pytest.raises(ConfigError, match="'3' is no name for an alias"):
        moved(ledger, "3", 1)
    with pytest.raises(ConfigError, match="'a@b' is no name for a model"):
        registered(ledger, "b", name="a@b")


def test_projects_do_not_see_each_other(ledger: Ledger):
    registered(ledger, "a", "b")
    other = Ledger.open(ledger.url, "other")
    assert registered(other, "b") == [1]
    assert [row.version for row in versions(ledger, "flights")] == [1, 2]
    other.close()


def test_verdicts_come_in_order(ledger: Ledger):
    published(ledger, "v1", "Verdict", passed=True)
    published(ledger, "v2", "Verdict", passed=False)
    published(ledger, "v3", "Verdict", "other")
    assert [verdict.digest for verdict in verdicts(ledger, "flights")] == ["v1", "v2"]


REGISTERS = """
import sys
from raypipe.core.artifact import Model
from raypipe.core.ledger import Ledger
from raypipe.registry.versions import move_alias, register

ledger = Ledger.open(sys.argv[1], "shared")
sys.stdin.readline()
for i in range(int(sys.argv[3]), 30 + int(sys.argv[3])):
    with ledger.writing() as connection:
        model = Model(f"id{i}", "flights", "train", "run", f"f{i}", f"digest{i}")
        version = register(connection, ledger, "flights", model)
        move_alias(connection, ledger, "flights", "candidate", version, run=sys.argv[2])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A ledger on each database that other processes open too."""
    url = f"sqlite:///{tmp_path}/ledger.db" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    opened = Ledger.open(url, "shared")
    yield opened
    opened.close()


def test_two_processes_at_once_leave_no_gap_and_double_nothing(shared: Ledger):
    starts = [("one", "0"), ("two", "20")]
    commands = [[sys.executable, "-c", REGISTERS, shared.url, *arguments] for arguments in starts]
    running = [subprocess.Popen(command, stdin=subprocess.PIPE, text=True) for command in commands]
    for process in running:
        process.communicate("go\n", timeout=120)
    assert [process.returncode for process in running] == [0, 0]
    found = versions(shared, "flights")
    assert [row.version for row in found] == list(range(1, 51)), "ten digests are the same for both"
    assert {row.model_digest for row in found} == {f"digest{i}" for i in range(50)}
    steps = [detail for _, detail in audit(shared, "alias moved")]
    assert [step["rev"] for step in steps] == list(range(1, len(steps) + 1))
    assert [step["from"] for step in steps] == [None, *(step["to"] for step in steps[:-1])]
