"""One row of the catalogue as data: what is claimed, where, and what it needs.

Nothing here imports numpy, so that listing the catalogue is instant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmflow_bench.inputs.samples import SIX_TASKS

QUESTION_LAST = "question->last"
IMAGE_LAST = "image->last"
LAST_LAST = "last->last"
IMAGE_QUESTION = "image->question"
RELATED_QUESTION = "related_patches->question"
OTHER_QUESTION = "other_patches->question"
CAPTION_LAST = "caption->last"

VICUNA_13B = "llava-1.5-13b"
VICUNA_7B = "llava-1.5-7b"
NEXT_VICUNA_7B = "llava-v1.6-vicuna-7b"
NEXT_LLAMA3_8B = "llama3-llava-next-8b"
PAPER_MODELS = (VICUNA_13B, VICUNA_7B, NEXT_VICUNA_7B, NEXT_LLAMA3_8B)
"""The paper's names of its four checkpoints."""

TWO_DROP_TASKS = ("ChooseAttr", "ChooseCat", "ChooseRel", "QueryAttr")
"""Tasks whose second transfer from the image the paper calls a drop."""
SMALL_DROP_TASKS = ("CompareAttr", "LogicalObj")
"""Tasks for which it only says "smaller decreases"."""
ALL: tuple[str, ...] = ("all",)
"""A statement across tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mechanism:
    """A claim of the paper, or a control, as one row of every report."""

    id: str
    section: str
    """Of the catalogue: 1b, 1c, ..."""
    statement: str
    """The claim in one sentence."""
    citation: str
    """Where the paper makes it."""
    tier: Literal["holds", "replicates", "control"] = "holds"
    """`holds` is mechanism-level, for any checkpoint; `replicates` is the paper's own number."""
    tasks: tuple[str, ...] = SIX_TASKS
    """Tasks that it is decided on one by one, or `("all",)` for a statement across tasks."""
    edges: tuple[str, ...] = ()
    """Edges whose knockout it reads."""
    widths: Literal["auto", "one", "both"] = "auto"
    """Windows it reads them at: scaled with the depth, single layers, or both."""
    lens: bool = False
    """Whether it reads the logit lens."""
    unit: str = "fraction"
    """Of the estimate that is reported."""
    needs: Literal["image", "captions", "any"] = "image"
    """What the samples must show the checkpoint; `not-applicable` otherwise."""
    paper_models: tuple[str, ...] = ()
    """The paper's checkpoints that it is about; empty for any checkpoint."""

    @property
    def has_twins(self) -> bool:
        """Whether other methods of knocking out are asked too (docs/decisions/010).

        Not where the size itself is claimed, where single layers are read, and where captions stand
        in for the image, which no other image can replace.
        """
        is_knockout = bool(self.edges) and self.tier == "holds"
        return is_knockout and self.widths == "auto" and self.needs != "captions"
