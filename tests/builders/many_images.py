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
from mmflow_bench.measurements.session import Measurements

COPIES = 100
"""Enough for the smallest claim: that a drop is none of 2% takes 149 images."""


def pytest_configure() -> None:
    table, accuracy = Measurements.table, Measurements.accuracy
    answered, described = Measurements.answered, Measurements.described
    kind: Any = Measurements
    kind.table = lambda self, task, want: many_samples(table(self, task, want))
    kind.accuracy = lambda self, task: many_answers(accuracy(self, task))
    kind.answered = lambda self: many_rows(answered(self))
    kind.described = lambda self: many_rows(described(self))


def of_many(measurements: Measurements) -> Measurements:
    """These, with every sample in their tables `COPIES` times."""
    opened: Any = measurements
    table = opened.table
    opened.table = lambda task, want: many_samples(table(task, want))
    return measurements


def many_samples(table: Any) -> Any:
    """The table with every sample in it `COPIES` times, as many samples of as many images."""
    count = len(table.question_ids)
    changed: dict[str, Any] = {}
    for field in fields(table):
        value = getattr(table, field.name)
        if field.name in {"question_ids", "image_ids"}:
            changed[field.name] = tuple(_named(i, one) for i in range(COPIES) for one in value)
        elif isinstance(value, np.ndarray) and len(value) == count:
            changed[field.name] = np.concatenate([value] * COPIES)
        elif isinstance(value, tuple) and len(value) == count:
            changed[field.name] = value * COPIES
    return replace(table, **changed)


def many_answers(count: AnswerCount) -> AnswerCount:
    return replace(
        count,
        selected=count.selected * COPIES,
        correct=count.correct * COPIES,
        unscored={reason: number * COPIES for reason, number in count.unscored.items()},
        image_ids=frozenset(_named(i, one) for i in range(COPIES) for one in count.image_ids),
    )


def many_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    names = ("question_id", "image_id")
    return [
        row | {name: _named(i, row[name]) for name in names} for i in range(COPIES) for row in rows
    ]


def _named(copy: int, name: str) -> str:
    return f"{copy}-{name}"
