"""What becomes of files that are not as they should be: all that is refused is told at once."""

from dataclasses import dataclass
from typing import Any

import pytest

from raypipe.core.errors import DataError
from raypipe.data.ingest.policy import Policy
from raypipe.data.source.piece import New


@dataclass(frozen=True)
class Named:
    name: str
    size: int = 1


NEW = New([Named("d"), Named("e")], changed=[Named("a")], gone={"b": "", "c": "d"}, doubles={"e": "f"})


def test_everything_that_is_refused_is_told_at_once():
    with pytest.raises(DataError) as error:
        Policy().refuse(NEW)
    lines = str(error.value).splitlines()
    assert [line.partition(":")[0] for line in lines] == ["a", "b", "c", "e"]
    assert "c: its rows were taken, and it is not there any more; d has its content." in lines[2]
    assert "(setting `changed`: replace, ignore)" in lines[0]


@pytest.mark.parametrize(
    ("policy", "first"),
    [(Policy(changed="ignore"), "b"), (Policy(changed="replace", gone="keep"), "e"), (Policy("ignore", "keep"), "e")],
)
def test_what_is_let_pass_is_not_told(policy, first):
    with pytest.raises(DataError, match=f"^{first}: "):
        policy.refuse(NEW)


def test_what_is_done_instead_is_told():
    policy = Policy("replace", "keep", "skip")
    policy.refuse(NEW)
    fresh, again = policy.pieces(NEW)
    assert ([piece.name for piece in fresh], [piece.name for piece in again]) == (["d"], ["a"])
    assert policy.told(NEW) == [
        "e: left out, it has the same content as f",
        "a: its content has changed since it was taken: its rows are replaced",
        "b: is not there any more, its rows stay",
        "c: is not there any more, its rows stay",
    ]
    assert Policy("ignore").pieces(NEW)[1] == ()


def test_settings_are_checked():
    wrong: Any = "x"
    assert Policy(gone=wrong, on_bad=wrong).problems() == ["gone is 'x', expected refuse, keep", "on_bad is 'x', expected fail, quarantine"]
