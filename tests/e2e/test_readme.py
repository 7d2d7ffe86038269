"""Every command in the README's blocks runs as it stands, block by block in order, in the demo's project.

A block fenced as `console` or `bash` is one shell script: of a `console` block the lines after `$ `, with their continuations. What the
README shows as their output is not compared. A block that needs a server starts and stops it itself.
"""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass

import pytest

from tests.e2e.conftest import ROOT, Demo, environment

README = ROOT / "README.md"


@dataclass(frozen=True)
class Block:
    line: int
    commands: tuple[str, ...]


def blocks(text: str) -> list[Block]:
    found = re.finditer(r"^```(console|bash)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [Block(text[: match.start()].count("\n") + 1, tuple(_commands(match[1], match[2]))) for match in found]


def _commands(kind: str, body: str) -> list[str]:
    commands: list[str] = []
    goes_on = False
    for line in body.splitlines():
        if goes_on:
            commands[-1] += "\n" + line
        elif kind == "bash" and line.strip() and not line.startswith("#"):
            commands.append(line)
        elif kind == "console" and line.startswith("$ "):
            commands.append(line[2:])
        else:
            continue
        goes_on = line.endswith("\\")
    return commands


@pytest.mark.parametrize("block", blocks(README.read_text()), ids=lambda block: f"line {block.line}")
def test_block_runs(block: Block, demo_project: Demo):
    script = "\n".join(command for command in block.commands if not command.startswith("make "))
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=demo_project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, f"$ {script}\n{done.stdout}"


@pytest.mark.parametrize("block", blocks(README.read_text()), ids=lambda block: f"line {block.line}")
def test_its_make_targets_exist(block: Block):
    """The demo itself is the fixture, and `make test` is what runs this."""
    makefile = (ROOT / "Makefile").read_text()
    for command in block.commands:
        if command.startswith("make "):
            assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE), command


def test_commands_are_told_from_output():
    text = "```console\n$ raypipe plan \\\n    -cn flights\n3 steps\n$ raypipe runs\n```\n\n```bash\nmake demo\n# a remark\n```\n"
    assert [block.commands for block in blocks(text)] == [("raypipe plan \\\n    -cn flights", "raypipe runs"), ("make demo",)]
