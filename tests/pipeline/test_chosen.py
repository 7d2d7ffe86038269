"""Steps made anew, from one on, or alone; and what does not count for the cache."""

from __future__ import annotations

import pytest

from raypipe.core.errors import ConfigError


def chain(project, **more) -> dict:
    m = project.module
    return {"a": m.First(**more), "b": m.Then(before="a"), "c": m.Then(before="b")}


def test_force_makes_a_step_anew_and_what_reads_it_only_where_it_came_out_different(project, states):
    project.run(chain(project))
    result = project.run(chain(project), force=["b"])
    assert states(result) == {"a": "HIT", "b": "RUN", "c": "HIT"}
    assert result.steps["b"].why == "asked for anew"
    assert project.log.count("b begins") == 2
    assert states(project.run(chain(project))) == {"a": "HIT", "b": "HIT", "c": "HIT"}


def test_from_makes_all_that_is_made_from_it_anew(project, states):
    project.run(chain(project))
    assert states(project.run(chain(project), since=["b"])) == {"a": "HIT", "b": "RUN", "c": "RUN"}


def test_only_makes_nothing_else(project, states):
    project.run(chain(project))
    result = project.run({**chain(project), "d": project.module.First(value=9), "b": project.module.Then(before="a", value=1)}, only=["b"])
    assert states(result) == {"a": "HIT", "b": "RUN"}
    assert "d begins" not in project.log


def test_only_needs_what_the_step_reads(project):
    with pytest.raises(ConfigError) as error:
        project.run(chain(project), only=["b"])
    assert str(error.value) == "--only b: 'a' is not made, and not asked for (RUN: never made)."
    assert project.log == []


def test_a_name_of_no_step_is_refused_with_the_nearest(project):
    with pytest.raises(ConfigError, match="--force: there is no step 'bb'"):
        project.run(chain(project), force=["bb"])


def test_cache_off_makes_it_each_time(project, states):
    for _ in range(2):
        result = project.run(chain(project), {"a": {"cache": "off"}})
        assert result.steps["a"].state == "RUN"
    assert states(result) == {"a": "RUN", "b": "HIT", "c": "HIT"}


def test_what_is_ignored_does_not_make_it_again(project, states):
    ignoring = {"a": {"cache": {"ignore": ["also"]}}}
    project.run(chain(project, also=1))
    assert states(project.run(chain(project, also=2), ignoring)) == {"a": "HIT", "b": "HIT", "c": "HIT"}
    assert states(project.run(chain(project, also=2, value=2), ignoring))["a"] == "RUN"
    assert states(project.run(chain(project, also=3, value=2), ignoring))["a"] == "HIT"
    assert states(project.run(chain(project, also=4, value=2)))["a"] == "RUN"


def test_what_is_ignored_must_be_there(project):
    with pytest.raises(ConfigError) as error:
        project.pipeline(chain(project), {"b": {"cache": {"ignore": ["valeu", "before", "code"]}}})
    assert str(error.value) == "execution.b.cache.ignore: Then has no setting or edge 'valeu'. Did you mean 'value'?"
