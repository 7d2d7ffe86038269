"""Distributions of import names: the same names and versions as importlib.metadata gives, without its cost."""

from importlib import metadata

import pytest

from raypipe.code.distribution import version, versions


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("numpy", "numpy"),
        ("pyarrow.compute", "pyarrow"),
        ("sklearn.preprocessing", "scikit-learn"),
        ("yaml", "pyyaml"),
        ("google.protobuf", "protobuf"),
        ("typing_extensions", "typing-extensions"),
        ("omegaconf", "omegaconf"),
    ],
)
def test_the_distribution_of_a_module(module: str, name: str):
    assert versions([module]) == {name: metadata.version(name)}
    assert version(name) == metadata.version(name)


def test_what_is_not_installed():
    assert versions(["no_such_module.part"]) == {"no_such_module": "not installed"}
    assert version("no-such-distribution") == "not installed"
