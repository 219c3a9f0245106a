"""Every mechanism that the suites decide, as data: what is claimed, where, and what it needs.

The claims are those of arXiv:2411.18620; how each is decided is in `suites/`. Nothing here imports
numpy, so that listing the catalogue is instant.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from mmflow_bench.inputs.samples import CHOOSE_TASKS, SIX_TASKS

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


_PRECONDITIONS = (
    Mechanism(
        id="acc-95",
        section="1a",
        statement="The checkpoint answers at least 95% of the questions correctly.",
        citation="Sec. 4",
        tier="control",
        tasks=ALL,
        needs="any",
    ),
)

_LAST = Mechanism(id="", section="1b", statement="", citation="Sec. 5 Exp. 1, Fig. 3")
_EDGES_INTO_LAST = (
    replace(
        _LAST,
        id="last-last-null",
        statement="The last position takes nothing that matters from itself.",
        citation="Sec. 5 Exp. 1 Obs. 1, Fig. 3",
        edges=(LAST_LAST,),
        needs="any",
    ),
    replace(
        _LAST,
        id="q-last-drop",
        statement="Cutting the question off the last position costs probability significantly.",
        edges=(QUESTION_LAST,),
        needs="any",
    ),
    replace(
        _LAST,
        id="q-last-30",
        statement="Cutting the question off the last position costs up to about 30%.",
        tier="replicates",
        tasks=("ChooseAttr",),
        edges=(QUESTION_LAST,),
        paper_models=(VICUNA_13B,),
    ),
    replace(
        _LAST,
        id="q-last-mid",
        statement="The question reaches the last position primarily in the middle layers.",
        edges=(QUESTION_LAST,),
        unit="depth",
        needs="any",
    ),
    replace(
        _LAST,
        id="q-last-predominant",
        statement="The question's direct influence on the last position predominates.",
        edges=(QUESTION_LAST, IMAGE_LAST, LAST_LAST),
        unit="ratio",
    ),
    replace(
        _LAST,
        id="img-last-null",
        statement="The image does not directly influence the last position in most tasks.",
        tasks=ALL,
        edges=(IMAGE_LAST,),
    ),
    replace(
        _LAST,
        id="img-last-qa-slight",
        statement="In QueryAttr the image slightly influences the last position directly.",
        tasks=("QueryAttr",),
        edges=(IMAGE_LAST,),
        paper_models=(VICUNA_13B,),
    ),
    replace(
        _LAST,
        id="img-last-lt-indirect",
        statement="The image's direct influence is negligible beside that through the question.",
        edges=(IMAGE_LAST, IMAGE_QUESTION),
        unit="ratio",
    ),
)

_QUESTION = Mechanism(
    id="",
    section="1c",
    statement="",
    citation="Sec. 5 Exp. 2, Fig. 4",
    edges=(IMAGE_QUESTION,),
)
_IMAGE_TO_QUESTION = (
    replace(
        _QUESTION,
        id="imgq-drop",
        statement="Cutting the image off the question costs probability.",
    ),
    replace(
        _QUESTION,
        id="imgq-drop1",
        statement="The first drop is sharp and lies where windows hold the first layer.",
    ),
    replace(
        _QUESTION,
        id="imgq-drop1-60",
        statement="The first drop averages about 60% over the six tasks.",
        tier="replicates",
        tasks=ALL,
        paper_models=(VICUNA_13B,),
    ),
    replace(
        _QUESTION,
        id="imgq-drop1-7b-less",
        statement="The first drop is smaller in LLaVA-1.5-7b than in LLaVA-1.5-13b.",
        citation="App. I, Fig. 21",
        paper_models=(VICUNA_7B,),
    ),
    replace(
        _QUESTION,
        id="imgq-drop2",
        statement="A second drop follows around a quarter of the depth.",
    ),
    replace(
        _QUESTION,
        id="imgq-drop2-21",
        statement="The second drop averages about 21% over four tasks.",
        tier="replicates",
        tasks=ALL,
        paper_models=(VICUNA_13B,),
    ),
    replace(
        _QUESTION,
        id="imgq-two-drops",
        statement="The image reaches the question in two distinct drops.",
        tasks=TWO_DROP_TASKS,
    ),
    replace(
        _QUESTION,
        id="imgq-drop2-lt-drop1",
        statement="The second drop is smaller than the first.",
    ),
    replace(
        _QUESTION,
        id="imgq-layers-consistent",
        statement="The layers of both drops are the same in all tasks.",
        tasks=ALL,
        unit="depth",
    ),
    replace(
        _QUESTION,
        id="imgq-low-only",
        statement="The image reaches the question in the lower layers only.",
    ),
    replace(
        _QUESTION,
        id="order-imgq-qlast",
        statement="The image reaches the question before the question reaches the last position.",
        citation="Sec. 5, Figs. 3-4",
        edges=(IMAGE_QUESTION, QUESTION_LAST),
        unit="depth",
    ),
    replace(
        _QUESTION,
        id="stages-disjoint",
        statement="The two stages of integration are distinct and disjoint.",
        citation="Sec. 5, Figs. 3-4",
        edges=(IMAGE_QUESTION, QUESTION_LAST),
        widths="both",
        unit="ratio",
    ),
)

_PATCHES = Mechanism(
    id="",
    section="1f",
    statement="",
    citation="Sec. 6, Fig. 5",
    edges=(OTHER_QUESTION, RELATED_QUESTION),
)
_RELATED_AND_OTHER = (
    replace(
        _PATCHES,
        id="oth-dom-1",
        statement="Patches other than the asked-about objects predominate in the first stage.",
    ),
    replace(
        _PATCHES,
        id="rel-dom-2",
        statement="Patches of the asked-about objects dominate in the second stage.",
    ),
    replace(
        _PATCHES,
        id="patches-account",
        statement="Other and related patches account for the two drops individually.",
        edges=(OTHER_QUESTION, RELATED_QUESTION, IMAGE_QUESTION),
        unit="ratio",
    ),
    replace(
        _PATCHES,
        id="patches-layers-consistent",
        statement="The layers of both kinds of patches are the same in all tasks.",
        tasks=ALL,
        unit="depth",
    ),
    replace(
        _PATCHES,
        id="order-oth-rel",
        statement="Other patches reach the question before the related ones do.",
        unit="depth",
    ),
    replace(
        _PATCHES,
        id="oth-7b-less",
        statement="Less flows from other patches in LLaVA-1.5-7b than in LLaVA-1.5-13b.",
        citation="App. I, Fig. 22",
        edges=(OTHER_QUESTION,),
        paper_models=(VICUNA_7B,),
    ),
)

_LENS = Mechanism(
    id="",
    section="1g",
    statement="",
    citation="Sec. 7, Fig. 6",
    lens=True,
    unit="probability",
    needs="any",
)
_LOGIT_LENS = (
    replace(
        _LENS,
        id="lens-lower-rise",
        statement="The lower-case answer becomes probable at the last position.",
    ),
    replace(
        _LENS,
        id="lens-lower-20-70",
        statement="The lower-case answer rises to between 20% and 70%.",
        tier="replicates",
        paper_models=(VICUNA_13B,),
    ),
    replace(
        _LENS,
        id="lens-lower-mid",
        statement="The lower-case answer appears around the middle layers.",
        unit="depth",
    ),
    replace(
        _LENS,
        id="lens-after-integration",
        statement="The answer appears once the image is in the question, while the question is "
        "still being read.",
        citation="Sec. 7 Obs. 1, Figs. 3, 5, 6",
        edges=(RELATED_QUESTION, QUESTION_LAST),
        unit="depth",
        needs="image",
    ),
    replace(
        _LENS,
        id="lens-lower-fall",
        statement="The lower-case answer is gone at the last layer.",
    ),
    replace(
        _LENS,
        id="lens-upper-late",
        statement="The capitalised answer stays low in the first half and wins at the end.",
    ),
    replace(
        _LENS,
        id="lens-order",
        statement="Semantic generation is followed by syntactic refinement.",
        citation="Sec. 7 Obs. 2, Fig. 6",
        unit="depth",
    ),
    replace(
        _LENS,
        id="lens-false",
        statement="The false option never comes near the true one.",
        tasks=CHOOSE_TASKS,
    ),
    replace(
        _LENS,
        id="lens-newline-8b",
        statement="Without the paper's prompt suffix Llama3-LLaVA-NeXT begins with a new line.",
        citation="Sec. 7, Fig. 31",
        tasks=("ChooseAttr",),
        edges=(QUESTION_LAST,),
        lens=False,
        unit="fraction",
        paper_models=(NEXT_LLAMA3_8B,),
    ),
)

_TEXT = Mechanism(
    id="",
    section="1i",
    statement="",
    citation="App. G, Fig. 17",
    edges=(CAPTION_LAST, QUESTION_LAST),
    unit="depth",
    needs="captions",
)
_TEXT_ONLY = (
    replace(
        _TEXT,
        id="uni-q-last-mid",
        statement="With captions for the image, the question is read in the middle layers too.",
    ),
    replace(
        _TEXT,
        id="uni-cap-last-low",
        statement="Captions reach the last position directly, in the lower layers.",
        edges=(CAPTION_LAST,),
    ),
    replace(
        _TEXT,
        id="uni-stages",
        statement="Captions reach the last position before the question does.",
    ),
)

_CONTROL = Mechanism(id="", section="1z", statement="", citation="", tier="control", needs="any")
_CONTROLS = (
    replace(
        _CONTROL,
        id="causal-noop",
        statement="Cutting the question off the image changes nothing: it is masked already.",
        citation="Eqs. 4 and 7",
        edges=("question->image",),
        needs="image",
    ),
    replace(
        _CONTROL,
        id="lens-final-consistency",
        statement="The lens at the last layer is the model's output.",
        citation="Eq. 8",
        lens=True,
        unit="probability",
    ),
    replace(
        _CONTROL,
        id="noise-floor",
        statement="A knockout of no edge changes less than any effect that a verdict rests on.",
        citation="Sec. 4",
        tasks=ALL,
    ),
)

CATALOGUE: tuple[Mechanism, ...] = (
    *_PRECONDITIONS,
    *_EDGES_INTO_LAST,
    *_IMAGE_TO_QUESTION,
    *_RELATED_AND_OTHER,
    *_LOGIT_LENS,
    *_TEXT_ONLY,
    *_CONTROLS,
)
"""In the order of reports."""
