"""What each sample was answered with, so that two checkpoints can be paired sample by sample."""

from __future__ import annotations

from collections.abc import Iterator

from mmflow_bench.measurements.stored import StoredResults


def answered(stored: StoredResults) -> Iterator[dict[str, object]]:
    """A row per answered sample: its content hash, and the answer with its first token.

    Args:
        stored: What the store knows of the samples of a run.
    """
    answers, keys = stored.answers(), stored.samples.keys
    for task in stored.samples.tasks:
        for sample in stored.samples.of(task):
            answer = answers.get(keys[sample.question_id])
            if answer is not None:
                yield {
                    "task": task,
                    "question_id": sample.question_id,
                    "image_id": sample.image_id,
                    "sample": keys[sample.question_id],
                    "is_correct": bool(answer["is_correct"]),
                    "prediction": str(answer["prediction"]),
                    "answer_token_id": int(answer["answer_token_id"]),
                    "base_probability": float(answer["base_probability"]),
                }
