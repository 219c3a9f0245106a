"""What was asked and answered, sample by sample: the words and places behind the numbers."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.stored import StoredResults
from mmflow_bench.store.shards import Shard

_GRID = {
    **dict.fromkeys(("width", "height", "rows", "columns"), pa.int64()),
    **dict.fromkeys(("left", "top", "cell_width", "cell_height"), pa.float64()),
    "related": pa.list_(pa.int64()),
}
PATCHES = Shard("patches", pa.schema({"sample": pa.string()} | _GRID))
"""Which patches show the objects asked about."""


def described(stored: StoredResults) -> Iterator[dict[str, object]]:
    """One row for each sample that was answered, task by task.

    Args:
        stored: What the store knows; nothing is measured.
    """
    samples = stored.samples
    answers = stored.answers()
    grids = {row["sample"]: row for row in stored.store.read(PATCHES).to_pylist()}
    for task in samples.tasks:
        for sample in samples.of(task):
            key = samples.keys[sample.question_id]
            if key in answers:
                grid = grids.get(key)
                yield {
                    **_words(sample),
                    "prediction": answers[key]["prediction"],
                    "is_correct": answers[key]["is_correct"],
                    "patches": {name: grid[name] for name in _GRID} if grid else None,
                }


def _words(sample: Sample) -> dict[str, object]:
    return {
        "task": sample.task,
        "question_id": sample.question_id,
        "image_id": sample.image_id,
        "question": sample.question,
        "answer": sample.answer,
        "image_width": sample.image_width,
        "image_height": sample.image_height,
        "boxes": [[box.x, box.y, box.width, box.height] for box in sample.boxes],
    }
