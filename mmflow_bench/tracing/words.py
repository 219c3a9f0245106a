"""What is said of a trace, wherever it is shown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mmflow_bench.mechanisms.bands import APPEARED
from mmflow_bench.mechanisms.numbers import formatted
from mmflow_bench.reports.html.paper_figures import shown_edge
from mmflow_bench.tracing.record import Block, EdgeCurve, LensCurve, Trace

_NOTHING = 0.005
"""What rounds to no percent."""


def answered(trace: Trace) -> str:
    """The answer and how sure the checkpoint is of it."""
    chance = formatted(trace.probability, "probability")
    return f"{trace.answer or '(nothing)'} (first token {trace.token!r}, probability {chance})"


def extreme(curve: Sequence[float]) -> tuple[int, float]:
    """Where a curve is furthest from zero, and its value there."""
    place = max(range(len(curve)), key=lambda i: abs(curve[i]))
    return place, curve[place]


def strongest(curve: EdgeCurve) -> str:
    """What an edge does where it does most.

    >>> strongest(EdgeCurve(edge="image->last", relative_change=(0.0, -0.5)))
    '-50% around layer 1'
    """
    layer, value = extreme(curve.relative_change)
    if abs(value) < _NOTHING:
        return "nothing"
    return f"{formatted(value, 'fraction')} around layer {layer}"


def appears(curve: LensCurve) -> str:
    """From which layer on the lens reads a word."""
    found = (i for i, value in enumerate(curve.probability) if value >= APPEARED)
    depth = next(found, None)
    if depth is None:
        return "nowhere"
    return f"after layer {depth - 1}" if depth else "in the embedding"


def most_lost(blocks: Sequence[Block]) -> float:
    """The largest share of the answer's probability that one block takes with it; 0 for none."""
    return max((-block.relative_change for block in blocks), default=0.0)


def of_blocks(trace: Trace) -> str:
    """What the parts of the photo say, in a sentence."""
    if not trace.blocks:
        return f"Where in the photo the answer comes from is not told: {trace.without_blocks}."
    lost = most_lost(trace.blocks)
    found = f"the one that matters most takes {formatted(round(lost, 3), 'fraction')}"
    if lost < _NOTHING:
        found = "none of them takes anything"
    near = ", each together with those around it," if trace.reach else ""
    return (
        f"The {len(trace.blocks)} parts of the photo{near} were cut off from the question in all "
        f"layers, one after the other; {found} of the answer's probability with it."
    )


def lacks(trace: Trace) -> Iterator[str]:
    """The edges that the sample does not have, and why."""
    for edge, reason in trace.unmeasured.items():
        yield f"{shown_edge(edge)}: not there ({reason})"
