"""The named dimensions of a planted decoder's residual stream.

Every fact that a token can know has dimensions of its own, so that a stage reads and writes by
name. The large constant in `bias` makes RMSNorm an identity up to 1e-5: the norm of every state
is that of the constant.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import accumulate

from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.scenes.things import ANSWERS, CATEGORIES, COLORS, GISTS, MATERIALS, SIDES

Form = Mapping[int, float]
"""A linear form on the residual stream: dimension -> coefficient."""

WIDTH = 128
"""Of a decoder that knows what the base knows; some variants are wider."""
BIAS_VALUE = 4096.0
"""The constant in `bias`; at 1000 the squared answer logits would change the norm by 1e-4."""

_OBJECT_FACTS = {
    "seen": 1,
    "category": len(CATEGORIES),
    "color": len(COLORS),
    "material": len(MATERIALS),
    "side": len(SIDES),
}
_SHELF = sum(size for fact, size in _OBJECT_FACTS.items() if fact != "category")
_SIZES: dict[str, int] = {
    "bias": 1,
    "begin": 1,  # the first token, which every head without a match attends to
    "question": 1,  # a word that only questions have
    "suffix": 1,  # the role word between the question and the last position
    "last": 1,
    "object_word": 1,
    "separator": 1,  # a word after which the second object follows
    "second_word": 1,  # an object word after a separator
    "mark": 1,  # the question mark, where the objects are compared
    "stop": 1,  # an answer word, after which the sequence ends
    "form": len(SIX_TASKS),
    "wanted_category": len(CATEGORIES),
    "wanted_color": len(COLORS),
    "background": 1,  # an image patch that shows wallpaper
    "object_patch": 1,
    "gist": len(GISTS),
    "context": len(ANSWERS),  # evidence from the gist, at question tokens
    "decision": len(ANSWERS),  # evidence from the objects, at the question mark
    "lower": len(ANSWERS),
    "upper": len(ANSWERS),
    **{f"first_{fact}": size for fact, size in _OBJECT_FACTS.items()},
    # patches, words and the question mark share `first`: what the token knows about its object
    **{f"second_{fact}": size for fact, size in _OBJECT_FACTS.items() if fact != "category"},
    # from here on, facts of variants only: what the base knows must keep its place
    "newline": 1,  # the line break after the image
    "final": 1,  # the last position, once it has seen that the question is over
    "distractor": 2,  # evidence for a wrong word, at the question and at the last position
    "code": 3,  # what a word, attention and MLP say at the question, in the codebook
    "offered": 1,  # an option in a question of a form that has options
    "option": len(ANSWERS),  # a colour or side that the question names
    "opening": 1,  # the first word of a question
    "told": 1,  # a word for an object that has read it
    "mixed": len(ANSWERS),  # context that the question mark has gathered, by parts
    **{f"early_first_{fact}": size for fact, size in _OBJECT_FACTS.items()},
    **{f"early_second_{fact}": size for fact, size in _OBJECT_FACTS.items() if fact != "category"},
    **{f"shelf_{category}": _SHELF for category in CATEGORIES},  # facts of one object, in passing
    "codes": 10,  # what the words of a codebook take
    "piece": 1,  # the first piece of an answer that has two
    "tail": len(ANSWERS),  # the answer, where its second piece is to follow
    "said": 1,  # a word that comes after the second side of a sentence
    "tower_sink": 1,  # the patch whose feature has an outstanding norm
    "decoder_sink": 1,  # the patch that is as massive as the first token
    "massive": 1,  # what both of these have in place of the constant
    "row_end": 1,  # the end of a row of tiles
    "confirmed": 1,  # a patch of an object that has seen some wallpaper
    "captioned": len(ANSWERS),  # the answer that a word of a caption gives
    "break": 1,  # a colon, after which an answer begins with a line break
}
_STARTS = dict(zip(_SIZES, accumulate(_SIZES.values(), initial=0), strict=False))


def dimensions(name: str) -> range:
    """All dimensions of a named fact.

    Raises:
        KeyError: There is no such fact.
    """
    return range(_STARTS[name], _STARTS[name] + _SIZES[name])


def dimension(name: str, index: int = 0) -> int:
    """One dimension of a named fact."""
    return dimensions(name)[index]


def total(*names: str) -> Form:
    """The sum of all dimensions of some facts."""
    return {dim: 1.0 for name in names for dim in dimensions(name)}
