"""Draw the curves of a table that `mmflow sweep` wrote: one panel per task, one line per edge.

Usage: python docs/figures/plot_sweep.py TABLE.parquet FIGURE.svg [--title=TEXT] [--tasks=A,B]
"""

import argparse
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
from matplotlib import pyplot as plt
from matplotlib.ticker import MaxNLocator

# Okabe-Ito: distinguishable without red-green vision, readable on light and dark ground.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9"]


def mean_and_band(table, task, edge):
    """Mean relative change in percent by layer, and its pointwise 95% band over samples."""
    chosen = table.filter((pc.field("task") == task) & (pc.field("edge") == edge))
    layers = int(pc.max(chosen["layer"]).as_py()) + 1
    chosen = chosen.sort_by([("question_id", "ascending"), ("layer", "ascending")])
    values = 100 * chosen["relative_change"].to_numpy().reshape(-1, layers)
    error = 1.96 * values.std(axis=0, ddof=1) / np.sqrt(len(values))
    return values.mean(axis=0), error, len(values)


def draw(table, tasks, title, path):
    edges = pc.unique(table["edge"]).to_pylist()
    figure, panels = plt.subplots(
        1, len(tasks), figsize=(1.2 + 3.6 * len(tasks), 3.2), sharey=True, squeeze=False
    )
    for panel, task in zip(panels[0], tasks, strict=True):
        for edge, colour in zip(edges, COLOURS, strict=False):
            mean, error, count = mean_and_band(table, task, edge)
            layers = np.arange(len(mean))
            panel.plot(layers, mean, color=colour, linewidth=2, label=edge)
            panel.fill_between(layers, mean - error, mean + error, color=colour, alpha=0.2)
        panel.axhline(0, color="#888888", linewidth=0.8)
        panel.set_title(f"{task} (n = {count})", fontsize=10)
        panel.set_xlabel("layer in the middle of the window")
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panels[0][0].set_ylabel("change of the answer's\nprobability (%)")
    panels[0][-1].legend(loc="best", fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=11)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("table", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("--title", default="")
    parser.add_argument("--tasks", help="comma-separated; all tasks of the table by default")
    arguments = parser.parse_args()
    table = pq.read_table(arguments.table)
    tasks = pc.unique(table["task"]).to_pylist()
    # The same input must give the same file: SVG ids are random otherwise.
    mpl.rcParams["svg.hashsalt"] = "mmflow"
    draw(
        table,
        arguments.tasks.split(",") if arguments.tasks else tasks,
        arguments.title,
        arguments.figure,
    )


if __name__ == "__main__":
    main()
