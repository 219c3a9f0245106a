"""How strong the routes through each part of a question are, where a design tells parts apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from mmflow_bench.inputs.samples import Task
from mmflow_bench.planted.gains import Gains
from mmflow_bench.scenes.things import ANSWERS, ANSWERS_OF_TASK, SIDES

PART_GAINS: Mapping[str, Gains] = MappingProxyType(
    {
        Task.CHOOSE_ATTR: Gains(context=2.5, lookup=0.5),
        # Its object is the word `this`, which looks for nothing.
        Task.CHOOSE_CAT: Gains(context=2.5, lookup=0.0),
        Task.CHOOSE_REL: Gains(context=3.2, lookup=1.0),
        Task.COMPARE_ATTR: Gains(context=7.0, lookup=1.4),
        Task.LOGICAL_OBJ: Gains(context=7.0, lookup=1.4),
        Task.QUERY_ATTR: Gains(context=5.0, lookup=0.9),
    }
)
"""Context of the whole question, and what the words for objects find."""


@dataclass(frozen=True, slots=True)
class Shares:
    """Of the answers of a task, what comes by which words."""

    options: float
    """Fraction of the context that the last position reads at options."""
    objects: float
    """Fraction that the question mark gathers from words for objects, and from the rest."""
    rest: float
    word: float
    """What a word for an option adds to its own logit, if it is the only one that is read."""


_USUAL = Shares(options=0.54, objects=0.26, rest=0.2, word=1.4)
_OF_SIDES = Shares(options=0.3, objects=0.35, rest=0.35, word=1.0)
"""Options in the middle of a question carry less."""
SHARES: Mapping[str, Shares] = MappingProxyType(
    {answer: _OF_SIDES if answer in SIDES else _USUAL for answer in ANSWERS}
)
"""By answer."""
CONFIRMED: Mapping[str, float] = MappingProxyType({Task.CHOOSE_ATTR: 1.4, Task.CHOOSE_CAT: 1.4})
"""What the true option adds to it once it has found the object in the image."""
MARK_GAIN: Mapping[str, float] = MappingProxyType({Task.CHOOSE_CAT: 0.5, Task.QUERY_ATTR: 0.9})
"""What the question mark finds in the image by itself."""


def shares_of(task: str) -> Shares:
    """The shares of the answers that a task has."""
    return SHARES[ANSWERS_OF_TASK[task][0]]
