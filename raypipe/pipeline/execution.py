"""How steps are carried out: tries, time limits, resources and what follows a failure; no part of what a step is or makes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from typing import Any

from raypipe.code.annotation import misfit
from raypipe.code.shape import Shape
from raypipe.core.artifact import Json
from raypipe.core.errors import Problem, nearest
from raypipe.core.units import BYTES, SECONDS, num_bytes, read, seconds
from raypipe.pipeline.condition import Condition
from raypipe.pipeline.graph import downstream
from raypipe.pipeline.node import Node

DEFAULT = "default"
"""The name in `execution` under which stands what holds for every step."""

FINISH, STOP, CONTINUE = "finish", "stop", "continue"

_TIMES = ("backoff", "timeout", "deadline")

RUNTIME_ENV = (
    *("conda", "config", "container", "env_vars", "excludes", "image_uri", "java_jars", "nsight", "pip", "py_executable", "py_modules"),
    *("rocprof_sys", "uv", "worker_process_setup_hook", "working_dir"),
)
"""What Ray's `runtime_env` may say. Ray itself passes over what it does not know; plugins of a cluster's own add to it."""


@dataclass(frozen=True)
class Execution:
    """How one step is carried out. Times are seconds, or a number with its unit: `90s`, `10m`, `2h`, `1d`."""

    retries: int = 0
    """Further tries after one that failed for want of a worker, a node, time, the store or a network. What a user's code raises, wrong
    data and breaches of a contract fail at once."""
    backoff: float | str = "5s"
    """The wait before the second try; it doubles with each further one, and a share of it is left to chance."""
    timeout: float | str | None = None
    """Longest that one try may take; null: any time."""
    deadline: float | str | None = "1h"
    """Longest that the step waits for its resources; then it fails with the names of those who hold them. null: any time."""
    cpus: float | None = None
    """CPUs that the step takes, and that each of its Ray tasks reserves; null: what the step asks for by itself."""
    gpus: float | None = None
    """GPUs, likewise."""
    memory: int | str | None = None
    """Memory, likewise: bytes, or a number with its unit: `4GB`, `512MiB`."""
    resources: dict[str, float] = field(default_factory=dict)
    """Resources that a cluster names itself, likewise: `{tpu: 1}`."""
    runtime_env: dict[str, Any] | None = None
    """Ray's `runtime_env` of the step's tasks."""
    on_failure: str = FINISH
    """`finish`: what runs ends, nothing new starts. `stop`: what runs is ended as well. `continue`: only what reads the step is left out.
    Or the name of a step of the pipeline, which runs in this case alone."""
    notify: dict[str, Any] | None = None
    """Told of a failure, in JSON: `{command: [...]}` on its standard input, `{url: https://...}` by POST."""
    when: str | None = None
    """A condition on figures of other steps, as in `evaluate.auc > 0.7 and gate.passed`; where it does not hold the step is skipped."""
    cache: bool | str | dict[str, list[str]] = True
    """`off`: the step runs each time. `{ignore: [...]}`: settings, edges, `code` or `versions` whose change does not make it run again."""

    @property
    def backoff_s(self) -> float:
        return seconds(self.backoff)

    @property
    def timeout_s(self) -> float | None:
        return None if self.timeout is None else seconds(self.timeout)

    @property
    def deadline_s(self) -> float | None:
        return None if self.deadline is None else seconds(self.deadline)

    @property
    def memory_bytes(self) -> float | None:
        return None if self.memory is None else float(num_bytes(self.memory))

    def needs(self, own: Mapping[str, float]) -> dict[str, float]:
        """What the step takes of a cluster, by Ray's names; `own` is what it asks for by itself."""
        said = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory_bytes}
        return {**own, **{name: amount for name, amount in said.items() if amount is not None}, **self.resources}

    def ray_options(self) -> dict[str, Any]:
        """The same for each of its tasks, as far as it is said, by the names of Ray's options."""
        said = {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory_bytes}
        more = {"resources": self.resources or None, "runtime_env": self.runtime_env}
        return {name: value for name, value in {**said, **more}.items() if value is not None}

    @property
    def caches(self) -> bool:
        return self.cache not in (False, "off")

    @property
    def ignored(self) -> tuple[str, ...]:
        return tuple(self.cache.get("ignore", ())) if isinstance(self.cache, dict) else ()

    @property
    def on_failure_step(self) -> str | None:
        """The step that a failure starts."""
        return None if self.on_failure in (FINISH, STOP, CONTINUE) else self.on_failure


