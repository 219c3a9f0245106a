"""Where each stage of a planted checkpoint sits and how strong it is.

The layers follow the paper's account of LLaVA-1.5-13b (arXiv:2411.18620, Sec. 5 to 7). Everything
here is data: what a stage does is in the modules that `stages` lists.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from mmflow_bench.planted.codebook import Codebook
from mmflow_bench.planted.gains import PAPER_GAINS, Gains
from mmflow_bench.planted.residual import WIDTH

PAPER_STAGES = (
    "read_context",
    "read_question",
    "look_up_objects",
    "gather_objects",
    "decide",
    "transfer_to_last",
    "read_directly",
    "capitalise",
)
"""Names of the stages that make the paper's flow, in the order in which they are written."""


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
    direct_layers: range
    """The last position reads the wallpaper for tasks with a direct flow, equal parts per layer."""
    case_changes: tuple[tuple[int, float], ...]
    """Layers in which a fraction of the lower-case answer becomes capitalised; the last is 1."""
    gains: Mapping[str, Gains] = field(default_factory=lambda: PAPER_GAINS)
    """By task."""
    stages: tuple[str, ...] = PAPER_STAGES
    """Names of the stages that are written, each once."""
    extra_flags: tuple[str, ...] = ()
    """Flags beyond those of the base that its words carry, such as `newline`."""

    context_transfer: range | None = None
    """Where the last position reads the context instead of at `transfer_layers`."""
    decision_transfer: range | None = None
    """Where it reads the decision instead."""
    landing: str = "lower"
    """What the last position reads becomes: `lower`, or `upper` at once."""
    held: float = 0.0
    """Fraction of a transfer that the last position holds unread until `release_layers`."""
    release_layers: range = range(0)
    """What is held becomes readable, equal parts per layer."""
    suffix_layer: int = 12
    """The role word after the question reads it."""
    suffix_share: Mapping[str, float] = field(default_factory=dict)
    """Fraction of `context` and of `decision` that reaches the last position by the suffix."""

    kept_below: float = math.inf
    """How far the lower-case logit is below the capitalised one at the end, where it is kept."""
    spoken: tuple[str, ...] = ("lower", "upper")
    """Spellings that the output projection can read."""
    muted_by_norm: tuple[str, ...] = ()
    """Facts that the final norm sets to zero."""
    context_rivals: int = 0
    """Patches whose attention the first token draws beside the wallpaper in the context head."""
    distractor: float = 0.0
    """Logit of a wrong word where question tokens cannot see the image."""
    early_layer: int = 0
    """Object words read their patches for the first time, in designs that do so twice."""
    doubt: float = 0.0
    """Logit of the other option of ChooseAttr while it is taken for the answer."""
    doubt_layers: tuple[int, int] = (13, 21)
    """Where the last position begins to take it for the answer, and where it ends to."""
    idle_layers: range = range(0)
    """Tokens attend to the image and make no use of what they read."""

    codebook: Codebook = ()
    """What the question's positions say at the end, and what it takes; empty for nothing."""
    tower_sink: Literal["", "idle", "context"] = ""
    """Whether one patch has an outstanding norm, and whether it says nothing or gathers all that
    the wallpaper suggests."""
    sink_place: Literal["corner", "padding"] = "corner"
    """Which patches the tower's sinks are: one in a corner, or all that show padding, which then
    have no outstanding norm. Photos are padded to a square for these."""
    decoder_sink: Literal["", "idle", "context"] = ""
    """Whether another patch is as massive as the first token, and what it says."""
    ripe_layer: int = 15
    """Image patches come to say their gist more loudly, in designs where they do."""
    ripe_gain: float = 1.0
    """How much more loudly."""
    mix_layer: int = 2
    """Patches read other patches, in designs where they do."""

    disguise_seed: int | None = None
    """Of noise outside the circuit and of a rotation of the residual stream; None for neither."""

    caption_layers: range = range(0)
    """The last position reads captions, an equal part per layer."""

    tiled: bool = False
    """Whether images are cut into tiles beside an overview, as LLaVA-NeXT does."""
    knows_row_ends: bool = False
    """Whether the end of a row of tiles can be told from everything else."""

    is_split: bool = False
    """Whether capitalised answers are two pieces, the second of which the first one's position
    reads as the last position reads the first, or knows by rote (stage `finish_word`)."""

    trained: bool = False
    """Whether noise on all weights and real training steps follow."""
    width: int = WIDTH
    """Of the residual stream."""
    mlp_width: int = 32
    """Gated rows per layer: facts of a decision and changes of case need one each."""
    heads: int = 4
    key_value_heads: int = 4
    """Fewer than `heads`: grouped-query attention."""

    @property
    def has_sinks(self) -> bool:
        return bool(self.tower_sink or self.decoder_sink)

    @property
    def is_padded(self) -> bool:
        return self.sink_place == "padding"

    def layers_of(self, evidence: str) -> range:
        """Where the last position reads `context` or `decision`."""
        own = {"context": self.context_transfer, "decision": self.decision_transfer}[evidence]
        return self.transfer_layers if own is None else own

    def share_of_suffix(self, evidence: str) -> float:
        """Fraction of `context` or `decision` that reaches the last position by the suffix."""
        return self.suffix_share.get(evidence, 0.0)


BASE = Design(
    name="planted/base",
    layers=40,
    context_layer=0,
    text_layer=1,
    lookup_layer=10,
    gather_layer=11,
    transfer_layers=range(13, 34),
    direct_layers=range(20, 21),
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
    direct_layers=range(7, 8),
    case_changes=((8, 0.3), (9, 0.5), (10, 0.6), (11, 1.0)),
)
