"""Trace one question about a rendered scene: the figure of docs/trace.md.

Usage: python docs/figures/trace_scene.py FIGURE.svg
"""

import sys

import mmflow_bench as mm
from mmflow_bench.scenes.questions import scene_samples


def main() -> None:
    (sample,) = scene_samples(per_task=1, tasks=("ChooseAttr",))
    mm.trace("planted/base", image=sample.image, question=sample.question).save(sys.argv[1])


if __name__ == "__main__":
    main()
