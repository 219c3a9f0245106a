"""A second opinion on verdicts by knockout: the same assertion, asked by other methods.

A masked edge takes away what its source says, but also hands its attention to other keys, and what
it misses may be made up for elsewhere. Other methods tell: without renormalisation nothing is
handed on, and with another image's values nothing is missing (docs/decisions/010;
arXiv:2309.16042).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from mmflow_bench.errors import MMFlowError
from mmflow_bench.interventions.knockout import SECOND_OPINIONS, Method
from mmflow_bench.mechanisms.comparisons import Recorder, current_recorder
from mmflow_bench.mechanisms.verdicts import ASKED_AGAIN, DECIDED, FEW, verdict_of
from mmflow_bench.runs.rows import CONFIRMED, MechanismRow

KNOCKOUT_ONLY = "knockout-only"
RENORMALISATION = "renormalisation-artefact"
ON_FEW = f"second opinion on {FEW}"
"""Beside a verdict that rests on more images than the other methods have seen."""


def with_opinion(
    row: MechanismRow, ask: Callable[[Method], object], *, tell: Callable[[str], object]
) -> MechanismRow:
    """The row, with what the other methods say of its verdict added to its qualifier.

    What is not decided has none, and neither have controls and replications.

    Args:
        row: Of one test of a mechanism.
        ask: Runs the test on its flow by another method.
        tell: Told why there is none, where the other methods cannot be asked.
    """
    if row.verdict not in DECIDED or row.tier != ASKED_AGAIN:
        return row
    recorder = Recorder()
    try:
        verdicts = {method: _verdict(ask, method, recorder) for method in SECOND_OPINIONS}
    except MMFlowError as error:
        tell(f"verdicts of {row.model} have no second opinion: {error}")
        return row
    said = qualifier(
        row.verdict,
        counterfactual=verdicts[Method.COUNTERFACTUAL],
        unnormalised=verdicts[Method.UNNORMALISED],
    )
    is_on_few = any(FEW in comparison.cautions for comparison in recorder.comparisons)
    few = ON_FEW if is_on_few and FEW not in row.qualifier else ""
    return replace(row, qualifier=", ".join(part for part in (row.qualifier, said, few) if part))


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


def _verdict(ask: Callable[[Method], object], method: Method, recorder: Recorder) -> str | None:
    """The verdict by another method, told to `recorder`.

    What is no verdict ends the test as it would have ended it the first time.
    """
    # What the other methods compare must not be shown as what decided.
    token = current_recorder.set(recorder)
    try:
        ask(method)
    except Exception as error:
        if verdict_of(error) is None:
            raise
        return verdict_of(error)
    finally:
        current_recorder.reset(token)
    return verdict_of(None)
