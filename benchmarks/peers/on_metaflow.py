"""Metaflow: a flow as a file, for it reads its own source; a process a step is its way, and `resume` takes what was done from a run before.

python on_metaflow.py SHAPE NUMBER     prints the flow
"""

from __future__ import annotations

import sys

HEAD = """
from metaflow import FlowSpec, step
class Trivial(FlowSpec):
    @step
    def start(self):
        self.number = 0
        self.numbers = list(range({number}))
        self.next({first})
"""
LINK = """
    @step
    def s{i}(self):
        self.number += 1
        self.next(self.{then})
"""
FAN = """
    @step
    def add(self):
        self.number += self.input
        self.next(self.gather)
    @step
    def gather(self, inputs):
        self.number = max(each.number for each in inputs)
        self.next(self.end)
"""
END = """
    @step
    def end(self):
        print('value', self.number)
if __name__ == '__main__':
    Trivial()
"""


def flow(shape: str, number: int) -> str:
    """A chain's `start` is its first step; `end` does nothing, and is none."""
    if shape == "fan":
        return HEAD.format(number=number, first='self.add, foreach="numbers"') + FAN + END
    links = [LINK.format(i=i, then=f"s{i + 1}" if i + 1 < number else "end") for i in range(1, number)]
    return HEAD.format(number=number, first="self.s1") + "".join(links) + END


if __name__ == "__main__":
    print(flow(sys.argv[1], int(sys.argv[2])))
