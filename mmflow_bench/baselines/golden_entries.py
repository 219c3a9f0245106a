"""A golden verdict: what is stored of one mechanism, and whether a later run still says the same.

Conditions first, then verdicts, then numbers with their tolerance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeGuard

from mmflow_bench.errors import BaselineError
from mmflow_bench.runs.rows import MechanismResult

Entries = dict[str, object]
"""Name of a test -> what is stored of it, as JSON values."""

TOLERANCE = "tolerance"
CONDITIONS = "conditions"
INFORMATION = frozenset({TOLERANCE, CONDITIONS, "interval", "threshold", "mechanism", "task"})
"""Stored for a reader and never compared: an interval follows from the sample, not the model."""

ABSOLUTE, RELATIVE = 0.01, 0.05
"""Default tolerance of an estimate: one percentage point, or 5% of the value if that is more."""


class BaselineDrift(BaselineError):
    """A checkpoint does something else than its baseline says."""


def entry_of(row: MechanismResult, *, conditions: str) -> dict[str, object]:
    """What is stored of a row."""
    value = rounded(row.estimate)
    return {
        "mechanism": row.id,
        "task": row.task,
        CONDITIONS: conditions,
        "verdict": row.verdict,
        "estimate": value,
        "interval": [rounded(row.low), rounded(row.high)],
        "unit": row.unit,
        "n": row.n,
        "threshold": row.threshold,
        TOLERANCE: default_tolerance(value),
    }


def rounded(value: float | None) -> float | None:
    """Six digits, and no negative zero: its sign depends on the machine."""
    return None if value is None else round(value, 6) + 0.0


def default_tolerance(value: float | None) -> float:
    """How far an estimate may move before it counts as changed.

    >>> default_tolerance(-0.04), default_tolerance(0.6)
    (0.01, 0.03)
    """
    return round(max(ABSOLUTE, RELATIVE * abs(value or 0.0)), 4)


def are_comparable(received: object, stored: object) -> bool:
    """Whether both were measured on the same samples in the same way."""
    if not (isinstance(received, Mapping) and isinstance(stored, Mapping)):
        return True
    return bool(received.get(CONDITIONS) == stored.get(CONDITIONS))


def differences(
    received: object, stored: object, *, path: str = "", tolerance: float = 1e-9
) -> Iterator[str]:
    """One line for each value that differs from the stored one by more than its tolerance.

    A `tolerance` stored beside numbers holds for them; other values must be equal.

    >>> list(differences({"peak": -0.30}, {"peak": -0.36, "tolerance": 0.05}))
    ['peak: baseline -0.36, received -0.3 (tolerance 0.05)']
    """
    if isinstance(received, Mapping) and isinstance(stored, Mapping):
        tolerance = float(stored.get(TOLERANCE, tolerance))
        for key in sorted((received.keys() | stored.keys()) - INFORMATION):
            name = f"{path}.{key}" if path else str(key)
            pair = received.get(key), stored.get(key)
            yield from differences(*pair, path=name, tolerance=tolerance)
    elif isinstance(received, list) and isinstance(stored, list) and len(received) == len(stored):
        for i, pair in enumerate(zip(received, stored, strict=True)):
            yield from differences(*pair, path=f"{path}[{i}]", tolerance=tolerance)
    elif _is_number(received) and _is_number(stored):
        if not math.isclose(received, stored, rel_tol=1e-9, abs_tol=tolerance):
            within = "" if isinstance(stored, int) else f" (tolerance {tolerance:g})"
            yield f"{path or 'value'}: baseline {stored:.6g}, received {received:.6g}{within}"
    elif received != stored:
        yield f"{path or 'value'}: baseline {stored!r}, received {received!r}"


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
