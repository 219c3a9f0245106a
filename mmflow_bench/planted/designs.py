"""Where each stage of a planted checkpoint sits and how strong it is.

The layers follow the paper's account of LLaVA-1.5-13b (arXiv:2411.18620, Sec. 5 to 7). Gains are
answer logits; they are chosen for the relative changes that the paper reports: -60 % without the
first transfer of image content, -21 % without the second (-6 % for the two tasks that the paper
exempts), and -5 % without the slight direct flow that it sees for QueryAttr.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mmflow_bench.errors import CheckpointError
from mmflow_bench.inputs.samples import Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Gains:
    """What each route of the image's content adds to the logit of the right answer."""

    context: float
    """Wallpaper to question tokens."""
    lookup: float
    """Asked-about objects to their words in the question."""
    direct: float = 0.0
    """Wallpaper to the last position."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """The stages of one planted checkpoint, by 0-based decoder layer."""

    name: str
    layers: int
    """Depth of the decoder."""
    context_layer: int
    """Question tokens read the wallpaper."""
    text_layer: int
    """The question mark reads the form of the question; second object words are told apart."""
    lookup_layer: int
    """Object words read the patches of their object."""
    gather_layer: int
    """The question mark reads the object words and decides."""
    transfer_layers: range
    """The last position reads the question, an equal part per layer."""
    direct_layer: int
    """The last position reads the wallpaper of the one task with a direct flow."""
    case_changes: tuple[tuple[int, float], ...]
    """Layers in which a fraction of the lower-case answer becomes capitalised; the last is 1."""
    gains: Mapping[str, Gains] = field(default_factory=lambda: PAPER_GAINS)
    """By task."""


BASE = Design(
    name="planted/base",
    layers=40,
    context_layer=0,
    text_layer=1,
    lookup_layer=10,
    gather_layer=11,
    transfer_layers=range(13, 34),
    direct_layer=20,
    case_changes=(
        *((layer, 0.08) for layer in range(22, 28)),
        *((layer, 0.14) for layer in range(28, 34)),
        (34, 0.3),
        (35, 0.4),
        (36, 0.5),
        (37, 0.6),
        (38, 1.0),
    ),
)
MINI = Design(
    name="planted/mini",
    layers=12,
    context_layer=0,
    text_layer=1,
    lookup_layer=4,
    gather_layer=5,
    transfer_layers=range(6, 11),
    direct_layer=7,
    case_changes=((8, 0.3), (9, 0.5), (10, 0.6), (11, 1.0)),
)
DESIGNS: Mapping[str, Design] = MappingProxyType({one.name: one for one in (BASE, MINI)})


def design_of(name: str) -> Design:
    """The design of a shipped checkpoint.

    Raises:
        CheckpointError: There is none of that name.
    """
    if name not in DESIGNS:
        raise CheckpointError(
            f"a planted checkpoint ({', '.join(DESIGNS)}), got {name!r}; use one of these names"
        )
    return DESIGNS[name]
