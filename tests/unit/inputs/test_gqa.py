"""Rows from GQA's own questions and scene graphs, in exactly GQA's format."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.gqa import Candidates, read_candidates
from mmflow_bench.inputs.image_sources import Folder
from mmflow_bench.inputs.questions import published_samples, read_questions
from mmflow_bench.inputs.samples import Box
from mmflow_bench.inputs.writing import write_published

GRAPHS = {
    "2407890": {
        "width": 640,
        "height": 480,
        "location": "living room",
        "weather": "none",
        "objects": {
            "271881": {
                "name": "chair",
                "h": 180,
                "w": 120,
                "y": 250,
                "x": 30,
                "attributes": ["brown", "wooden"],
                "relations": [{"object": "32452", "name": "on"}],
            },
            "271882": {
                "name": "dog",
                "h": 60,
                "w": 70,
                "y": 400,
                "x": 500,
                "attributes": [],
                "relations": [],
            },
        },
    }
}


def step(operation: str, argument: str, *dependencies: int) -> dict[str, Any]:
    return {"operation": operation, "dependencies": list(dependencies), "argument": argument}


def question(
    text: str, answer: str, types: str, *semantic: dict[str, Any], **changes: Any
) -> dict[str, Any]:
    structural, kind, detailed = types.split()
    return {
        "semantic": list(semantic),
        "entailed": ["05451384"],
        "equivalent": ["05451385"],
        "question": text,
        "imageId": "2407890",
        "isBalanced": True,
        "groups": {"global": "color", "local": "10c-chair_color"},
        "answer": answer,
        "semanticStr": "select: chair (271881)",
        "annotations": {"answer": {}, "question": {"2": "271881"}, "fullAnswer": {"1": "271881"}},
        "types": {"detailed": detailed, "semantic": kind, "structural": structural},
        "fullAnswer": f"It is {answer}.",
    } | changes


CHAIR = step("select", "chair (271881)")
QUESTIONS = {
    "01": question(
        "Is the chair brown or black?",
        "brown",
        "choose attr chooseAttr",
        CHAIR,
        step("choose color", "black|brown", 0),
    ),
    "02": question(
        "What is this, a chair or a table?",
        "chair",
        "choose cat objThisChoose",
        step("select", "this (271881)"),
        step("choose name", "chair|table", 0),
    ),
    "03": question(
        "Is the dog in front of or behind the chair?",
        "front",
        "choose rel relChooser",
        CHAIR,
        step("choose rel", "dog,in front of|behind,s (271882)", 0),
    ),
    "04": question(
        "What do the chair and the dog have in common?",
        "color",
        "compare attr twoCommon",
        CHAIR,
        step("select", "dog (271882) "),
        step("common", "", 0, 1),
    ),
    "05": question(
        "Are there chairs or tents that are brown?",
        "yes",
        "logical obj existThatOr",
        CHAIR,
        step("filter color", "brown", 0),
        step("exist", "?", 1),
        step("select", "tent (-) "),
        step("filter color", "brown", 3),
        step("exist", "?", 4),
        step("or", "", 2, 5),
    ),
    "06": question(
        "On which side of the photo is the chair?",
        "left",
        "query attr positionQuery",
        CHAIR,
        step("query", "hposition", 0),
    ),
}
OTHERS = {
    "11": question("What color is the chair?", "brown", "query attr directOf", CHAIR),
    "12": question("Is the dog the same color?", "no", "compare attr twoSame", CHAIR),
    "13": question("Is it sunny?", "no", "verify global verifyGlobal", step("select", "scene")),
    "14": QUESTIONS["01"] | {"imageId": "1"},
    "15": QUESTIONS["01"] | {"semantic": [CHAIR, step("choose color", "black", 0)]},
    "16": QUESTIONS["01"] | {"answer": "green"},
    "17": QUESTIONS["01"] | {"semantic": None},
    "18": {name: value for name, value in QUESTIONS["01"].items() if name != "question"},
    "19": QUESTIONS["01"] | {"types": {"structural": "choose", "semantic": "attr"}},
    "20": QUESTIONS["01"] | {"types": None},
}


def candidates(folder: Path, questions: dict[str, Any], **options: Any) -> Candidates:
    (folder / "questions.json").write_text(json.dumps(questions))
    (folder / "graphs.json").write_text(json.dumps(GRAPHS))
    return read_candidates(folder / "questions.json", folder / "graphs.json", **options)


def test_one_question_of_each_task_becomes_a_row(tmp_path: Path) -> None:
    found = candidates(tmp_path, QUESTIONS)
    assert not found.left_out
    samples, unscored = published_samples(found.rows, None)
    assert unscored == []
    assert [sample.task for sample in samples] == [
        "ChooseAttr",
        "ChooseCat",
        "ChooseRel",
        "CompareAttr",
        "LogicalObj",
        "QueryAttr",
    ]
    chair = Box(x=30.0, y=250.0, width=120.0, height=180.0)
    dog = Box(x=500.0, y=400.0, width=70.0, height=60.0)
    attribute, category, relation, compare, logical, query = samples
    assert {(s.image_id, s.image_width, s.image_height) for s in samples} == {("2407890", 640, 480)}
    assert (attribute.true_option, attribute.false_option) == ("brown", "black")
    assert (attribute.object_names, attribute.boxes) == (("chair",), (chair,))
    assert (category.true_option, category.false_option) == ("chair", "table")
    assert (category.object_names, category.boxes) == (("this",), (chair,))
    assert (relation.true_option, relation.false_option) == ("front", "behind")
    assert (relation.object_names, relation.boxes) == (("chair", "dog"), (chair, dog))
    assert (compare.object_names, compare.boxes) == (("chair", "dog"), (chair, dog))
    assert (logical.object_names, logical.boxes) == (("chair", "tent"), (chair,))
    assert (query.object_names, query.boxes) == (("chair",), (chair,))
    assert query.answer == "left"
    assert query.true_option is None
    assert all(sample.caption is None for sample in samples)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_rows_make_a_question_file(tmp_path: Path, suffix: str) -> None:
    found = candidates(tmp_path, QUESTIONS)
    path = tmp_path / f"set.{suffix}"
    write_published(found.rows, path)
    assert read_questions(path).samples == tuple(published_samples(found.rows, None)[0])


def test_what_is_left_out_is_counted_by_its_reason(tmp_path: Path) -> None:
    found = candidates(tmp_path, QUESTIONS | OTHERS)
    assert [row["question_id"] for row in found.rows] == list(QUESTIONS)
    assert found.left_out == {
        "QueryAttr": {"other-sub-type": 1},
        "CompareAttr": {"other-sub-type": 1},
        "verify-global": {"other-group": 1},
        "ChooseAttr": {"no-scene-graph": 1, "no-options": 2, "malformed-question": 3},
        "unknown": {"other-group": 1},
    }


def test_whole_groups_are_those_of_table_2(tmp_path: Path) -> None:
    found = candidates(tmp_path, {"11": OTHERS["11"], "13": OTHERS["13"]}, whole_groups=True)
    assert not found.left_out
    (query, world), _ = published_samples(found.rows, None)
    assert (query.task, query.answer) == ("QueryAttr", "brown")
    assert (world.task, world.object_names) == ("verify-global", ())


def test_a_box_outside_the_image_and_a_missing_image_are_counted_later(tmp_path: Path) -> None:
    found = candidates(tmp_path, QUESTIONS)
    wide = [dict(row) | {"image_w": "100"} for row in found.rows]
    assert {bad.reason for bad in published_samples(wide, None)[1]} == {"box-outside-image"}
    _, unscored = published_samples(found.rows, Folder(tmp_path))
    assert [bad.reason for bad in unscored] == ["missing-image"] * 6


@pytest.mark.parametrize("content", ["[]", "{", '{"1": 2}', "\0"])
def test_a_file_in_another_format_is_refused_as_a_whole(tmp_path: Path, content: str) -> None:
    (tmp_path / "questions.json").write_text(content)
    (tmp_path / "graphs.json").write_text(json.dumps(GRAPHS))
    with pytest.raises(QuestionError, match=r"questions\.json") as caught:
        read_candidates(tmp_path / "questions.json", tmp_path / "graphs.json")
    assert caught.value.reason == "unreadable-file"
