"""What is stored of one mechanism: by `--snapshot-update` during a run, by `bless` after it."""

from __future__ import annotations

from typing import Any

from mmflow_bench.baselines.compare import default_tolerance


def entry(
    *,
    mechanism: str,
    task: str,
    conditions: str,
    verdict: str,
    estimate: float | None,
    low: float | None,
    high: float | None,
    unit: str,
    n: int | None,
    threshold: str,
) -> dict[str, Any]:
    """One baseline as JSON values; numbers rounded, for the last bits depend on the machine."""
    value = rounded(estimate)
    return {
        "mechanism": mechanism,
        "task": task,
        "conditions": conditions,
        "verdict": verdict,
        "estimate": value,
        "interval": [rounded(low), rounded(high)],
        "unit": unit,
        "n": n,
        "threshold": threshold,
        "tolerance": default_tolerance(value),
    }


def rounded(value: float | None) -> float | None:
    """Six digits, and no negative zero: its sign depends on the machine."""
    return None if value is None else round(value, 6) + 0.0
