"""A run as a comparison sees it: which experiment it was, and every sample's numbers.

Read from a run folder, or from what `mmflow bless` has kept of one. The files are written by the
reports stage; here they are plain tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import BaselineError

RESULTS, SAMPLES, ANSWERS, LENS = (
    "results.json",
    "samples.parquet",
    "answers.parquet",
    "lens.parquet",
)
Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one sample was answered with."""

    sample: str
    """Content hash of the sample: question, options, boxes and pixels."""
    image_id: str
    is_correct: bool
    prediction: str
    token: int
    """The first token of the answer, whose probability is followed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleCurves:
    """One curve for each sample of one task."""

    question_ids: tuple[str, ...]
    image_ids: tuple[str, ...]
    base_probability: Float[ndarray, "sample"] | None
    """Clean probability of the answer; None for the logit lens."""
    values: Float[ndarray, "sample layer"]
    """Relative change by window centre, or probability by depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunValues:
    """Everything that a comparison reads of one run."""

    name: str
    """Of the checkpoint, as its user has given it."""
    results: Mapping[str, Any]
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)
    """Task -> question id -> answer."""
    sweeps: Mapping[Key, SampleCurves] = field(default_factory=dict)
    """(task, edge) -> masked knockouts at the run's own window."""
    lenses: Mapping[tuple[str, str, str], SampleCurves] = field(default_factory=dict)
    """(task, probe, variant) -> probabilities."""

    @property
    def experiment(self) -> Mapping[str, Any]:
        """What was asked of the checkpoint, and how.

        A run that does not say whose answer it has followed has followed the checkpoint's own.
        """
        return {"follow": "answer", **(self.results.get("experiment") or {})}

    @property
    def follow(self) -> str:
        """`answer`, or `reference` where the reference answer is followed on every sample."""
        return str(self.experiment["follow"])

    @property
    def noise_floor(self) -> float:
        """Largest relative change that the instrument makes by itself."""
        return float(self.results.get("noise_floor") or 0.0)

    @property
    def window(self) -> int | None:
        """Width of the knocked-out windows in layers, where it is recorded."""
        width = self.experiment.get("window")
        return int(width) if width else None

    @property
    def limit(self) -> str | None:
        """What --limit cut the samples to."""
        limit = dict(self.results.get("settings") or {}).get("limit")
        return str(limit) if limit else None

    @property
    def verdicts(self) -> dict[Key, str]:
        """(mechanism, task) -> verdict."""
        rows = self.results.get("mechanisms") or ()
        return {(row["id"], row["task"]): row["verdict"] for row in rows}


def read_values(folder: Path) -> RunValues:
    """Everything that is kept of a run.

    Raises:
        BaselineError: There is no run in the folder, or its files cannot be read.
    """
    path = folder / RESULTS
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
        name = str(results["checkpoint"]["name"])
        window = (results.get("experiment") or {}).get("window")
        answers = _answers(folder / ANSWERS)
        sweeps = _sweeps(folder / SAMPLES, window)
        lenses = _lenses(folder / LENS)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BaselineError(
            f"a run folder with {RESULTS} and its tables, got {error!r} ({folder}); `mmflow ls "
            "runs` lists the runs there are"
        ) from error
    return RunValues(name=name, results=results, answers=answers, sweeps=sweeps, lenses=lenses)


def _answers(path: Path) -> dict[str, dict[str, Answer]]:
    found: dict[str, dict[str, Answer]] = {}
    for row in _rows(path):
        found.setdefault(row["task"], {})[row["question_id"]] = Answer(
            sample=row["sample"],
            image_id=row["image_id"],
            is_correct=row["is_correct"],
            prediction=row["prediction"],
            token=row["answer_token_id"],
        )
    return found


def _sweeps(path: Path, window: int | None) -> dict[Key, SampleCurves]:
    rows = [row for row in _rows(path) if row["method"] == "masked"]
    groups: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        if window is None or row["window"] == window:
            groups.setdefault((row["task"], row["edge"]), []).append(row)
    return {key: _curves(group, "relative_change") for key, group in groups.items()}


def _lenses(path: Path) -> dict[tuple[str, str, str], SampleCurves]:
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for row in _rows(path):
        groups.setdefault((row["task"], row["probe"], row["variant"]), []).append(row)
    return {key: _curves(group, "probability") for key, group in groups.items()}


def _curves(rows: list[dict[str, Any]], column: str) -> SampleCurves:
    has_base = "base_probability" in rows[0]
    base = np.array([row["base_probability"] for row in rows]) if has_base else None
    return SampleCurves(
        question_ids=tuple(row["question_id"] for row in rows),
        image_ids=tuple(row["image_id"] for row in rows),
        base_probability=base,
        values=np.array([row[column] for row in rows], dtype=float),
    )


def _rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a table; none where a run has left no such table."""
    import pyarrow.parquet as pq

    if not path.is_file():
        return []
    rows: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    return rows