AS_IT_COMES = Execution()
"""Of a step of which nothing is said."""

NAMES = tuple(f.name for f in fields(Execution))
_TYPES = {f.name: str(f.type) for f in fields(Execution)}


def executions(written: Mapping[str, Any] | None, names: list[str]) -> dict[str, Execution]:
    """Step -> how it is carried out, of those that differ from the rule. `written` has no problems."""
    given = {name: options or {} for name, options in (written or {}).items()}
    shared = given.pop(DEFAULT, {})
    whole = {name: Execution(**{**shared, **given.get(name, {})}) for name in names}
    # Of the step that every failure calls for: its own calls for nothing.
    whole = {name: replace(e, on_failure=FINISH) if e.on_failure == name else e for name, e in whole.items()}
    return {name: execution for name, execution in whole.items() if execution != AS_IT_COMES}


def execution_problems(written: Any, names: list[str]) -> list[Problem]:
    """Everything that is wrong with the key `execution`, each at its place; `names` are the pipeline's steps."""
    if written is None:
        return []
    if not isinstance(written, Mapping):
        return [Problem("execution", "expected a mapping of steps to their options, e.g. execution: {train: {retries: 2}}.")]
    return [p for step, options in written.items() for p in _step_problems(str(step), options, names)] or list(_rounds(written, names))


def _rounds(written: Mapping[str, Any], names: list[str]) -> Iterator[Problem]:
    """Steps that call for each other: each runs only where another one has failed, so that none does."""
    calls = {name: execution.on_failure_step for name, execution in executions(written, names).items()}
    for name in calls:
        round_ = [name]
        while (then := calls.get(round_[-1])) is not None and then not in round_:
            round_.append(then)
        if then == name and name == min(round_):
            steps = ", ".join(f"'{b}' runs only where '{a}' fails" for a, b in pairwise([*round_, name]))
            yield Problem(f"execution.{name}.on_failure", f"none of these would ever run: {steps}.")


def failure_problems(written: Any, nodes: Mapping[str, Node]) -> list[Problem]:
    """Steps that are to run where another one fails and read what that one makes; of options and edges that have no other problem."""
    problems = []
    for step, options in (written or {}).items():
        then = options.get("on_failure") if isinstance(options, Mapping) and step != DEFAULT else None
        if then in nodes and then in downstream(nodes, step):
            what = f"'{then}' reads what comes of '{step}', and would never run: name a step that does without it."
            problems.append(Problem(f"execution.{step}.on_failure", what))
    return problems


def ignored_problems(written: Any, shapes: Mapping[str, Shape]) -> list[Problem]:
    """What `cache: {ignore: [...]}` names that the step has not; of options that have no other problem."""
    problems = []
    for step, options in (written or {}).items() if isinstance(written, Mapping) else ():
        cache = options.get("cache") if isinstance(options, Mapping) else None
        found = shapes.get(str(step))
        for name in cache.get("ignore", ()) if isinstance(cache, Mapping) and found and not found.accepts_any else ():
            valid = [*(p.name for p in found.parameters), "code", "versions"] if found else []
            if str(name).partition(".")[0] not in valid:
                what = f"{found.canonical.rpartition('.')[2]} has no setting or edge '{name}'.{nearest(str(name), valid)}" if found else ""
                problems.append(Problem(f"execution.{step}.cache.ignore", what))
    return problems


