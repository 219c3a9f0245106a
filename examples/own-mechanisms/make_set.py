"""Draw the photos of this example, and write what is asked about them.

    python make_set.py

Your own photos and questions take their place: fields are those of docs/data.md, and a task has
whatever name you give it.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mmflow_bench.inputs.writing import write_samples
from mmflow_bench.scenes.questions import scene_samples

HERE = Path(__file__).parent
IMAGES = 40
TASKS = {"ChooseAttr": "which-of-two", "QueryAttr": "open-question"}


def main() -> None:
    photos = HERE / "photos"
    photos.mkdir(exist_ok=True)
    written = []
    for sample in scene_samples(per_task=IMAGES, seed=7, tasks=list(TASKS)):
        name = f"{sample.image_id}.png"
        if not (photos / name).exists():
            sample.image.save(photos / name, optimize=True)
        written.append(replace(sample, task=TASKS[sample.task], image=None))
    write_samples(written, HERE / "questions.jsonl")


if __name__ == "__main__":
    main()
