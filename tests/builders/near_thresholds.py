"""A pytest plugin that notes comparisons close to their threshold: `-p near_thresholds`.

Processors differ in the last digits, and a verdict that hangs on them is none. What is noted goes
into the folder that `MMFLOW_NEAR` names, one file for each process.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mmflow_bench.mechanisms import estimates
from mmflow_bench.mechanisms.evidence import Evidence
from mmflow_bench.mechanisms.regions import Decision, Region

SHARE = 0.01
"""Of the range of a fraction, probability or depth, that lies between a value and a threshold."""
DIGITS = 0.001
"""By so much an interval's bound may move without another verdict."""


def pytest_configure() -> None:
    estimates.decide = _noting(estimates.decide)


def read_notes(folder: Path) -> list[str]:
    """What was noted, a line for each comparison of a test, sorted."""
    lines = (line for path in folder.glob("*.jsonl") for line in path.read_text().splitlines())
    return sorted({json.loads(line) for line in lines})


def _noting(decide: Callable[..., Decision]) -> Callable[..., Decision]:
    def noting(evidence: Evidence, region: Region, *, alpha: float) -> Decision:
        decision = decide(evidence, region, alpha=alpha)
        if evidence.interval is not None:
            moved = [decide(evidence, _moved(region, by), alpha=alpha) for by in (-DIGITS, DIGITS)]
            is_decided = all(one.verdict is decision.verdict for one in moved)
            if not is_decided or any(_is_near(evidence.value, b) for b in _bounds(region)):
                _note(evidence, region, decision)
        return decision

    return noting


def _bounds(region: Region) -> set[float]:
    """Where the value itself must be on the one side or on the other."""
    return {region.ceiling, region.roof}


def _is_near(value: float, bound: float) -> bool:
    # That there is no difference, where any would do, is what some checkpoints are made for.
    if bound == 0 and abs(value) < DIGITS:
        return False
    return math.isfinite(bound) and round(abs(value - bound) / _scale(bound), 3) < SHARE


def _scale(bound: float) -> float:
    # A check of exactness asks for less than a share of the range: what counts is its own.
    return abs(bound) if 0 < abs(bound) < SHARE else 1.0


def _moved(region: Region, by: float) -> Region:
    names = [n for n in ("low", "high", "least", "most") if getattr(region, n) is not None]
    bounds = {name: getattr(region, name) for name in names}
    return replace(region, **{name: b + by * min(1.0, _scale(b)) for name, b in bounds.items()})


def _note(evidence: Evidence, region: Region, decision: Decision) -> None:
    test = os.environ.get("PYTEST_CURRENT_TEST", "").partition(" ")[0]
    bounds = evidence.interval and f"{evidence.interval.low:.4f} to {evidence.interval.high:.4f}"
    said = f"{test}: {evidence.value:.4f} ({bounds}) {region.text('fraction')}: {decision.verdict}"
    path = Path(os.environ["MMFLOW_NEAR"]) / f"{os.getpid()}.jsonl"
    with path.open("a") as file:
        file.write(json.dumps(said) + "\n")