def _step_problems(step: str, options: Any, names: list[str]) -> Iterator[Problem]:
    where = f"execution.{step}"
    if step not in names and step != DEFAULT:
        yield Problem(where, f"there is no step '{step}'.{nearest(step, [*names, DEFAULT])}")
        return
    if options is None:
        return
    if not isinstance(options, Mapping):
        yield Problem(where, f"found {options!r}, expected options, e.g. {{retries: 2, timeout: 2h}}.")
        return
    for name, value in options.items():
        at = f"{where}.{name}"
        if name not in NAMES:
            yield Problem(at, f"unknown: how a step is carried out has no '{name}'.{nearest(str(name), NAMES)}")
        elif expected := misfit(value, _TYPES[name]):
            yield Problem(at, f"found {value!r}, expected {expected}.")
        else:
            yield from _value_problems(at, str(name), value, step, names)


def _value_problems(at: str, name: str, value: Any, step: str, names: list[str]) -> Iterator[Problem]:
    if name in _TIMES and value is not None and read(value, SECONDS) is None:
        yield Problem(at, f"found {value!r}, expected a time, e.g. 30, 90s, 10m, 2h.")
    elif name == "memory" and value is not None and read(value, BYTES) is None:
        yield Problem(at, f"found {value!r}, expected a size, e.g. 512MiB, 4GB.")
    elif name in ("retries", "cpus", "gpus") and value is not None and value < 0:
        yield Problem(at, f"found {value}, expected 0 or more.")
    elif name == "resources" and any(amount < 0 for amount in (value or {}).values()):
        yield Problem(at, f"found {value}, expected amounts of 0 or more.")
    elif name == "runtime_env" and value is not None:
        yield from _environment_problems(at, value)
    elif name == "on_failure" and value not in (FINISH, STOP, CONTINUE) and (value not in names or value == step):
        others = [FINISH, STOP, CONTINUE, *(name for name in names if name != step)]
        what = "the step cannot be run for its own failure" if value == step else f"there is no step '{value}' to run then"
        yield Problem(at, f"{what}.{nearest(str(value), others)}")
    elif name == "cache":
        yield from _cache_problems(at, value)
    elif name == "notify" and value is not None:
        from raypipe.pipeline.notice import notice_problems

        yield from (Problem(at, text) for text in notice_problems(value))
    elif name == "when" and value is not None:
        yield from _when_problems(at, value, step, names)


def _environment_problems(at: str, value: Mapping[str, Json]) -> Iterator[Problem]:
    for key in value if "RAY_RUNTIME_ENV_PLUGINS" not in os.environ else ():
        if key not in RUNTIME_ENV:
            yield Problem(f"{at}.{key}", f"unknown: Ray's runtime_env has no '{key}'.{nearest(str(key), RUNTIME_ENV)}")
    variables = value.get("env_vars") or {}
    if not isinstance(variables, Mapping):
        yield Problem(f"{at}.env_vars", f"found {variables!r}, expected a mapping of names to texts.")
        return
    for name, found in variables.items():
        if not isinstance(found, str):
            yield Problem(f"{at}.env_vars.{name}", f"found {found!r}, expected text: write '{found}' in quotes.")


def _when_problems(at: str, value: str, step: str, names: list[str]) -> Iterator[Problem]:
    if step == DEFAULT:
        yield Problem(at, "a condition belongs to one step: write it there.")
        return
    condition = Condition(value)
    if wrong := condition.problem():
        yield Problem(at, wrong)
        return
    for name in condition.reads:
        if name not in names:
            yield Problem(at, f"there is no step '{name}'.{nearest(name, [n for n in names if n != step])}")


def _cache_problems(at: str, value: Json) -> Iterator[Problem]:
    if isinstance(value, Mapping):
        for key in value:
            if key != "ignore":
                yield Problem(f"{at}.{key}", f"unknown.{nearest(str(key), ['ignore'])}")
    elif value not in (True, False, "on", "off"):
        yield Problem(at, f"found {value!r}, expected off, on, or {{ignore: [...]}}.")
