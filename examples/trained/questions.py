"""The questions of the shipped checkpoint as a file, and more than it is asked by itself.

    python examples/trained/questions.py FOLDER [--per-task 200]

FOLDER/questions.jsonl and FOLDER/images are what `--questions` and `--images` take. Fewer questions
are the first of more.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.scenes.questions import PER_TASK, neutral_scene_samples


def write_questions(folder: Path, per_task: int = PER_TASK) -> None:
    """Write questions of the six tasks, and the images that they are about."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    samples = neutral_scene_samples(per_task=per_task)
    for sample in samples:
        sample.image.save(folder / "images" / f"{sample.image_id}.png")
    write_samples([replace(one, image=None) for one in samples], folder / "questions.jsonl")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--per-task", type=int, default=200)
    given = parser.parse_args()
    write_questions(given.folder, given.per_task)
