"""OKVQA and A-OKVQA, in exactly the layout in which they are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from vqa_files import ANNOTATIONS, QUESTIONS, aokvqa, okvqa

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.question_sets import questions_fingerprint
from mmflow_bench.inputs.questions import read_questions


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "coco"
    folder.mkdir()
    for name in ("COCO_val2014_000000297147", "000000461751"):
        Image.new("RGB", (4, 3)).save(folder / f"{name}.jpg")
    return folder


@pytest.mark.parametrize("given", [QUESTIONS, ANNOTATIONS, "."])
def test_okvqa_is_read_from_either_of_its_files_or_their_folder(
    tmp_path: Path, images: Path, given: str
) -> None:
    folder = tmp_path / "okvqa"
    folder.mkdir()
    okvqa(folder, ["race"] * 5 + ["motocross"] * 4 + ["ride"])
    (sample,) = read_questions(folder / given, images=images).samples
    assert sample.task == "OKVQA"
    assert (sample.question_id, sample.image_id) == ("2971475", "297147")
    assert sample.question == "What sport can you use this for?"
    assert sample.answer == "race"
    assert sample.answers == ("motocross",)
    assert sample.image == images / "COCO_val2014_000000297147.jpg"


def test_aokvqa_is_recognised_by_its_content(tmp_path: Path, images: Path) -> None:
    (sample,) = read_questions(aokvqa(tmp_path), images=images).samples
    assert sample.task == "A-OKVQA"
    assert sample.question_id == "22jbM6gDxdaMaunuzgrsBB"
    assert (sample.answer, sample.answers) == ("cigarette", ("cigar",))
    assert sample.image == images / "000000461751.jpg"


def test_an_answer_counts_when_three_of_ten_gave_it(tmp_path: Path, images: Path) -> None:
    path = aokvqa(tmp_path, direct_answers=["a"] * 2 + ["b"] * 3 + ["c"] * 3 + ["d"] * 2)
    (sample,) = read_questions(path, images=images).samples
    assert (sample.answer, sample.answers) == ("b", ("c",))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"direct_answers": []}, "missing-answer"),
        ({"direct_answers": [" "]}, "missing-answer"),
        ({"direct_answers": [3]}, "malformed-row"),
        ({"image_id": None}, "missing-field"),
        ({"image_id": 5}, "missing-image"),
        ({"image_id": "../secret"}, "missing-image"),
        ({"question": ""}, "empty-question"),
    ],
)
def test_a_bad_question_is_counted(
    tmp_path: Path, images: Path, changes: dict[str, Any], reason: str
) -> None:
    (unscored,) = read_questions(aokvqa(tmp_path, **changes), images=images).unscored
    assert unscored.reason == reason
    assert unscored.task == "A-OKVQA"


def test_without_images_the_questions_are_not_asked_blindly(tmp_path: Path) -> None:
    file = read_questions(okvqa(tmp_path, ["race"]))
    assert not file.samples
    assert [row.reason for row in file.unscored] == ["missing-image"]


def test_questions_without_their_annotations_say_what_is_missing(tmp_path: Path) -> None:
    path = okvqa(tmp_path, ["race"])
    (tmp_path / ANNOTATIONS).unlink()
    with pytest.raises(QuestionError, match=ANNOTATIONS) as caught:
        read_questions(path)
    assert caught.value.reason == "missing-file"


def test_annotations_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path = okvqa(tmp_path, ["race"])
    (tmp_path / ANNOTATIONS).write_text("[]")
    with pytest.raises(QuestionError, match=ANNOTATIONS) as caught:
        read_questions(path)
    assert caught.value.reason == "unreadable-file"


def test_both_files_make_the_fingerprint(tmp_path: Path) -> None:
    path = okvqa(tmp_path, ["race"])
    before = questions_fingerprint(path)
    okvqa(tmp_path, ["ride"])
    assert questions_fingerprint(path) != before
