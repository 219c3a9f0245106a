"""What is asked, and of what: rows on questions, samples and the build of a checkpoint."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from mmflow_bench.inputs.question_sets import GQA, SHIPPED, SHIPPED_COUNTS
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.inputs.samples import SIX_TASKS
from mmflow_bench.mechanisms.data import data
from mmflow_bench.mechanisms.flow import Flow
from mmflow_bench.mechanisms.paper import (
    NEXT_LLAMA3_8B,
    NEXT_VICUNA_7B,
    VICUNA_7B,
    VICUNA_13B,
)
from mmflow_bench.scenes.questions import scene_samples


@cache
def published():
    file = read_questions(SHIPPED[GQA])
    every = (*file.samples, *file.unscored)
    return {task: tuple(one for one in every if one.task == task) for task in SIX_TASKS}


@cache
def scenes():
    samples = scene_samples(per_task=4)
    return {task: tuple(one for one in samples if one.task == task) for task in SIX_TASKS}


def asking(measurements, questions):
    measurements.asked = questions
    return measurements


@pytest.mark.parametrize("task", SIX_TASKS)
def test_the_published_sets_have_as_many_questions_as_the_paper_says(measured, verdict, task):
    assert len(published()[task]) == SHIPPED_COUNTS[GQA][task]
    assert verdict("ds-counts", asking(measured(), published()), task) == "holds"
    lacking = published() | {task: published()[task][:-1]}
    assert verdict("ds-counts", asking(measured(), lacking), task) == "fails"
    assert verdict("ds-counts", asking(measured(), scenes()), task) == "not-applicable"


def test_half_of_the_published_questions_have_an_own_image(measured, verdict):
    flow = Flow(asking(measured(), published()))
    assert data(flow, *SIX_TASKS).with_an_own_image.value == pytest.approx(0.476, abs=0.0005)
    assert verdict("ds-unique-images", asking(measured(), published())) == "holds"
    one_image = {
        task: tuple(replace(one, image_id="1") for one in asked)
        for task, asked in published().items()
    }
    assert verdict("ds-unique-images", asking(measured(), one_image)) == "fails"


def test_questions_are_the_papers_where_most_of_them_are(measured):
    (one, other, *_), (own, *_) = published()["ChooseAttr"], scenes()["ChooseAttr"]
    for asked, expected in (((one, other, own), True), ((one, own), False)):
        flow = Flow(asking(measured(), {"ChooseAttr": asked}))
        assert data(flow, "ChooseAttr").is_published is expected


@pytest.mark.parametrize(("accuracy", "expected"), [(1.0, "holds"), (0.7, "fails")])
def test_groups_of_unselected_questions_are_answered(measured, verdict, accuracy, expected):
    measurements = asking(measured(paper_model=VICUNA_13B), scenes())
    measurements.accuracy_of_all = accuracy
    assert verdict("ds-select-80", measurements, "ChooseAttr") == expected
    of_published = asking(measurements, published())
    assert verdict("ds-select-80", of_published, "ChooseAttr") == "not-applicable"


def test_what_another_checkpoint_was_selected_by_is_an_observation(measured, verdict):
    assert verdict("ds-source-model", asking(measured(), published())) == "report"
    assert verdict("ds-source-model", asking(measured(), scenes())) == "not-applicable"


LLAVA = {"heads": 40, "key_value_heads": 40}
GROUPED = {"heads": 32, "key_value_heads": 8}
TILED = {"image_positions": np.full(200, 2340)}


@pytest.mark.parametrize(
    ("paper_model", "layers", "built", "expected"),
    [
        (VICUNA_13B, 40, LLAVA, "holds"),
        (VICUNA_7B, 32, LLAVA, "holds"),
        (NEXT_VICUNA_7B, 32, LLAVA | TILED, "holds"),
        (NEXT_LLAMA3_8B, 32, GROUPED | TILED, "holds"),
        (VICUNA_13B, 32, LLAVA, "fails"),
        (VICUNA_13B, 40, GROUPED, "fails"),
        (VICUNA_13B, 40, LLAVA | TILED, "fails"),
        (VICUNA_13B, 40, LLAVA | {"tower_pixels": 224}, "fails"),
        (NEXT_LLAMA3_8B, 32, LLAVA | TILED, "fails"),
        (NEXT_VICUNA_7B, 32, LLAVA, "fails"),
        (None, 40, LLAVA, "not-applicable"),
        (VICUNA_13B, 40, LLAVA | {"is_written": True}, "not-applicable"),
    ],
)
def test_a_checkpoint_is_built_as_the_papers_or_not(
    measured, verdict, paper_model, layers, built, expected
):
    measurements = measured(paper_model=paper_model)
    measurements.built = built | {"layers": layers}
    assert verdict("arch-manifest", measurements) == expected


@pytest.mark.parametrize(("wrong", "expected"), [(0, "holds"), (1, "fails")])
def test_a_wrong_answer_that_is_followed_fails(measured, verdict, wrong, expected):
    measurements = measured()
    measurements.built = {"is_correct": np.arange(200) >= wrong}
    assert verdict("correct-only", measurements, "ChooseAttr") == expected


@pytest.mark.parametrize(
    ("task", "end"), [("ChooseAttr", 0.983), ("ChooseCat", 0.997), ("ChooseRel", 0.0)]
)
def test_options_stand_where_the_paper_says(measured, verdict, task, end):
    measurements = asking(measured(), published())
    asked = data(Flow(measurements), task)
    assert asked.that_end_in_an_option.value == pytest.approx(end, abs=0.002)
    for name in ("opt-in-question", "opt-position"):
        assert verdict(name, measurements, task) == "holds"
    elsewhere = "Is it so?" if task != "ChooseRel" else "Is it {}?"
    moved = tuple(
        replace(one, question=elsewhere.format(one.true_option)) for one in published()[task][:500]
    )
    assert verdict("opt-in-question", asking(measured(), {task: moved}), task) == "fails"
    assert verdict("opt-position", asking(measured(), {task: moved}), task) == "fails"


def test_questions_that_were_refused_since_they_name_no_option_count(measured):
    asked = data(Flow(asking(measured(), published())), "ChooseCat")
    assert asked.that_name_their_options.value == pytest.approx(1 - 3 / 997)


def test_questions_without_options_have_none_to_stand_anywhere(measured, verdict):
    asked = {"ChooseAttr": published()["QueryAttr"]}
    assert verdict("opt-position", asking(measured(), asked), "ChooseAttr") == "not-applicable"


@pytest.mark.parametrize(("task", "name"), [("OKVQA", "okvqa"), ("A-OKVQA", "aokvqa")])
def test_rows_on_other_question_sets_do_not_apply_without_them(measured, verdict, task, name):
    assert verdict(f"{name}-two-drops", measured(), task) == "not-applicable"
