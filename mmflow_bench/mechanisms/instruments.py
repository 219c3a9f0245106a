"""The same flow by other methods of knocking out, and on the samples that are answered wrongly.

Other methods are asked of the part of the samples that second opinions are asked of, so that they
cost nothing more where those are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mmflow_bench.interventions.knockout import Method

if TYPE_CHECKING:
    from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
    from mmflow_bench.mechanisms.curves import Curve
    from mmflow_bench.mechanisms.flow import Flow


def gain_of_other_answer(flow: Flow, edge: str, task: str) -> Curve:
    """How much an edge brings of another image's answer, by layer; negative, as drops are.

    The values that the edge carries are exchanged for those of the donor's image; what is gained is
    the probability of the first token that the model answers about that image. Without exchange it
    had at most what the own answer left, which is taken off: a lower bound of the gain.

    Raises:
        NotApplicable: No sample has positions for the edge, or a donor.
    """
    part, want, table = _exchanged(flow, edge, task)
    assert table.counterfactual_probability is not None
    left = 1 - table.base_probability[:, None]
    gained = (table.counterfactual_probability - left).clip(min=0.0)
    name = f"other image's answer by {want.name} on {task}"
    return part.curve(name, -gained, table.image_ids, want)


def flips_to_other_answer(flow: Flow, edge: str, task: str) -> Curve:
    """How often that token becomes the likeliest, by layer; negative, as drops are.

    Raises:
        NotApplicable: No sample has positions for the edge, or a donor.
    """
    part, want, table = _exchanged(flow, edge, task)
    assert table.is_flipped is not None
    name = f"flips to the other image's answer by {want.name} on {task}"
    return part.curve(name, -table.is_flipped.astype(float), table.image_ids, want)


def renormalisation(flow: Flow, edge: str, task: str) -> Curve:
    """What a masked edge changes beyond one that is cut without renormalising, by layer.

    Masking hands the edge's attention to other positions; the difference is what they say more.

    Raises:
        NotApplicable: No sample has positions for the edge.
    """
    part, lacked = flow.by(Method.UNNORMALISED), f"positions for {edge}"
    want = _swept(edge, method=Method.UNNORMALISED)
    cut = part.table(task, want, lacked=lacked)
    masked = flow.table(task, _swept(edge), lacked=lacked)
    place = {question: i for i, question in enumerate(masked.question_ids)}
    rows = [place[question] for question in cut.question_ids]
    difference = masked.relative_change[rows] - cut.relative_change
    return part.curve(f"renormalisation of {want.name} on {task}", difference, cut.image_ids, want)


def of_wrong_answers(flow: Flow, edge: str, task: str) -> Curve:
    """The relative change of the model's own wrong answers when an edge is knocked out.

    Raises:
        NotApplicable: No sample with positions for the edge is answered wrongly.
    """
    from mmflow_bench.measurements.wrong_answers import WrongAnswers

    want = _swept(edge)
    lacked = f"a wrong answer and positions for {want.name}"
    table = flow.table(task, WrongAnswers(sweep=want), lacked=lacked)
    name = f"{want.name} on wrong answers to {task}"
    return flow.curve(name, table.relative_change, table.image_ids, want)


def _exchanged(flow: Flow, edge: str, task: str) -> tuple[Flow, Sweep, SweepTable]:
    part, want = flow.by(Method.COUNTERFACTUAL), _swept(edge, method=Method.COUNTERFACTUAL)
    table = part.table(task, want, lacked=f"positions and a donor for {want.name}")
    return part, want, table


def _swept(edge: str, *, method: str = Method.MASKED) -> Sweep:
    # Suites import this module, and listing mechanisms reads the suites: no numpy until it is read.
    from mmflow_bench.measurements.knockout_sweep import Sweep

    return Sweep.of(edge, method=method)
