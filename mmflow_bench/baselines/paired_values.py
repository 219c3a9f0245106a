"""A run as a comparison sees it: which experiment it was, and every sample's numbers.

Read from a run folder, or from what `mmflow bless` has kept of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from mmflow_bench.errors import BaselineError
from mmflow_bench.runs.folder import RESULTS
from mmflow_bench.runs.reading import RunRecord, named_by_user, read_run
from mmflow_bench.runs.tables import AnswerRow, SweepRow

Key = tuple[str, str]
Curve = tuple[str, str, float | None, list[float]]
"""Question, image, clean probability where there is one, and values by layer."""


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
    experiment: Mapping[str, object]
    """What was asked of the checkpoint, and how."""
    data: str = ""
    """Fingerprint of the samples."""
    limit: str | None = None
    """What --limit cut the samples to."""
    noise_floor: float = 0.0
    """Largest relative change that the instrument makes by itself."""
    verdicts: Mapping[Key, str] = field(default_factory=dict)
    """(mechanism, task) -> verdict."""
    answers: Mapping[str, Mapping[str, AnswerRow]] = field(default_factory=dict)
    """Task -> question id -> answer."""
    sweeps: Mapping[Key, SampleCurves] = field(default_factory=dict)
    """(task, edge) -> masked knockouts at the run's own window."""
    lenses: Mapping[tuple[str, str, str], SampleCurves] = field(default_factory=dict)
    """(task, probe, variant) -> probabilities."""

    @property
    def follow(self) -> str:
        """`answer`, or `reference` where the reference answer is followed on every sample.

        A run that does not say whose answer it has followed has followed the checkpoint's own.
        """
        return str(self.experiment.get("follow") or "answer")

    @property
    def window(self) -> int | None:
        """Width of the knocked-out windows in layers, where it is recorded."""
        width = self.experiment.get("window")
        return width if isinstance(width, int) else None


def read_values(folder: Path) -> RunValues:
    """Everything that is kept of a run.

    Raises:
        BaselineError: There is no run in the folder, or its files cannot be read.
    """
    with named_by_user(BaselineError, f"a run folder with {RESULTS} and its tables", folder):
        return values_of(read_run(folder))


def values_of(record: RunRecord) -> RunValues:
    """What a comparison reads of a run."""
    results = record.results
    limit = results.settings.get("limit")
    answers: dict[str, dict[str, AnswerRow]] = {}
    for row in record.answers:
        answers.setdefault(row["task"], {})[row["question_id"]] = row
    return RunValues(
        name=record.name,
        experiment=results.experiment,
        data=results.data.fingerprint,
        limit=str(limit) if limit else None,
        noise_floor=results.noise_floor or 0.0,
        verdicts={(row.id, row.task): row.verdict for row in record.rows},
        answers=answers,
        sweeps=_sweeps(record.samples, results.experiment.get("window")),
        lenses=_lenses(record),
    )


def _sweeps(rows: Iterable[SweepRow], window: int | None) -> dict[Key, SampleCurves]:
    groups: dict[Key, list[Curve]] = {}
    for row in rows:
        if row["method"] == "masked" and window in (None, row["window"]):
            curve = row["base_probability"], row["relative_change"]
            groups.setdefault((row["task"], row["edge"]), []).append(
                (row["question_id"], row["image_id"], *curve)
            )
    return {key: _curves(group) for key, group in groups.items()}


def _lenses(record: RunRecord) -> dict[tuple[str, str, str], SampleCurves]:
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for row in record.lens:
        groups.setdefault((row["task"], row["probe"], row["variant"]), []).append(
            (row["question_id"], row["image_id"], None, row["probability"])
        )
    return {key: _curves(group) for key, group in groups.items()}


def _curves(group: list[Curve]) -> SampleCurves:
    questions, images, base, values = zip(*group, strict=True)
    return SampleCurves(
        question_ids=questions,
        image_ids=images,
        base_probability=None if base[0] is None else np.array(base),
        values=np.array(values, dtype=float),
    )
