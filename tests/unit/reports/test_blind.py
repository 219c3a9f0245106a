"""What reports say of questions that need no image."""

from __future__ import annotations

import pytest

from mmflow_bench.reports.blind import blind_cells, blind_lines, blind_note
from mmflow_bench.reports.github import markdown
from mmflow_bench.reports.summary import Summary


def count(removed, exchanged=None, *, saturation=-0.12, correct=19):
    blind = {
        "accuracy_removed": removed,
        "accuracy_exchanged": exchanged,
        "probability_removed": None if saturation is None else 0.8,
        "saturation": saturation,
        "n": 20,
    }
    return {"selected": 21, "correct": correct, "unscored": {"no-image": 1}, "blind": blind}


LINE = (
    "CompareAttr can be answered without its image (90% right without it, 95% with it), "
    "drops saturate near -12%"
)


def test_a_task_is_named_where_either_accuracy_hardly_falls():
    tasks = {
        "CompareAttr": count(0.9, 0.1),
        "LogicalObj": count(0.1, 0.8, saturation=None),
        "ChooseAttr": count(0.7, 0.7),
        "QueryAttr": count(0.0) | {"blind": None},
    }
    assert blind_lines(tasks) == [
        LINE,
        "LogicalObj can be answered without its image (80% right without it, 95% with it)",
    ]


def test_beside_a_curve_stands_where_its_drops_saturate():
    assert blind_note(count(0.25)) == (
        "25% right without the image (probability 80%), drops saturate near -12%"
    )
    assert blind_note(count(0.25, saturation=None)) == "25% right without the image"
    assert blind_note({"selected": 1}) == ""
    assert blind_cells(count(0.25, 0.5)) == ("25%", "50%", "80%", "-12%")
    assert blind_cells({}) == ("", "", "", "")


@pytest.mark.parametrize(("tasks", "is_said"), [({"CompareAttr": count(0.9)}, True), ({}, False)])
def test_markdown_has_the_line_in_the_open_and_the_numbers_folded(tasks, is_said):
    text = markdown(Summary(name="m", tasks=tasks))
    assert ("Answers without the image" in text) == is_said
    assert ("CompareAttr can be answered" in text.partition("<details>")[0]) == is_said
