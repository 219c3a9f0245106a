"""`mm.trace`: one question about one photo, traced through a checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from PIL import Image

from mmflow_bench.checkpoints.default import DEFAULT_MODEL
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.checkpoints.spec import CheckpointSpec
from mmflow_bench.reports.escaping import plain
from mmflow_bench.tracing.asking import asked_sample
from mmflow_bench.tracing.record import Trace
from mmflow_bench.tracing.saving import save_trace, trace_page
from mmflow_bench.tracing.terminal import render_trace

SIDE = 6
"""Parts of the photo from left to right, and from top to bottom."""
REACH = 1
"""Neighbours to every side that are cut off with each of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownTrace(Trace):
    """A trace that shows itself: as text, in a notebook, as a file."""

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write it to a file that ends in .html, .svg or .png.

        Raises:
            MechanismError: The name ends in something else.
            StoreError: It cannot be written.
        """
        return save_trace(self, Path(path))

    def __repr__(self) -> str:
        """The question and its answer; `print` shows what was traced."""
        asked, said = plain(self.question, 1000), plain(self.answer, 1000)
        return f"<{self.checkpoint}: {asked} {said} ({self.probability:.0%})>"

    def __str__(self) -> str:
        return render_trace(self)

    def _repr_html_(self) -> str:
        return trace_page(self)


def trace(
    model: str | CheckpointSpec = DEFAULT_MODEL,
    *,
    question: str,
    image: Image.Image | str | os.PathLike[str] | None = None,
    options: Sequence[str] = (),
    objects: Sequence[str] = (),
    caption: str | None = None,
    window: int | None = None,
    parts: int = SIDE,
    neighbours: int = REACH,
) -> ShownTrace:
    """One question answered, and where in checkpoint and photo the answer comes from.

    Args:
        model: A registered name, a folder or a hub id; or a checkpoint that is resolved already.
        question: As it is asked.
        image: The photo, or its file.
        options: The two answers that the question offers, as they stand in it.
        objects: What the question asks about, as it stands in it.
        caption: Text that stands in for the photo.
        window: Layers that are cut together, odd; scaled with the depth when None.
        parts: Parts of the photo from left to right, and from top to bottom.
        neighbours: Parts to every side that are cut off together with one; 0 for each alone.

    Raises:
        MMFlowError: The checkpoint cannot be loaded, or the sample cannot be read or answered.
        ValueError: The window is even, or there are no parts.

    >>> from mmflow_bench.scenes.questions import scene_samples
    >>> (sample,) = scene_samples(per_task=1, tasks=["ChooseAttr"])
    >>> shown = trace("planted/mini", image=sample.image, question=sample.question)
    >>> shown.answer.lower() == sample.answer, shown.edges[0].edge
    (True, 'image->question')
    """
    sample = asked_sample(image, question, options=options, objects=objects, caption=caption)
    if parts < 1 or neighbours < 0:
        raise ValueError(f"parts from 1 on and neighbours from 0 on, got {parts} and {neighbours}")
    spec = resolve_spec(model, CheckpointSettings()) if isinstance(model, str) else model
    # What is wrong with what was asked is said without the seconds that torch takes.
    from mmflow_bench.tracing.tracing import load_and_trace

    found = load_and_trace(spec, sample, window=window, side=parts, reach=neighbours)
    return ShownTrace(**{one.name: getattr(found, one.name) for one in fields(Trace)})
