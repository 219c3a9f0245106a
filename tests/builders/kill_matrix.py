"""Mechanisms against checkpoints: which assertion goes red on which checkpoint.

On checkpoints that lack one mechanism each this is the proof that a verdict means what it says: an
assertion is red where its mechanism is taken out, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from pathlib import Path

TELLING = ("fails", "instrument-dependent")
"""Verdicts that set a checkpoint apart from one on which everything holds."""

Matrix = Mapping[str, Mapping[str, Mapping[str, Sequence[str]]]]
"""Checkpoint -> verdict -> mechanism id -> sorted tasks."""


def read_matrix(paths: Iterable[Path]) -> Matrix:
    """The telling verdicts in some results.json files, by checkpoint.

    Args:
        paths: One file for each checkpoint.
    """
    matrix: dict[str, dict[str, dict[str, list[str]]]] = {}
    for path in paths:
        results = json.loads(path.read_text(encoding="utf-8"))
        verdicts = matrix.setdefault(results["checkpoint"]["name"], {})
        for row in results["mechanisms"]:
            if row["verdict"] in TELLING:
                tasks = verdicts.setdefault(row["verdict"], {}).setdefault(row["id"], [])
                tasks.append(row["task"])
                tasks.sort()
    return matrix


def killers(matrix: Matrix, mechanism: str) -> frozenset[str]:
    """The checkpoints on which a mechanism fails on some task."""
    return frozenset(name for name, told in matrix.items() if mechanism in told.get("fails", {}))


def inseparable(matrix: Matrix, mechanisms: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of mechanisms that fail on the same checkpoints, so that none tells them apart."""
    return [
        (one, other)
        for one, other in combinations(mechanisms, 2)
        if killers(matrix, one) == killers(matrix, other)
    ]


def markdown(matrix: Matrix, mechanisms: Sequence[str], counts: Mapping[str, int]) -> str:
    """The matrix as a table: a row per checkpoint, a column per mechanism.

    Args:
        matrix: As `read_matrix` gives it.
        mechanisms: Columns; those without any telling verdict are left out.
        counts: Mechanism -> number of tasks that it is decided on.
    """
    told = {name for verdicts in matrix.values() for rows in verdicts.values() for name in rows}
    columns = [name for name in mechanisms if name in told]
    lines = [
        "| checkpoint | " + " | ".join(columns) + " |",
        "|---|" + ":-:|" * len(columns),
    ]
    for checkpoint, verdicts in matrix.items():
        cells = [_cell(verdicts, name, counts[name]) for name in columns]
        lines.append(f"| `{checkpoint}` | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(verdicts: Mapping[str, Mapping[str, Sequence[str]]], name: str, count: int) -> str:
    if failed := verdicts.get("fails", {}).get(name):
        return "✗" if len(failed) == count else f"✗ {len(failed)}/{count}"
    return "?" if name in verdicts.get("instrument-dependent", {}) else ""
