"""Rows of the catalogue on the paper's six edges (Sec. 5 and 6)."""

from __future__ import annotations

from dataclasses import replace

from mmflow_bench.mechanisms.mechanism import (
    ALL,
    IMAGE_LAST,
    IMAGE_QUESTION,
    LAST_LAST,
    OTHER_QUESTION,
    QUESTION_LAST,
    RELATED_QUESTION,
    TWO_DROP_TASKS,
    VICUNA_7B,
    VICUNA_13B,
    Mechanism,
)

_LAST = Mechanism(id="", section="1b", statement="", citation="Sec. 5 Exp. 1, Fig. 3")
EDGES_INTO_LAST = (
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
IMAGE_TO_QUESTION = (
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
RELATED_AND_OTHER = (
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
