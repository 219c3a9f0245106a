"""How the cost of a sample's knockouts grows, in plain forward passes of the same sample.

A small random checkpoint, of which one thing is varied at a time: the width of the window, the
number of edges, image positions, layers, and how many questions are asked about one image. Each
figure is the median of `--repeats`, beside transformers' own forward pass with SDPA right before
and after (`in_forwards`), with what has to be computed counted in positions times layers.

    python benchmarks/growth.py [--repeats 3] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

import torch
from machine import machine
from random_checkpoints import counting, in_forwards
from random_sweeps import Geometry, Sweep

from mmflow_bench.interventions.suffixes import knockout_logits

WIDTH = 256
BASE = Geometry(layers=16, patches=16)
SERIES: dict[str, Sequence[int]] = {
    "window": (1, 3, 5, 9, 15),
    "edges": (1, 2, 3, 4, 5, 6),
    "image_positions": (64, 256, 576, 1024),
    "layers": (8, 16, 24, 32),
    "questions_per_image": (1, 2, 4, 8),
}


class Cost(NamedTuple):
    """What is computed, and how many plain forward passes it is a multiple of."""

    sweep: Sweep
    run: Callable[[], object]
    samples: int = 1


def cost_at(name: str, value: int) -> Cost:
    """All knockouts of a sample, clean pass included, where one thing is `value`."""
    if name == "window":
        sweep = Sweep(BASE, WIDTH, window=value)
        return Cost(sweep, sweep.fast)
    if name == "image_positions":
        sweep = Sweep(replace(BASE, patches=round(value**0.5)), WIDTH)
        return Cost(sweep, sweep.fast)
    if name == "layers":
        sweep = Sweep(replace(BASE, layers=value), WIDTH)
        return Cost(sweep, sweep.fast)
    sweep = Sweep(BASE, WIDTH)
    if name == "edges":
        knockouts = sweep.knockouts[: value * sweep.layers]
        return Cost(sweep, lambda: knockout_logits(sweep.checkpoint, sweep.clean(), knockouts))
    return Cost(sweep, lambda: questions(sweep, value), samples=value)


def questions(sweep: Sweep, count: int) -> None:
    """So many questions, one after the other; of one alone the image is not kept."""
    if count == 1:
        sweep.fast()
        return
    beginning = sweep.beginning()
    for _ in range(count):
        knockout_logits(sweep.checkpoint, sweep.gone_on(beginning), sweep.knockouts)


def measured(name: str, values: Sequence[int], repeats: int) -> Iterator[dict[str, object]]:
    for value in values:
        sweep, run, samples = cost_at(name, value)
        run()
        with counting(sweep.checkpoint) as counted:
            run()
            positions = counted()
        yield {
            name: value,
            "forwards": in_forwards(run, sweep.plain, repeats) / samples,
            "counted_forwards": positions / (sweep.layers * sweep.length) / samples,
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--series", choices=SERIES, action="append", help="all when left out")
    options.add_argument("--most", type=int, help="the first so many values of each alone")
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    torch.set_num_threads(1)
    found: dict[str, list[dict[str, object]]] = {}
    for name in asked.series or SERIES:
        found[name] = list(measured(name, SERIES[name][: asked.most], asked.repeats))
        shown = (f"{one[name]}: {one['forwards']:.2f}" for one in found[name])
        print(f"{name}  {'  '.join(shown)}", flush=True)
    if asked.output:
        base = {"width": WIDTH, **asdict(BASE), "edges": 6, "window": 9, "questions_per_image": 1}
        told = {"machine": machine(), "base": base, "series": found}
        asked.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
