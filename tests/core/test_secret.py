"""Values of variables that are named like a secret are masked wherever they stand."""

from raypipe.core.secret import masked


def test_a_secret_of_the_environment_is_masked_wherever_it_stands():
    environ = {"API_KEY": "abcdefgh1", "USER": "somebody", "SHORT_TOKEN": "some"}
    config = {"a": [{"b": "x abcdefgh1 y"}, 1.5, None], "abcdefgh1": "somebody a"}
    assert masked(config, environ) == {"a": [{"b": "x *** y"}, 1.5, None], "***": "somebody a"}


def test_two_secrets_are_told_apart_where_that_matters():
    one, other = (masked("secret-1", {"KEY": "secret-1"}, told_apart=True), masked("secret-2", {"KEY": "secret-2"}, told_apart=True))
    assert one != other
    assert "secret" not in one + other


def test_the_longer_one_is_masked_whole():
    assert masked("abcdef-and-more", {"A_KEY": "abcdef", "B_KEY": "abcdef-and-more"}) == "***"
