"""The options that the groups of a config offer, and which override chooses one."""

from __future__ import annotations

import dataclasses
from typing import Any

from hydra.core.object_type import ObjectType
from hydra.core.override_parser.types import Override, OverrideType

from raypipe.core.errors import Problem, nearest


@dataclasses.dataclass(frozen=True)
class Options:
    """What Hydra finds on its search path: the user's folder, `hydra.searchpath`, raypipe's own configs."""

    repository: Any
    """Hydra's, with each file read once."""

    def of(self, group: str) -> list[str]:
        """The names of a group's options; empty where there is no such group."""
        return self.repository.get_group_options(group, ObjectType.CONFIG)

    def groups(self) -> list[str]:
        return [group for group in self.repository.get_group_options("", ObjectType.GROUP) if group != "hydra"]

    def exists(self, config: str) -> bool:
        return self.repository.config_exists(config)

    def chooses(self, override: Override) -> bool:
        """Whether an override chooses an option of a group, and does not set a value: `model=mlp`, `~tracker`, `+experiment=wide`."""
        is_choice = override.package is not None or override.is_delete() or isinstance(override.value(), (str, list))
        return is_choice and self.repository.group_exists(override.key_or_group)

    def problem(self, override: Override) -> Problem | None:
        """What is wrong with the option chosen."""
        options = self.of(override.key_or_group)
        chosen = override.value()
        for option in chosen if isinstance(chosen, list) else [chosen]:
            if option not in options and not override.is_delete():
                return Problem(override.key_or_group, f"there is no option '{option}'.{nearest(str(option), options)}")
        return None


def added(override: Override) -> Override:
    """The same choice as an addition to the defaults list."""
    return dataclasses.replace(override, type=OverrideType.ADD, input_line=f"+{override.input_line}")
