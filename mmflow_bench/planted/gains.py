"""How strong each route of a planted flow is, in logits of the right answer.

Every other answer word has logit 0, so the probability of the right one is `e^T / (e^T + R)` for
a sum of gains T and R rivals. Which gains give which drops is then a matter of odds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from mmflow_bench.inputs.samples import CHOOSE_TASKS, Task
from mmflow_bench.scenes.things import ANSWERS

RIVALS = 2 * len(ANSWERS) - 1
"""Answer words other than the right one in its right case."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """What each route of the image's content adds to the logit of the right answer."""

    context: float
    """Wallpaper to question tokens."""
    lookup: float
    """Asked-about objects to their words in the question."""
    direct: float = 0.0
    """Wallpaper to the last position."""
    told: float = 0.0
    """Captions to the last position, where there are captions and no image."""

    @property
    def whole(self) -> float:
        """The logit of the right answer without any knockout."""
        return self.context + self.lookup + self.direct + self.told


def gains_for(drops: Sequence[float], *, rivals: float = RIVALS) -> Gains:
    """The gains for which cutting one route at a time changes the probability as asked.

    Args:
        drops: Relative changes in (-1, 0) without context, without lookup and, if there is a third,
            without the direct route; their gains are the whole logit.
        rivals: Sum of the other words' weights, such as 27 words of logit 0.

    Raises:
        ValueError: No probability between 0.7 and 1 has gains that give these drops.

    >>> gains = gains_for((-0.60, -0.21))
    >>> round(gains.context, 3), round(gains.lookup, 3)
    (4.546, 2.863)
    """

    def shares(clean: float) -> list[float]:
        """Logit lost by each cut when the clean probability is `clean`."""
        kept = [clean * (1 + drop) for drop in drops]
        return [_logit(clean, rivals) - _logit(probability, rivals) for probability in kept]

    def excess(clean: float) -> float:
        return sum(shares(clean)) - _logit(clean, rivals)

    low, high = 0.7, 1 - 1e-12
    if not excess(low) < 0 < excess(high):
        raise ValueError(f"drops that gains can give, got {tuple(drops)}; ask for other ones")
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return Gains(**dict(zip(("context", "lookup", "direct"), shares(low), strict=False)))


def _logit(probability: float, rivals: float) -> float:
    return math.log(rivals * probability / (1 - probability))


_USUAL = Gains(context=4.5458, lookup=2.8635)
_EXEMPT = Gains(context=5.9861, lookup=2.8841)
_SLIGHTLY_DIRECT = Gains(context=3.6145, lookup=2.0019, direct=0.8188)

PAPER_GAINS: Mapping[str, Gains] = MappingProxyType(
    {
        Task.CHOOSE_ATTR: _USUAL,
        Task.CHOOSE_CAT: _USUAL,
        Task.CHOOSE_REL: _USUAL,
        Task.COMPARE_ATTR: _EXEMPT,
        Task.LOGICAL_OBJ: _EXEMPT,
        Task.QUERY_ATTR: _SLIGHTLY_DIRECT,
    }
)
"""-60 % without context and -21 % without lookup; -6 % for the two tasks that the paper exempts;
-5 % without the slight direct flow that it sees for QueryAttr."""

WHOLLY_DIRECT: Mapping[str, Gains] = MappingProxyType(
    {
        task: Gains(context=0.0, lookup=0.0, direct=gains.whole)
        for task, gains in PAPER_GAINS.items()
    }
)
"""The same logits, all of them by the direct route."""

PARTLY_DIRECT: Mapping[str, Gains] = MappingProxyType(
    {**PAPER_GAINS, **dict.fromkeys(CHOOSE_TASKS, gains_for((-0.60, -0.21, -0.10)))}
)
"""-10 % without the direct route in three more tasks, and every other drop as it was."""


PLACE_TASKS = (Task.CHOOSE_REL, Task.QUERY_ATTR)
"""Tasks that ask where something is."""
_TWICE_LOOKED_UP = gains_for((-0.60, -0.21, -0.21))
WITH_BACKGROUND: Mapping[str, Gains] = MappingProxyType(
    {**PAPER_GAINS, **dict.fromkeys(PLACE_TASKS, replace(_TWICE_LOOKED_UP, direct=0.0))}
)
"""-21 % without the objects and -21 % without the background that says where they are."""


def clearly_looked_up(*tasks: str) -> Mapping[str, Gains]:
    """The usual whole, with more of it by lookup for some of the two tasks that have little.

    -8 % without lookup instead of -6 %, for designs that make every drop smaller.
    """
    more = Gains(context=_EXEMPT.context - 0.3, lookup=_EXEMPT.lookup + 0.3)
    return MappingProxyType({**PAPER_GAINS, **dict.fromkeys(tasks, more)})


WITH_CAPTIONS: Mapping[str, Gains] = MappingProxyType(
    dict.fromkeys(
        PAPER_GAINS, Gains(context=0.6 * _USUAL.whole, lookup=0.0, told=0.4 * _USUAL.whole)
    )
)
"""The usual logit from captions: by the question, and told to the last position itself. A caption
does not know which task it is read for."""


def with_context(times: float) -> Mapping[str, Gains]:
    """The usual logits, of which the context brings so many times the usual and lookup the rest."""
    return MappingProxyType(
        {
            task: replace(
                gains,
                context=times * gains.context,
                lookup=gains.lookup + (1 - times) * gains.context,
            )
            for task, gains in PAPER_GAINS.items()
        }
    )


OPTION_GAIN = 3.6
"""What a word for an option adds to the logit of that option, if it is the only one read."""
_OPTION_RIVALS = 1 + (RIVALS - 1) * math.exp(-OPTION_GAIN / 2)
WITH_OPTIONS: Mapping[str, Gains] = MappingProxyType(
    {
        **PAPER_GAINS,
        **dict.fromkeys(
            (Task.CHOOSE_ATTR, Task.CHOOSE_REL),
            gains_for((-0.60, -0.21), rivals=_OPTION_RIVALS),
        ),
    }
)
"""The usual drops where two options share the option gain."""
