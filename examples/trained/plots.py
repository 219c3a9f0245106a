"""The curves of a training, from its log."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

_LOSSES = {"tower": "loss", "projector": "error", "language model": "loss"}
_SMOOTHED = 15
"""Steps that one point of a loss is the mean of."""


def draw(log: Path, picture: Path) -> None:
    """Loss of each stage, and accuracy on held-out scenes by task."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    figure = Figure(figsize=(13, 3.4), layout="constrained")
    panels = figure.subplots(1, 4)
    for axes, (stage, name) in zip(panels, _LOSSES.items(), strict=False):
        # A training that was resumed has done some steps twice.
        values = {line["step"]: line[name] for line in lines if line["stage"] == stage}
        _plot_loss(axes, stage, list(values), list(values.values()))
    checks = {line["step"]: line for line in lines if line["stage"] == "held out"}
    for task in [key for key in next(iter(checks.values()), {}) if key not in ("stage", "step")]:
        shares = [100 * line[task] for line in checks.values()]
        panels[-1].plot(list(checks), shares, marker=".", label=task)
    panels[-1].set(title="held-out scenes", xlabel="step", ylabel="answered, %", ylim=(0, 102))
    panels[-1].legend(fontsize="x-small")
    figure.savefig(picture)


def _plot_loss(axes: Axes, stage: str, steps: list[int], values: list[float]) -> None:
    width = min(_SMOOTHED, len(values))
    smooth = np.convolve(values, np.ones(width) / max(1, width), mode="valid") if width else values
    axes.plot(steps, values, color="0.8", lw=0.7)
    axes.plot(steps[width - 1 :] if width else steps, smooth, color="C0")
    axes.set(title=stage, xlabel="step", yscale="log", ylabel="loss")


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
