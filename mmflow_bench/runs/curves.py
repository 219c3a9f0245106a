"""Curves of a run folder, sample by sample: those of one edge, probe or module together.

A folder may hold hundreds of thousands of them. They are read by the column and never made into
records of their own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.runs.folder import LENS, PIECES, SAMPLES, SEMANTICS
from mmflow_bench.runs.records import KEYS
from mmflow_bench.store.columns import combined, ranks, texts

CURVES = {
    SAMPLES: "relative_change",
    PIECES: "relative_change",
    LENS: "probability",
    SEMANTICS: "similarity",
}
"""Table -> the column that holds its curves."""
OfSamples = TypeVar("OfSamples", bound="SampledCurves")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SampledCurves:
    """One curve for each sample of a task."""

    task: str
    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    values: Float[ndarray, "sample layer"]

    def of_questions(self: OfSamples, kept: Collection[str]) -> OfSamples:
        """The same for some samples alone."""
        at = [i for i, question in enumerate(self.question_ids) if question in kept]
        said: dict[str, Any] = {one.name: getattr(self, one.name) for one in fields(self)}
        said |= {name: one[at] for name, one in said.items() if isinstance(one, ndarray)}
        said |= {name: tuple(said[name][i] for i in at) for name in ("question_ids", "image_ids")}
        return replace(self, **said)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SweptCurves(SampledCurves):
    """What is lost with one edge cut around every layer: relative changes."""

    edge: str
    method: str
    window: int
    base_probability: Float[ndarray, "sample"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class LensCurves(SampledCurves):
    """What the logit lens gives to one probe: probabilities by depth, the embedding first."""

    probe: str
    variant: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class SemanticsCurves(SampledCurves):
    """How much of what the question says stays without a module or an edge."""

    without: str
    window: int


def sampled_curves(name: str, kind: type[OfSamples], table: pa.Table) -> Iterator[OfSamples]:
    """The curves of a table that was checked, by all that tells them apart but the sample.

    Args:
        name: Of the table.
        kind: What its curves are.
        table: As `checked_table` gives it.
    """
    if not len(table):
        return
    *keys, _ = KEYS[name]
    named = {column: texts(table[column]) for column in ("question_id", "image_id")}
    curves = _matrix(table[CURVES[name]])
    base = {}
    if kind is SweptCurves:
        base["base_probability"] = table["base_probability"].to_numpy()
    for rows in _groups(table, keys):
        said: dict[str, Any] = {key: table[key][int(rows[0])].as_py() for key in keys}
        said |= {column: values[rows] for column, values in base.items()}
        yield kind(
            question_ids=tuple(named["question_id"][rows]),
            image_ids=tuple(named["image_id"][rows]),
            values=curves[rows],
            **said,
        )


def _groups(table: pa.Table, keys: list[str]) -> list[ndarray]:
    """The rows of each combination of keys, in the order in which they stand."""
    place = combined([ranks(table[key]) for key in keys])
    order = np.argsort(place, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(place[order])) + 1)


def _matrix(column: pa.ChunkedArray) -> Float[ndarray, "row layer"]:
    """Curves that are as long as each other."""
    numbers: ndarray = pc.list_flatten(column.combine_chunks()).to_numpy()
    curves: ndarray = numbers.reshape(len(column), -1)
    return curves
