"""Every mechanism that the suites decide, as data: what is claimed, where, and what it needs.

The claims are those of arXiv:2411.18620; how each is decided is in `suites/`. Nothing here imports
numpy, so that listing the catalogue is instant.
"""

from __future__ import annotations

from dataclasses import replace

from mmflow_bench.inputs.samples import CHOOSE_TASKS
from mmflow_bench.mechanisms.catalogue_knockouts import (
    EDGES_INTO_LAST,
    IMAGE_TO_QUESTION,
    RELATED_AND_OTHER,
)
from mmflow_bench.mechanisms.mechanism import (
    ALL,
    CAPTION_LAST,
    NEXT_LLAMA3_8B,
    QUESTION_LAST,
    RELATED_QUESTION,
    VICUNA_13B,
    Mechanism,
)

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
    *EDGES_INTO_LAST,
    *IMAGE_TO_QUESTION,
    *RELATED_AND_OTHER,
    *_LOGIT_LENS,
    *_TEXT_ONLY,
    *_CONTROLS,
)
"""In the order of reports."""
