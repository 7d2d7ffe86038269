"""Kubeflow Pipelines' local runner: a process a step, without a virtual environment each, with its cache.

python on_kfp.py [SHAPE NUMBER FOLDER]     without any it stays, and answers
"""

# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
# No annotations from the future: KFP takes them as they are.

import sys
import warnings

from asked import answer
from kfp import dsl, local

IMAGE = "python:3.11"
"""Never used: the runner starts this interpreter."""


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def first() -> int:
    return 0


@dsl.component(base_image=IMAGE, packages_to_install=[], install_kfp_package=False)
def add(number: int, by: int) -> int:
    return number + by


def run(shape: str, number: int, folder: str) -> int:
    runner = local.SubprocessRunner(use_venv=False)
    local.init(runner, pipeline_root=f"{folder}/outputs", enable_caching=True, cache_root=f"{folder}/cache")

    @dsl.pipeline
    def trivial() -> int:
        start = made = first()
        for by in range(1, number) if shape == "chain" else range(number):
            made = add(number=made.output, by=1) if shape == "chain" else add(number=start.output, by=by)
        return made.output

    return trivial().output


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    if sys.argv[1:]:
        shape, number, folder = sys.argv[1:]
        print("value", run(shape, int(number), folder))
    else:
        answer(run)
