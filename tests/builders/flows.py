"""Run folders whose curves are made up: what flows where is known, and how surely."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from mmflow_bench.runs.folder import LENS, SAMPLES
from mmflow_bench.runs.reading import RunRecord, read_run
from mmflow_bench.runs.results import results_of, write_run
from mmflow_bench.runs.rows import MechanismRow
from mmflow_bench.runs.tables import write_part

LAYERS = 20


def drop(*layers: tuple[int, float]) -> list[float]:
    """A curve over layers that is zero but at some."""
    curve = [0.0] * LAYERS
    for layer, effect in layers:
        curve[layer] = -effect
    return curve


def hill(first: int, last: int, effect: float) -> list[float]:
    """A drop as deep in the middle as `effect`, and half as deep at its ends."""
    middle = (first + last) // 2
    deep = [(middle, effect)]
    return drop(*((layer, effect / 2) for layer in range(first, last + 1)), *deep)


BASE = {
    "image->question": [min(a, b) for a, b in zip(hill(0, 3, 0.4), hill(6, 9, 0.3), strict=True)],
    "question->last": hill(11, 15, 0.8),
    "image->last": drop(),
}
"""As the paper has it."""


def flow_record(
    folder: Path,
    curves: Mapping[str, Sequence[float]],
    *,
    images: int = 80,
    spread: float = 0.0,
    lenses: Mapping[str, Sequence[float]] | None = None,
    rows: Sequence[MechanismRow] = (),
    name: str = "made/up",
    decoder_layers: int | None = LAYERS,
) -> RunRecord:
    """A run whose samples, one of each image, have these curves.

    Args:
        folder: Where to.
        curves: Edge -> its mean curve by layer, a drop negative.
        images: How many there are.
        spread: By how much of the curve every second image is above it, the others below.
        lenses: Probe -> its probability by depth, the embedding first.
        rows: The mechanisms.
        name: Of the checkpoint.
        decoder_layers: As the run says; None where it does not.
    """
    ids = [f"ChooseAttr-{i}" for i in range(images)]
    swept = [
        {
            **{"task": "ChooseAttr", "question_id": id_, "image_id": str(i), "edge": edge},
            **{"method": "masked", "window": 3, "base_probability": 0.5},
            "relative_change": (np.array(curve) * (1 + spread * (-1) ** i)).tolist(),
        }
        for edge, curve in curves.items()
        for i, id_ in enumerate(ids)
    ]
    read = [
        {
            **{"task": "ChooseAttr", "question_id": id_, "image_id": str(i), "probe": probe},
            **{"variant": "normed", "probability": list(values)},
        }
        for probe, values in (lenses or {}).items()
        for i, id_ in enumerate(ids)
    ]
    write_part(folder, SAMPLES, swept)
    write_part(folder, LENS, read)
    checkpoint = {"name": name, "source": name, "family": "llava", "decoder_layers": decoder_layers}
    results = results_of(
        rows,
        facts={"checkpoint": checkpoint, "data": {"fingerprint": "f" * 64}},
        run_id="r1",
        created="2026-01-02T03:04:05+00:00",
        settings={"alpha": 0.05, "window": "auto"},
        environment={"packages": {"mmflow-bench": "0.1.0"}},
    )
    write_run(folder, results, rows)
    return read_run(folder)
