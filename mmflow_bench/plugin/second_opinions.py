"""A second opinion on verdicts by knockout: the same assertion, asked by other methods.

A masked edge takes away what its source says, but also hands its attention to other keys, and what
it misses may be made up for elsewhere. Other methods tell: without renormalisation nothing is
handed on, and with another image's values nothing is missing (docs/decisions/010;
arXiv:2309.16042).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from mmflow_bench.errors import MMFlowError
from mmflow_bench.interventions.knockout import SECOND_OPINIONS, Method
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.verdicts import DECIDED, FEW, verdict_of
from mmflow_bench.plugin.collecting import has_second_opinion, reads_of
from mmflow_bench.plugin.run import run_of
from mmflow_bench.runs.rows import CONFIRMED, MechanismRow

KNOCKOUT_ONLY = "knockout-only"
RENORMALISATION = "renormalisation-artefact"
ON_FEW = f"second opinion on {FEW}"
"""Beside a verdict that rests on more images than the other methods have seen."""


def qualified(item: pytest.Item, row: MechanismRow) -> MechanismRow:
    """The row, with what the other methods say of its verdict added to its qualifier."""
    is_asked = (
        row.verdict in DECIDED
        and run_of(item.config).settings.measurement.twins
        and has_second_opinion(item)
        and bool(reads_of(item).second_opinions)
    )
    opinion = _opinion(item, row) if is_asked else ""
    return replace(row, qualifier=", ".join(part for part in (row.qualifier, opinion) if part))


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


def _opinion(item: pytest.Item, row: MechanismRow) -> str:
    asked = Recorder()
    try:
        verdicts = {method: _verdict(item, method, asked) for method in SECOND_OPINIONS}
    except MMFlowError as error:
        run_of(item.config).notice(f"verdicts of {row.model} have no second opinion: {error}")
        return ""
    said = qualifier(
        row.verdict,
        counterfactual=verdicts[Method.COUNTERFACTUAL],
        unnormalised=verdicts[Method.UNNORMALISED],
    )
    is_on_few = any(FEW in comparison.cautions for comparison in asked.comparisons)
    return f"{said}, {ON_FEW}" if is_on_few and FEW not in row.qualifier else said


def _verdict(item: pytest.Item, method: Method, recorder: Recorder) -> str | None:
    """The verdict of the test's own function on its flow by another method, told to `recorder`.

    What is no verdict ends the test as it would have ended it the first time.
    """
    function: Callable[..., None] = item.obj  # type: ignore[attr-defined]
    arguments = {name: item.funcargs[name] for name in item._fixtureinfo.argnames}  # type: ignore[attr-defined]
    arguments["flow"] = arguments["flow"].by(method)
    # What the other methods compare must not be shown as what decided.
    token = current_recorder.set(recorder)
    try:
        function(**arguments)
    except Exception as error:
        if verdict_of(error) is None:
            raise
        return verdict_of(error)
    finally:
        current_recorder.reset(token)
    return verdict_of(None)
