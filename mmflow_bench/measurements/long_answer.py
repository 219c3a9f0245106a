"""Generated tokens of a long answer without the image: what is asked, kept and read of them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float
from numpy import ndarray

from mmflow_bench.errors import StoreError
from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.finite import refuse_not_finite
from mmflow_bench.measurements.wants import Kept, Want
from mmflow_bench.store.shards import AT_LEAST_ONE, PROBABILITY, Shard, filled

FEWEST_TOKENS = 3
"""Of a long answer: an answer of one or two is a word."""
MOST_TOKENS = 64
"""Of an answer that are generated and looked at."""
SHORT = "short-answer"
"""Why questions of a word are left out."""

_PROBABILITIES = ("base_probability", "knockout_probability")
_SCHEMA = pa.schema(
    [
        filled("sample", pa.string()),
        filled("token", pa.int64()),
        filled("layer", pa.int64()),
        filled("names_object", pa.bool_()),
        *(filled(name, pa.float64()) for name in _PROBABILITIES),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongAnswerTable:
    """What the generated tokens of long answers lose when they do not see the image.

    A sample is read at the tokens that name its objects, where its answer names any, and else at
    all tokens after the first (docs/decisions/042).
    """

    task: str
    window: int
    """Width of the knocked-out window, in layers."""
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    """One per sample; equal ids form one cluster."""
    relative_change: Float[ndarray, "sample layer"]
    """Mean over the tokens of (knocked out - clean) / clean, a fraction; negative is a drop."""
    names_objects: Bool[ndarray, "sample"]
    """Whether these tokens name objects."""

    def __post_init__(self) -> None:
        """Refuse what is no number, whoever has measured it.

        Raises:
            StoreError: A change is NaN or infinite.
        """
        refuse_not_finite(f"long answers on {self.task}", self.relative_change)


@dataclass(frozen=True, slots=True, kw_only=True)
class LongAnswer(Want[LongAnswerTable]):
    """The image knocked out from every generated position of an answer, around every layer.

    From the last position of the prompt too, which is the first that generates.
    """

    measured_by: ClassVar[str] = "mmflow_bench.measurements.long_answer_rows:long_answer_rows"

    width: int | None = None
    """Odd; what scales with the depth when None (docs/decisions/001)."""

    @property
    def shard(self) -> Shard:
        ranges = dict.fromkeys(_PROBABILITIES, PROBABILITY) | {"token": AT_LEAST_ONE}
        keys = ("sample", "token", "layer")
        return Shard(f"long-answer.w{self.width}", _SCHEMA, keys=keys, ranges=ranges)

    @property
    def name(self) -> str:
        return "image->generated"

    @property
    def is_compared(self) -> bool:
        """False: two checkpoints say different things at length."""
        return False

    @property
    def asks_wrong_answers(self) -> bool:
        """True: no two captions of an image are alike, and none is the reference."""
        return True

    @property
    def needs_mastery(self) -> bool:
        """False: what is followed is whatever the model says."""
        return False

    def at(self, width: int) -> LongAnswer:
        """The same, in windows of `width` layers unless it has a width of its own."""
        return replace(self, width=width) if self.width is None else self

    def by(self, method: Method) -> None:
        """None: what the other methods say of the image is asked of the first token."""

    def table(self, kept: Kept, rows: pa.Table) -> LongAnswerTable:
        """The mean change over the tokens that count, of every sample with a long answer.

        Raises:
            StoreError: A token lacks a layer.
        """
        by_sample: dict[str, list[dict[str, object]]] = defaultdict(list)
        for row in rows.to_pylist():
            by_sample[row["sample"]].append(row)
        kept = kept.having(by_sample.keys())
        read = [_read(key, by_sample[key], kept.layers) for key in kept.keys]
        return LongAnswerTable(
            task=kept.task,
            window=self.width or 0,
            question_ids=kept.question_ids,
            image_ids=kept.image_ids,
            relative_change=np.array([curve for curve, _ in read]).reshape(-1, kept.layers),
            names_objects=np.array([names for _, names in read], bool),
        )

    def example(self, task: str, layers: int) -> LongAnswerTable:
        """One sample whose tokens every knockout halves."""
        return LongAnswerTable(
            task=task,
            window=self.width or 1,
            question_ids=("example",),
            image_ids=("example",),
            relative_change=np.full((1, layers), -0.5),
            names_objects=np.array([True]),
        )


def _read(
    key: str, rows: list[dict[str, object]], layers: int
) -> tuple[Float[ndarray, "layer"], bool]:
    """The mean curve of the tokens of one sample that count, and whether they name objects."""
    names_objects = any(row["names_object"] for row in rows)
    chosen = [row for row in rows if row["names_object"] or not names_objects]
    if len(chosen) % layers:
        raise StoreError(
            f"{layers} layers of every token, got {len(chosen)} rows (sample {key[:12]}); measure "
            "again with --refresh"
        )
    ordered = sorted(chosen, key=lambda row: (row["token"], row["layer"]))
    base, knocked = (
        np.array([row[name] for row in ordered], float).reshape(-1, layers)
        for name in _PROBABILITIES
    )
    change: Float[ndarray, "layer"] = ((knocked - base) / base).mean(axis=0)
    return change, names_objects
