"""init: a new project's folder that runs as it is, small enough to read in a minute."""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from raypipe.core.errors import ConfigError

NUM_ROWS = 200

CONFIG = """\
defaults: [pipeline, {{model: logistic}}, _self_]
name: {name}

source: {{path: data/customers.csv}}
contract:
  _target_: raypipe.Contract
  columns:
    customer_id: {{type: int64, nulls: false, unique: true}}
    age: {{type: int64, min: 18, max: 110}}
    plan: {{type: string, allowed: [basic, plus, pro]}}
    months: {{type: int64, min: 0}}
    calls_per_month: {{type: float64, min: 0}}
    ended_on: {{type: date32, known: afterwards}}
    left: {{type: bool, nulls: false, known: afterwards}}
label: left

split: {{by: hash, key: customer_id, validation: 0.2, test: 0.2}}
transform:
  inputs: {{_target_: raypipe.Select, columns: [age, plan, months, calls_per_month]}}
  scale: {{_target_: raypipe.Standardize, columns: [age, months, calls_per_month]}}
  plans: {{_target_: raypipe.OneHot, columns: [plan]}}

gate:
  thresholds: {{auc: {{min: 0.6}}}}
"""

README = """\
# {name}

Will a customer leave? 200 invented customers, a contract, and a logistic regression.

    raypipe plan      # what a run would do, and why
    raypipe run       # ingest, validate, split, transform, train, evaluate, gate, register, validate the service, deploy
    raypipe serve     # answer requests on 127.0.0.1:8000, until Ctrl-C
    raypipe predict {name}@champion data/customers.csv

`conf/{name}.yaml` is the whole pipeline. `raypipe run model=booster train.epochs=3` changes it for one run.
"""


def init(options: argparse.Namespace) -> int:
    """Writes the folder; refuses one that holds anything."""
    folder = Path(options.folder)
    name = folder.absolute().name
    if not name.replace("_", "a").replace("-", "a").isalnum() or not name[0].isalpha():
        raise ConfigError(f"'{name}' is no name for a project: letters, digits, '_' and '-', a letter first.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder}: there is something already. Name a folder that is new or empty.")
    (folder / "conf").mkdir(parents=True)
    (folder / "data").mkdir()
    (folder / "conf" / f"{name}.yaml").write_text(CONFIG.format(name=name))
    (folder / "data" / "customers.csv").write_text(customers())
    (folder / "README.md").write_text(README.format(name=name))
    (folder / ".gitignore").write_text(".raypipe/\n__pycache__/\n")
    (folder / "raypipe.toml").write_text(f'project = "{name}"\n')
    print(json.dumps({"folder": str(folder)}) if options.json else f"made {folder}. Next: cd {folder} && raypipe run")
    return 0


def customers() -> str:
    """The CSV: those who call often, pay most and have not been there for long leave more often; the same each time."""
    dice = random.Random(7)
    lines = ["customer_id,age,plan,months,calls_per_month,ended_on,left"]
    for number in range(1, NUM_ROWS + 1):
        plan, months, calls = dice.choice(["basic", "basic", "plus", "pro"]), dice.randrange(0, 72), dice.gammavariate(2, 1.5)
        left = dice.random() < 1 / (1 + 2.718281828 ** -(0.7 * calls - 0.06 * months + (0.8 if plan == "pro" else 0) - 1.2))
        ended = f"2025-{dice.randrange(1, 13):02d}-{dice.randrange(1, 29):02d}" if left else ""
        lines.append(f"{number},{dice.randrange(18, 90)},{plan},{months},{calls:.2f},{ended},{str(left).lower()}")
    return "\n".join(lines) + "\n"
