"""What a row of each table of a run folder is: the names, kinds and keys of its columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, TypedDict, get_args, get_origin, get_type_hints

import pyarrow as pa

from mmflow_bench.runs.folder import (
    ANSWERS,
    LENS,
    MECHANISMS,
    PIECES,
    QUESTIONS,
    REMOVAL,
    SAMPLES,
    SEMANTICS,
)
from mmflow_bench.runs.rows import MechanismRow


class SweepRow(TypedDict):
    """One edge cut around every layer on one sample."""

    task: str
    question_id: str
    image_id: str
    edge: str
    method: str
    window: int
    base_probability: float
    relative_change: list[float]


class LensRow(TypedDict):
    """What the logit lens gives to one probe on one sample."""

    task: str
    probe: str
    variant: str
    question_id: str
    image_id: str
    probability: list[float]
    """By depth, the embedding first."""


class SemanticsRow(TypedDict):
    """How much of what the question says stays without a module or an edge, on one sample."""

    task: str
    without: str
    window: int
    question_id: str
    image_id: str
    similarity: list[float]
    """By layer, of all positions together."""
    position_similarity: list[float]
    """By layer, the mean over positions."""


class RemovalRow(TypedDict):
    """One sample answered without its image, or part of it, from some layers on."""

    task: str
    removed: str
    question_id: str
    image_id: str
    is_followed: bool
    first_layer: list[int]
    """Ascending; at last the depth of the decoder, with nothing removed."""
    is_correct: list[bool]
    probability: list[float]
    operations: list[float]
    cache_bytes: list[float]


class Patches(TypedDict):
    """The grid that a checkpoint sees an image as, and the cells that show the objects."""

    width: int
    height: int
    rows: int
    columns: int
    left: float
    top: float
    cell_width: float
    cell_height: float
    related: list[int]


class QuestionRow(TypedDict):
    """What was asked and answered."""

    task: str
    question_id: str
    image_id: str
    question: str
    answer: str
    prediction: str | None
    is_correct: bool
    image_width: int | None
    image_height: int | None
    boxes: list[list[float]]
    """x, y, width, height in pixels of the image."""
    patches: Patches | None


class AnswerRow(TypedDict):
    """What one sample was answered with."""

    task: str
    question_id: str
    image_id: str
    sample: str
    """Content hash of the sample: question, options, boxes and pixels."""
    prediction: str
    is_correct: bool
    answer_token_id: int
    """The first token of the answer, whose probability is followed."""
    base_probability: float


KEYS: Mapping[str, tuple[str, ...]] = {
    SAMPLES: ("task", "edge", "method", "window", "question_id"),
    PIECES: ("task", "edge", "method", "window", "question_id"),
    LENS: ("task", "probe", "variant", "question_id"),
    SEMANTICS: ("task", "without", "window", "question_id"),
    REMOVAL: ("task", "removed", "question_id"),
    QUESTIONS: ("task", "question_id"),
    ANSWERS: ("task", "question_id"),
}
"""Columns that tell the rows of a table apart."""
_PLAIN = {str: pa.string(), int: pa.int64(), float: pa.float64(), bool: pa.bool_()}


def _arrow(kind: Any) -> pa.DataType:
    """The type of a column that holds what an annotation says."""
    if kind in _PLAIN:
        return _PLAIN[kind]
    inside = [one for one in get_args(kind) if one is not NoneType]
    if get_origin(kind) in {list, tuple}:
        return pa.list_(_arrow(inside[0]))
    if inside:
        # `X | None`: every column of Arrow may hold nulls.
        return _arrow(inside[0])
    return pa.struct([(name, _arrow(one)) for name, one in get_type_hints(kind).items()])


def _schema(record: type, names: Iterable[str] | None = None) -> pa.Schema:
    kinds = get_type_hints(record)
    return pa.schema([(name, _arrow(kinds[name])) for name in names or kinds])


RECORDS: Mapping[str, type] = {
    MECHANISMS: MechanismRow,
    SAMPLES: SweepRow,
    PIECES: SweepRow,
    LENS: LensRow,
    SEMANTICS: SemanticsRow,
    REMOVAL: RemovalRow,
    QUESTIONS: QuestionRow,
    ANSWERS: AnswerRow,
}
"""What a row of each table is."""
SCHEMAS: Mapping[str, pa.Schema] = {
    name: _schema(record, [one.name for one in fields(record)] if is_dataclass(record) else None)
    for name, record in RECORDS.items()
}
