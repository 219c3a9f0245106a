"""What arXiv:2411.18620 looks at: its checkpoints, its sections, and tasks that it tells apart."""

from __future__ import annotations

VICUNA_13B = "llava-1.5-13b"
VICUNA_7B = "llava-1.5-7b"
NEXT_VICUNA_7B = "llava-v1.6-vicuna-7b"
NEXT_LLAMA3_8B = "llama3-llava-next-8b"
PAPER_MODELS = (VICUNA_13B, VICUNA_7B, NEXT_VICUNA_7B, NEXT_LLAMA3_8B)
"""The paper's names of the four checkpoints that its findings are about."""
FURTHER_MODELS = ("llava-v1.6-vicuna-13b", "vicuna-13b-v1.5")
"""Those of its appendices F and G, which it says single things of."""

TWO_DROP_TASKS = ("ChooseAttr", "ChooseCat", "ChooseRel", "QueryAttr")
"""Tasks whose second transfer from the image the paper calls a drop."""
SMALL_DROP_TASKS = ("CompareAttr", "LogicalObj")
"""Tasks for which it only says "smaller decreases"."""

SECTIONS = (
    "Sec. 4, preconditions",
    "App. A, questions",
    "Sec. 5, edges into the last position",
    "Sec. 5, image to question",
    "Sec. 6, related and other patches",
    "Sec. 6, patch by patch",
    "Sec. 7, logit lens",
    "App. B, window size",
    "App. C, the last sub-word",
    "App. D and K, what the question says",
    "App. E, attention sinks",
    "App. F, removal of image tokens",
    "App. G, text only",
    "App. H, other question sets",
    "App. I, other checkpoints",
    "App. J, parts of the question",
    "beyond the paper, edges",
    "beyond the paper, paths",
    "beyond the paper, long answers",
    "beyond the paper, instruments",
    "controls",
)
"""In the order of reports."""
OWN = "own"
"""The section of mechanisms that name none."""


def section_place(section: str) -> tuple[int, str]:
    """What reports sort sections by: the paper's as it has them, then everybody else's by name."""
    known = SECTIONS.index(section) if section in SECTIONS else len(SECTIONS)
    return known, section


def section_title(section: str) -> str:
    return "mechanisms of one's own" if section == OWN else section
