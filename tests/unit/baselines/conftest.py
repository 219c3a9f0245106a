"""Runs whose every number is known: curves with a drop at one layer, plus noise by sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmflow_bench.baselines.paired_values import RunValues, SampleCurves

LAYERS, WINDOW = 40, 9
TASK = "ChooseAttr"
PLACES = {"question->last": 20, "image->question": 0, "image->last": 20}
EXPERIMENT = {
    "prompt": "p" * 16,
    "pixels": "q" * 16,
    "input": "hub",
    "conversation": None,
    "patches": "overlap",
    "window": WINDOW,
    "decoder_layers": LAYERS,
}


def synthetic(
    *,
    name: str = "base",
    drops: dict[str, float] | None = None,
    n: int = 60,
    noise: float = 0.0,
    seed: int = 0,
    probability: float | np.ndarray = 0.6,
    wrong: frozenset[int] = frozenset(),
    reworded: frozenset[int] = frozenset(),
    per_image: int = 1,
    tasks: tuple[str, ...] = (TASK,),
    edges: tuple[str, ...] = tuple(PLACES),
    content: str = "",
    experiment: dict[str, Any] | None = None,
    data: str = "d" * 64,
    verdicts: dict[tuple[str, str], str] | None = None,
    limit: str | None = None,
) -> RunValues:
    """A run; its noise differs by seed, its samples do not."""
    drops = {"question->last": -0.5, "image->question": -0.4, "image->last": 0.0} | (drops or {})
    generator = np.random.default_rng(seed)
    answers: dict[str, dict[str, Any]] = {}
    sweeps = {}
    for task in tasks:
        answers[task] = {
            str(i): {
                "sample": f"{task}/{i}{content}",
                "image_id": f"image {i // per_image}",
                "is_correct": i not in wrong,
                "prediction": "yes" if i in reworded else "Yes",
                "answer_token_id": 7 if i in reworded else 3,
            }
            for i in range(n)
        }
        follows_all = (experiment or {}).get("follow") == "reference"
        kept = [i for i in range(n) if follows_all or i not in wrong]
        for edge in edges:
            drop = drops[edge]
            curve = np.zeros(LAYERS)
            place = PLACES[edge]
            curve[max(0, place - WINDOW // 2) : place + WINDOW // 2 + 1] = drop
            by_sample = noise * generator.standard_normal((n, 1)) * (curve != 0)
            values = np.clip(curve + by_sample, -1, 0.6)
            sweeps[task, edge] = SampleCurves(
                question_ids=tuple(map(str, kept)),
                image_ids=tuple(f"image {i // per_image}" for i in kept),
                base_probability=np.broadcast_to(probability, (n,))[kept].astype(float),
                values=values[kept],
            )
    return RunValues(
        name=name,
        experiment=EXPERIMENT | (experiment or {}),
        data=data,
        limit=limit,
        noise_floor=1e-7,
        verdicts=verdicts or {},
        answers=answers,
        sweeps=sweeps,
    )


@pytest.fixture
def made() -> Callable[..., RunValues]:
    """Makes runs."""
    return synthetic
