"""What is known of mechanisms besides their tests: other work, what kills them, stored numbers."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mmflow_bench.baselines.paired_values import RunValues, SampleCurves, values_of
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.lens import Lens
from mmflow_bench.measurements.wants import Want
from mmflow_bench.mechanisms.numbers import formatted, sparkline
from mmflow_bench.names import matches
from mmflow_bench.runs.reading import read_run
from mmflow_bench.runs.rows import MechanismRow

ROOT = Path(__file__).parents[2]
EVIDENCE = ROOT / "docs" / "evidence.json"
VALUES = ROOT / "baselines" / "planted_base" / "values"
VALIDITY = ROOT / "tests" / "validity"
_CURVE = 40


@cache
def evidence() -> Sequence[Mapping[str, Any]]:
    """Works since the paper: `work`, `arxiv` or `url`, `models`, and `says`, by id or pattern."""
    works: Sequence[Mapping[str, Any]] = json.loads(EVIDENCE.read_text(encoding="utf-8"))["works"]
    return works


def evidence_on(name: str) -> Iterator[str]:
    """What other work has found of a mechanism, with its source."""
    for work in evidence():
        for pattern, said in work["says"].items():
            if matches(name, [pattern]):
                source = f"[{work['work']}]({_address(work)})"
                yield f"{source} ({work['models']}): {said}"


def _address(work: Mapping[str, Any]) -> str:
    return str(work.get("url") or f"https://arxiv.org/abs/{work['arxiv']}")


def killers(name: str) -> list[str]:
    """The planted checkpoints on which a mechanism fails on some task."""
    matrix, wider = (
        json.loads((VALIDITY / file).read_text(encoding="utf-8"))
        for file in ("expected.json", "wider.json")
    )
    if name in wider:
        return list(wider[name]["killed_by"])
    return [variant for variant, told in matrix.items() if name in told.get("fails", {})]


def unkillable(name: str) -> str:
    """Why no planted checkpoint kills a mechanism; empty where one does, or nobody has said why."""
    known = json.loads((VALIDITY / "unkillable.json").read_text(encoding="utf-8"))["unkillable"]
    return str(known.get(name, ""))


@cache
def _stored() -> tuple[RunValues, tuple[MechanismRow, ...]]:
    record = read_run(VALUES)
    return values_of(record), record.rows


def on_planted(name: str) -> str:
    """Verdicts and estimates on planted/base, in a line; empty where its baseline has none."""
    rows = [row for row in _stored()[1] if row.id == name]
    counts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items())
    known = sorted((row.estimate, row.unit) for row in rows if row.estimate is not None)
    if not known:
        return said
    ends = dict.fromkeys(formatted(*one) for one in (known[0], known[-1]))
    return f"{said}; estimate {' to '.join(ends)}"


def curves(read: Iterable[tuple[str, Want[object]]]) -> Iterator[tuple[str, str]]:
    """Name and curve by layer of what a mechanism reads, as the baseline of planted/base has it.

    Of the first task that the baseline knows it of: one curve for each edge and probe.
    """
    values = _stored()[0]
    shown: set[str] = set()
    for task, want in read:
        found = None if _named(want) in shown else _kept(values, want, task)
        if found is not None:
            shown.add(_named(want))
            yield f"{_named(want)} on {task}", _drawn(found, is_change=isinstance(want, Sweep))


def _kept(values: RunValues, want: Want[object], task: str) -> SampleCurves | None:
    if isinstance(want, Lens):
        return values.lenses.get((task, want.probe, want.variant))
    if isinstance(want, Sweep) and not want.is_second_opinion:
        # What a run keeps for comparisons is of its own window.
        layers = int(str(values.experiment["decoder_layers"]))
        if want.scaled(layers).width in (None, values.window):
            return values.sweeps.get((task, want.name))
    return None


def _named(want: Want[object]) -> str:
    if isinstance(want, Lens):
        return f"{want.probe} ({want.variant} lens)"
    return want.name.replace("->", " -> ")


def _drawn(found: SampleCurves, *, is_change: bool) -> str:
    """A curve as characters, with its furthest value and where it is.

    Rounded before the furthest is looked for, so that two machines find the same.
    """
    mean = np.round(found.values.mean(axis=0), 4) + 0.0
    place = int(np.abs(mean).argmax())
    unit = "fraction" if is_change else "probability"
    return f"`{sparkline(mean.tolist(), _CURVE)}` {formatted(float(mean[place]), unit)} at {place}"
