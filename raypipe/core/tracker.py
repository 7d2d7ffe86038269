"""Where a run's metrics are shown while it goes on: nowhere, or Weights & Biases."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from raypipe.core.artifact import Json
from raypipe.core.errors import ConfigError, Problem
from raypipe.core.secret import masked


class Tracker(Protocol):
    """What a run tells. It gets the config with its references unresolved: what `${oc.env:KEY}` stands for never leaves the process."""

    def start(self, run: str, config: Mapping[str, Json]) -> None: ...
    def log(self, metrics: Mapping[str, float], step: int) -> None: ...
    def finish(self, state: str) -> None: ...


@dataclass(frozen=True)
class NoTracker:
    """Metrics go to the ledger alone."""

    def start(self, run: str, config: Mapping[str, Json]) -> None:
        """Nothing to tell."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Nothing to tell."""

    def finish(self, state: str) -> None:
        """Nothing to tell."""


@dataclass(frozen=True)
class Wandb:
    """Weights & Biases."""

    project: str
    """The project there."""
    mode: Literal["auto", "online", "offline"] = "auto"
    """auto: online with a WANDB_API_KEY, else offline into `folder`, from where `wandb sync` sends it later."""
    folder: str = ".raypipe"
    """Where offline runs are kept, relative to the working directory; wandb makes a folder `wandb` in it."""

    def start(self, run: str, config: Mapping[str, Json]) -> None:
        wandb = _wandb()
        Path(self.folder).mkdir(parents=True, exist_ok=True)
        wandb.init(
            project=self.project,
            id=run,
            name=run,
            resume="allow",
            config=masked(config),
            mode=self._mode(),
            dir=self.folder,
            settings=_settings(wandb),
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """A step that was reported before, as after a kill, is not reported again."""
        _wandb().log(dict(metrics), step=step)

    def finish(self, state: str) -> None:
        wandb = _wandb()
        if wandb.run:
            wandb.run.summary["state"] = state
        wandb.finish(exit_code=0 if state == "DONE" else 1)

    def _mode(self) -> Literal["online", "offline"]:
        if self.mode == "auto":
            return "online" if os.environ.get("WANDB_API_KEY") else "offline"
        return self.mode


def _settings(wandb: Any) -> Any:
    """wandb of its own accord sends the command line, the packages, the git remote and the source: none was asked for."""
    return wandb.Settings(
        silent=True,
        disable_git=True,
        disable_code=True,
        save_code=False,
        console="off",
        x_disable_meta=True,
        x_disable_stats=True,
        x_disable_machine_info=True,
        x_save_requirements=False,
        program="raypipe",
    )


def _wandb() -> Any:
    try:
        import wandb
    except ModuleNotFoundError:
        raise ConfigError(
            [Problem("tracker", "the package wandb is not installed: pip install 'raypipe[wandb]', or tracker=none")]
        ) from None
    return wandb
