"""What a checkpoint does, small enough for one picture and one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from mmflow_bench.checkpoints.registry import registered_models
from mmflow_bench.mechanisms.bands import APPEARED
from mmflow_bench.reports.glance.paths import Lane, Path, State, paths_of
from mmflow_bench.reports.html.paper_figures import main_width
from mmflow_bench.runs.reading import RunRecord
from mmflow_bench.runs.rows import verdict_counts

CASES = {
    "noncapitalized": ("answer", "in lower case"),
    "capitalized": ("Answer", "capitalised"),
}
"""Probe of the logit lens -> the answer as it looks for it, and how that is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """How probable the logit lens makes the answer at the last position, written in one way."""

    sign: str
    """As it is written."""
    said: str
    """The same in words."""
    probability: tuple[float, ...]
    """After each layer, the mean over samples."""

    @property
    def appears(self) -> int | None:
        """The first layer after which the answer has appeared; None where it never does."""
        return next((i for i, value in enumerate(self.probability) if value >= APPEARED), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """One checkpoint's run, read off for a reader who has ten seconds."""

    name: str
    description: str
    """The checkpoint's own words on itself, or what kind of one it is."""
    layers: int
    """Of the decoder; 0 where nothing was measured."""
    window: int
    """Layers that are cut together."""
    paths: tuple[Path, ...]
    cases: tuple[Case, ...]
    """In lower case, then capitalised."""
    verdicts: int
    """Pairs of a mechanism and a task; 0 where curves alone are known."""
    decided: int
    """Pairs of a mechanism and a task that hold or fail."""
    inconclusive: int
    """Those that more images may decide."""
    failing: tuple[str, ...]
    """Mechanisms that fail on some task."""

    @property
    def top(self) -> str:
        """What the question's context comes from."""
        is_told = any(path.edge.said == "caption" for path in self.paths)
        return "captions" if is_told else Lane.IMAGE

    @property
    def drawn(self) -> tuple[Path, ...]:
        """The paths of the picture: a whole gives way to parts that show where it comes from."""
        shown = {path.edge.whole for path in self.paths if path.state is State.SHOWN}
        return tuple(path for path in self.paths if path.edge.name not in shown)

    @property
    def samples(self) -> int:
        """As many as the most measured path has."""
        return max((path.samples for path in self.paths), default=0)

    @property
    def tasks(self) -> int:
        return max((path.tasks for path in self.paths), default=0)


def glance_of(record: RunRecord, *, name: str | None = None) -> Glance:
    """A run at a glance.

    Args:
        record: The run.
        name: What the checkpoint is called, where it is not as in the run.

    Raises:
        CheckpointError: A package registers something that is no checkpoint.
        StoreError: A table of the run is damaged.
    """
    window = main_width(record)
    paths, cases = paths_of(record, width=window), tuple(_cases(record))
    counts = verdict_counts(record.rows)
    failing = (row.id for row in record.rows if row.verdict == "fails")
    return Glance(
        name=name or record.name,
        description=_description(record),
        layers=_layers(record),
        window=window,
        paths=paths,
        cases=cases,
        verdicts=len(record.rows),
        decided=counts.get("holds", 0) + counts.get("fails", 0),
        inconclusive=counts.get("inconclusive", 0),
        failing=tuple(dict.fromkeys(failing)),
    )


def _description(record: RunRecord) -> str:
    known = registered_models().get(record.name)
    if known is not None and known.description:
        return known.description
    checkpoint = record.results.checkpoint
    depth = f"{checkpoint.decoder_layers} decoder layers" if checkpoint.decoder_layers else ""
    return ", ".join(filter(None, (checkpoint.family, depth, checkpoint.dtype)))


def _layers(record: RunRecord) -> int:
    curves = (int(one.values.shape[1]) for one in record.sweeps)
    # The lens has the embedding as well.
    lenses = (int(one.values.shape[1]) - 1 for one in record.lens)
    return max(*curves, *lenses, record.results.checkpoint.decoder_layers or 0, 0)


def _cases(record: RunRecord) -> Iterator[Case]:
    for probe, (sign, said) in CASES.items():
        read = [
            one.values[:, 1:]
            for one in record.lens
            if (one.probe, one.variant) == (probe, "normed") and one.values.shape[1] > 1
        ]
        if read:
            mean = np.concatenate(read).mean(axis=0)
            yield Case(sign=sign, said=said, probability=tuple(map(float, mean)))
