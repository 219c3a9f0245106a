"""A second opinion on verdicts by knockout: the same assertion, asked by other methods.

A masked edge takes away what its source says, but also hands its attention to other keys, and what
it misses may be made up for elsewhere. The twins tell: without renormalisation nothing is handed
on, and with another image's values nothing is missing (docs/decisions/010; arXiv:2309.16042).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from mmflow_bench.errors import MMFlowError
from mmflow_bench.interventions.knockout import TWINS, Method
from mmflow_bench.plugin.models import MODEL_FIXTURE, mechanism_of
from mmflow_bench.plugin.outcomes import verdict_of
from mmflow_bench.plugin.run import run_of
from mmflow_bench.reports.rows import CONFIRMED, MechanismRow

if TYPE_CHECKING:
    from mmflow_bench.measurements.records import SweepTable
    from mmflow_bench.plugin.measuring import PlannedMeasurements

KNOCKOUT_ONLY = "knockout-only"
RENORMALISATION = "renormalisation-artefact"
DECIDED = frozenset({"holds", "fails"})


class TwinMeasurements:
    """What the twins see: part of the samples, all planned edges of a task at once."""

    def __init__(self, planned: PlannedMeasurements) -> None:
        """Take part of the samples of `planned`."""
        self._planned = planned
        self._part = planned.part()
        self._ready: set[str] = set()

    def __getattr__(self, name: str) -> Any:
        """Everything else is as for the whole."""
        return getattr(self._planned, name)

    def sweep(self, task: str, edge: str, *, width: int, method: str) -> SweepTable:
        """One edge knocked out around every layer."""
        if task not in self._ready:
            self._planned.ensure_twins(self._part, task, methods=TWINS)
            self._ready.add(task)
        key = (task, edge, width, str(method))
        if key not in self._planned.sweeps:
            table = self._part.sweep(task, edge, width=width, method=method)
            self._planned.sweeps[key] = table
        return self._planned.sweeps[key]


def qualified(item: pytest.Item, row: MechanismRow) -> MechanismRow:
    """The row, with what the twins say of its verdict added to its qualifier."""
    opinion = _opinion(item, row) if row.verdict in DECIDED and _has_twins(item) else ""
    said = ", ".join(part for part in (row.qualifier, opinion) if part)
    return replace(row, qualifier=said)


def qualifier(verdict: str, *, counterfactual: str | None, unnormalised: str | None) -> str:
    """What three methods together say.

    Args:
        verdict: Of the masked knockout, `holds` or `fails`.
        counterfactual: Verdict with values of another image; None where there is none.
        unnormalised: Verdict without renormalisation.

    >>> qualifier("holds", counterfactual="holds", unnormalised="holds")
    'confirmed-by-counterfactual'
    >>> qualifier("holds", counterfactual="fails", unnormalised="fails")
    'renormalisation-artefact'
    >>> qualifier("fails", counterfactual="holds", unnormalised="fails")
    'knockout-only'
    """
    if counterfactual == verdict:
        return CONFIRMED
    is_opposite = unnormalised in DECIDED and unnormalised != verdict
    return RENORMALISATION if is_opposite else KNOCKOUT_ONLY


def _has_twins(item: pytest.Item) -> bool:
    from mmflow_bench.mechanisms.catalogue import CATALOGUE

    run = run_of(item.config)
    name = mechanism_of(item)
    is_catalogued = any(known.id == name and known.has_twins for known in CATALOGUE)
    planned = getattr(item, "funcargs", {}).get(MODEL_FIXTURE)
    return run.settings.measurement.twins and is_catalogued and hasattr(planned, "part")


def _opinion(item: pytest.Item, row: MechanismRow) -> str:
    try:
        verdicts = {method: _verdict(item, method) for method in TWINS}
    except MMFlowError as error:
        run_of(item.config).notice(f"verdicts of {row.model} have no second opinion: {error}")
        return ""
    return qualifier(
        row.verdict,
        counterfactual=verdicts[Method.COUNTERFACTUAL],
        unnormalised=verdicts[Method.UNNORMALISED],
    )


def _verdict(item: pytest.Item, method: Method) -> str | None:
    """The verdict of the test's own function on the flow that another method sees."""
    from mmflow_bench.mechanisms.flow import Flow
    from mmflow_bench.mechanisms.recording import current_recorder

    planned: PlannedMeasurements = item.funcargs[MODEL_FIXTURE]  # type: ignore[attr-defined]
    function: Callable[..., None] = item.obj  # type: ignore[attr-defined]
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # type: ignore[attr-defined]
    alpha = run_of(item.config).settings.alpha
    arguments["flow"] = Flow(planned.twins, alpha=alpha, method=method)
    # What the twins compare must not be shown as what decided.
    token = current_recorder.set(None)
    try:
        function(**arguments)
    except MMFlowError:
        raise
    except Exception as error:
        return verdict_of(error)
    finally:
        current_recorder.reset(token)
    return verdict_of(None)
