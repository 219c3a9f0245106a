"""When mechanisms come to be: edges that are cut in the checkpoints which a training has left.

    python examples/trained/along.py FOLDER [--every 20] [--samples 8] [--tasks ChooseRel,QueryAttr]

FOLDER is one of `make.py`. Questions are held out, and the reference answer is followed whether it
is given or not. Writes FOLDER/along.csv and FOLDER/along.svg; what was measured is in the store.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as csv
from matplotlib.figure import Figure

from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.measurements.answering import sample_set
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.records import Followed
from mmflow_bench.measurements.session import Measurements
from mmflow_bench.measurements.settings import MeasurementSettings
from mmflow_bench.scenes.questions import neutral_scene_samples

EDGES = ("image->question", "question->last")
LABELS = {"right": "answered", **{edge: f"lost without {edge}" for edge in EDGES}}


def measured(checkpoint: Path, tasks: list[str], per_task: int) -> list[dict[str, object]]:
    """Of each task: the share that is right, and the deepest drop of each mean curve."""
    spec = resolve_spec(
        str(checkpoint),
        CheckpointSettings(models=(str(checkpoint),), model_args={"dtype": "float32"}),
    )
    samples = sample_set(neutral_scene_samples(per_task=per_task, tasks=tasks))
    settings = MeasurementSettings(follow=Followed.REFERENCE, self_test=False)
    measurements = Measurements(spec, samples, settings)
    rows: list[dict[str, object]] = []
    for task in tasks:
        sweeps = [Sweep.of(edge) for edge in EDGES]
        measurements.ensure(task, sweeps)
        count = measurements.accuracy(task)
        row: dict[str, object] = {"step": int(checkpoint.name), "task": task}
        row["right"] = count.correct / count.scored
        for edge, sweep in zip(EDGES, sweeps, strict=True):
            curve = measurements.table(task, sweep).relative_change.mean(axis=0)
            row |= {edge: -float(curve.min()), f"{edge} layer": int(curve.argmin())}
        rows.append(row)
        print(*row.values(), flush=True)
    measurements.close()
    return rows


def draw(rows: list[dict[str, object]], picture: Path) -> None:
    """A panel for each task, by training step."""
    tasks = list(dict.fromkeys(row["task"] for row in rows))
    figure = Figure(figsize=(4 * len(tasks) + 2, 3), layout="constrained")
    for axes, task in zip(np.atleast_1d(figure.subplots(1, len(tasks))), tasks, strict=True):
        of_task = [row for row in rows if row["task"] == task]
        steps = [row["step"] for row in of_task]
        for name, label in LABELS.items():
            values = 100 * np.array([row[name] for row in of_task], float)
            axes.plot(steps, values, marker=".", label=label)
        axes.set(title=task, xlabel="step", ylabel="%", ylim=(-5, 105))
    figure.legend(*axes.get_legend_handles_labels(), loc="outside right center", fontsize="small")
    figure.savefig(picture)


def main() -> None:
    """Measure every so many steps."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("folder", type=Path)
    options.add_argument("--every", type=int, default=20, help="steps")
    options.add_argument("--samples", type=int, default=8, help="of each task")
    options.add_argument("--tasks", default="ChooseRel,QueryAttr")
    options.add_argument("--until", type=int, default=200, help="step")
    asked = options.parse_args()
    kept = sorted((asked.folder / "steps").iterdir(), key=lambda path: int(path.name))
    chosen = [p for p in kept if int(p.name) % asked.every == 0 and int(p.name) <= asked.until]
    tasks = asked.tasks.split(",")
    rows = [row for one in chosen for row in measured(one, tasks, asked.samples)]
    csv.write_csv(pa.Table.from_pylist(rows), asked.folder / "along.csv")
    draw(rows, asked.folder / "along.svg")


if __name__ == "__main__":
    main()
