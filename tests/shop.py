"""A small project that tests write: a pipeline named `shop` that takes files in and ends before there is a model."""

from __future__ import annotations

from pathlib import Path

CONFIG = """\
defaults: [{defaults}, _self_, {{override source: parquet}}]
name: shop
source: {source}
{more}
train: null
evaluate: null
gate: null
register: null
infra_validate: null
deploy: null
"""


def write(folder: Path, source: str, more: str, own: str, defaults: str = "pipeline") -> Path:
    """The folder, with `conf/shop.yaml` of this source and these further lines, and `own.py`."""
    (folder / "conf").mkdir(parents=True)
    (folder / "conf" / "shop.yaml").write_text(CONFIG.format(source=source, more=more.strip(), defaults=defaults))
    (folder / "own.py").write_text(own)
    return folder
