"""What was asked and answered, sample by sample: the words and places behind the numbers."""

from __future__ import annotations

from collections.abc import Iterator

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.stored import StoredResults
from mmflow_bench.measurements.wants import PATCHES


def answered(stored: StoredResults) -> Iterator[dict[str, object]]:
    """A row per answered sample, so that two checkpoints can be paired sample by sample."""
    for sample, answer in stored.answered():
        yield {
            **_name(sample),
            "sample": answer["sample"],
            "is_correct": answer["is_correct"],
            "prediction": answer["prediction"],
            "answer_token_id": answer["answer_token_id"],
            "base_probability": answer["base_probability"],
        }


def described(stored: StoredResults) -> Iterator[dict[str, object]]:
    """A row per answered sample with its words and places, for readers of reports."""
    grids = {row.pop("sample"): row for row in stored.store.read(PATCHES).to_pylist()}
    for sample, answer in stored.answered():
        yield {
            **_name(sample),
            "question": sample.question,
            "answer": sample.answer,
            "image_width": sample.image_width,
            "image_height": sample.image_height,
            "boxes": [[box.x, box.y, box.width, box.height] for box in sample.boxes],
            "prediction": answer["prediction"],
            "is_correct": answer["is_correct"],
            "patches": grids.get(answer["sample"]),
        }


def _name(sample: Sample) -> dict[str, object]:
    return {"task": sample.task, "question_id": sample.question_id, "image_id": sample.image_id}
