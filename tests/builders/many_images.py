"""A pytest plugin under which each measured image stands for many: `-p many_images`.

What a planted checkpoint does hardly varies from image to image, but few images show nothing of
those that were not looked at. So the instrument is proved on two, each counted many times over,
and what is proved is where verdicts lie, at the price of two.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np

from mmflow_bench.measurements.records import AnswerCount
from mmflow_bench.plugin.measuring import GuardedMeasurements, SecondOpinions

COPIES = 60


def many(table: Any) -> Any:
    """The table with every sample in it `COPIES` times, as many samples of as many images."""
    count = len(table.question_ids)
    changed: dict[str, Any] = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if field.name in {"question_ids", "image_ids"}:
            changed[field.name] = tuple(f"{i}-{one}" for i in range(COPIES) for one in value)
        elif isinstance(value, np.ndarray) and len(value) == count:
            changed[field.name] = np.concatenate([value] * COPIES)
        elif isinstance(value, tuple) and len(value) == count:
            changed[field.name] = value * COPIES
    return replace(table, **changed)


def pytest_configure() -> None:
    for kind in (GuardedMeasurements, SecondOpinions):
        _multiply(kind)


def _multiply(kind: Any) -> None:
    table, accuracy = kind.table, kind.accuracy

    def many_samples(self: Any, task: str, want: Any) -> Any:
        return many(table(self, task, want))

    def many_answers(self: Any, task: str) -> AnswerCount:
        count = accuracy(self, task)
        unscored = {reason: n * COPIES for reason, n in count.unscored.items()}
        return AnswerCount(
            task=task,
            selected=count.selected * COPIES,
            correct=count.correct * COPIES,
            unscored=unscored,
        )

    kind.table, kind.accuracy = many_samples, many_answers
