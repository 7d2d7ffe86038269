"""ledger: the database itself, checked, copied out and in, and brought up to date."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
from pathlib import Path

from raypipe.cli.terminal import console
from raypipe.core.errors import ConfigError, LedgerError
from raypipe.core.wording import size_text

NUM_SHOWN = 50


def check(options: argparse.Namespace) -> int:
    """Every live record against the store; exit code 1 where something does not hold."""
    from raypipe.data.lake.sound import check as checked
    from raypipe.pipeline.plan import open_scene

    scene = open_scene()
    found = checked(scene.ledger, scene.store, read_bytes=options.bytes)
    if options.json:
        print(json.dumps(dataclasses.asdict(found), indent=2))
        return 1 if found.flaws else 0
    out = console()
    for flaw in found.flaws[:NUM_SHOWN]:
        out.print(f"[red]{flaw.where}[/red] {flaw.what} ({flaw.of})")
    if len(found.flaws) > NUM_SHOWN:
        out.print(f"... and {len(found.flaws) - NUM_SHOWN:,} more (--json shows all)")
    what = f"{found.num_artifacts:,} artifacts, {found.num_snapshots:,} snapshots, {found.num_files:,} files ({size_text(found.num_bytes)})"
    how = "all bytes read" if options.bytes else "there and of their size; --bytes reads them"
    out.print(f"{what}: {f'{len(found.flaws):,} flaws' if found.flaws else 'sound'} ({how})")
    if found.flaws:
        out.print("The next run makes anew what the store has lost of its steps; of an ingested table, restore the file from a copy.")
    return 1 if found.flaws else 0


def export(options: argparse.Namespace) -> int:
    """The whole ledger, all projects, as one text file."""
    from raypipe.data.lake.transfer import export as exported
    from raypipe.pipeline.plan import open_scene

    path, scene = Path(options.file), open_scene()
    if path.exists():
        raise ConfigError(f"{path} is there already; name a file that is new.")
    part = path.with_name(f"{path.name}.part")
    with part.open("w", encoding="utf-8") as out, scene.ledger.reading() as connection:
        count = exported(connection, out)
        out.flush()
        os.fsync(out.fileno())
    part.rename(path)
    print(json.dumps({"rows": count, "file": str(path)}) if options.json else f"{count:,} rows of {scene.ledger.where} written to {path}")
    return 0


def import_(options: argparse.Namespace) -> int:
    """Such a file into this project's ledger, which must be empty."""
    from raypipe.data.lake.transfer import restore
    from raypipe.pipeline.plan import open_scene

    path = Path(options.file)
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such file.")
    scene = open_scene()
    with path.open(encoding="utf-8") as lines, scene.ledger.writing() as connection:
        count = restore(connection, lines)
    print(json.dumps({"rows": count}) if options.json else f"{count:,} rows read into {scene.ledger.where}")
    return 0


def migrate(options: argparse.Namespace) -> int:
    """The ledger of an older version brought up to this one's."""
    from raypipe.core.ledger import Ledger
    from raypipe.core.place import find_project

    place = find_project(None, Path.cwd())
    before, after = Ledger.migrate(place.ledger_url)
    if options.json:
        print(json.dumps({"before": before, "after": after}))
    elif before == after:
        print(f"the ledger is of version {after} already")
    else:
        print(f"the ledger was of version {before} and is of version {after} now")
    return 0


def usage(options: argparse.Namespace) -> int:
    """`raypipe ledger` alone."""
    raise LedgerError("raypipe ledger: say what: check, export FILE, import FILE or migrate.")
