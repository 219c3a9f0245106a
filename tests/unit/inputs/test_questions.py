"""Reading question files, with rows as they were published."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mmflow_bench.errors import QuestionError
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.inputs.samples import Box, Sample, sample_fingerprint

ATTRIBUTE = {
    "question_id": "00171031",
    "img_id": "2390560",
    "question": "Is the jar full or empty?",
    "answer": "empty",
    "true option": "empty",
    "false option": "full",
    "central object name": "jar",
    "central object id": "496168",
    "type_structural": "choose",
    "type_semantic": "attr",
    "captions": "red plaid blanket .\na bread sandwich.",
    "image_w": "375",
    "image_h": "500",
    "central object w": "60",
    "central object h": "105",
    "central object x": "253",
    "central object y": "291",
    "full answer": "The jar is empty.",
}
LOGICAL = {
    "question_id": "12824169",
    "img_id": "2350927",
    "question": "Is there any grass or mud that is not brown?",
    "answer": "no",
    "object1 name": "grass",
    "object1 id": "3899215",
    "object2 name": "mud",
    "object2 id": "-",
    "type_structural": "logical",
    "type_semantic": "obj",
    "captions": "the cloud in the sky .",
    "image_w": "334",
    "image_h": "500",
    "object1 w": "214",
    "object1 h": "147",
    "object1 x": "32",
    "object1 y": "312",
    "object2 w": "-",
    "object2 h": "-",
    "object2 x": "-",
    "object2 y": "-",
}
LINE = {
    "question_id": "1",
    "image_id": "42",
    "task": "ChooseAttr",
    "question": "Is the jar full or empty?",
    "answer": "empty",
    "true_option": "empty",
    "false_option": "full",
    "object_names": ["jar"],
    "boxes": [[253, 291, 60, 105.5]],
    "image_width": 375,
    "image_height": 500,
    "caption": "a jar.",
}
DEFAULT_NAME = "questions.csv"


def write_csv(folder: Path, *rows: Mapping[str, str], name: str = DEFAULT_NAME) -> Path:
    path = folder / name
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_lines(folder: Path, *values: Any) -> Path:
    path = folder / "questions.jsonl"
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("2390560.jpg", "2350927", "42.png"):
        Image.new("RGB", (375, 500)).save(folder / name, format="PNG")
    return folder


def test_a_published_row_becomes_a_sample(tmp_path: Path, images: Path) -> None:
    (sample,) = read_questions(write_csv(tmp_path, ATTRIBUTE), images=images).samples
    assert sample == Sample(
        question_id="00171031",
        image_id="2390560",
        task="ChooseAttr",
        question="Is the jar full or empty?",
        answer="empty",
        true_option="empty",
        false_option="full",
        object_names=("jar",),
        boxes=(Box(x=253.0, y=291.0, width=60.0, height=105.0),),
        image=images / "2390560.jpg",
        image_width=375,
        image_height=500,
        caption="red plaid blanket .\na bread sandwich.",
    )


def test_an_object_without_a_box_keeps_its_name(tmp_path: Path) -> None:
    (sample,) = read_questions(write_csv(tmp_path, LOGICAL)).samples
    assert sample.task == "LogicalObj"
    assert sample.object_names == ("grass", "mud")
    assert sample.boxes == (Box(x=32.0, y=312.0, width=214.0, height=147.0),)


@pytest.mark.parametrize(
    ("types", "task"),
    [
        (("choose", "attr"), "ChooseAttr"),
        (("choose", "cat"), "ChooseCat"),
        (("choose", "rel"), "ChooseRel"),
        (("compare", "attr"), "CompareAttr"),
        (("logical", "obj"), "LogicalObj"),
        (("query", "attr"), "QueryAttr"),
        (("verify", "global"), "verify-global"),
    ],
)
def test_the_task_follows_from_the_types(tmp_path: Path, types: tuple[str, str], task: str) -> None:
    row = ATTRIBUTE | {"type_structural": types[0], "type_semantic": types[1]}
    (sample,) = read_questions(write_csv(tmp_path, row)).samples
    assert sample.task == task


def test_the_task_follows_from_the_file_name_where_there_are_no_types(tmp_path: Path) -> None:
    row = {name: text for name, text in LOGICAL.items() if not name.startswith("type")}
    (sample,) = read_questions(write_csv(tmp_path, row, name="my_LogicalObj.csv")).samples
    assert sample.task == "LogicalObj"


def test_captions_longer_than_the_usual_limit_are_read(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    row = ATTRIBUTE | {"captions": "a cup.\n" * 30_000}
    (sample,) = read_questions(write_csv(tmp_path, row)).samples
    assert sample.caption is not None
    assert sample.caption.count("\n") == 29_999
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"question": " "}, "empty-question"),
        ({"answer": ""}, "missing-answer"),
        ({"question_id": ""}, "missing-id"),
        ({"true option": "-"}, "missing-option"),
        ({"false option": "ful"}, "option-not-in-question"),
        ({"central object name": "-"}, "missing-object"),
        ({"central object w": "-"}, "missing-object"),
        ({"central object w": "wide"}, "malformed-row"),
        ({"central object w": "nan"}, "box-outside-image"),
        ({"central object w": "0"}, "box-outside-image"),
        ({"central object w": "124"}, "box-outside-image"),
        ({"central object x": "-2"}, "box-outside-image"),
        ({"img_id": "43"}, "missing-image"),
        ({"img_id": "x" * 300}, "missing-image"),
        ({"question": "Is the jar\0 full or empty?"}, "malformed-row"),
        ({"img_id": "2390560\0"}, "missing-image"),
    ],
)
def test_a_bad_row_is_counted_with_its_reason_and_spoils_no_other(
    tmp_path: Path, images: Path, changes: dict[str, str], reason: str
) -> None:
    path = write_csv(tmp_path, ATTRIBUTE | changes, ATTRIBUTE | {"question_id": "2"})
    file = read_questions(path, images=images)
    (unscored,) = file.unscored
    assert [sample.question_id for sample in file.samples] == ["2"]
    assert unscored.reason == reason
    assert unscored.question_id in ("00171031", "line 3")
    assert unscored.task == "ChooseAttr"


def test_a_box_one_pixel_over_the_edge_is_cut(tmp_path: Path) -> None:
    over = ATTRIBUTE | {"central object w": "123", "central object y": "-1"}
    (sample,) = read_questions(write_csv(tmp_path, over)).samples
    assert sample.boxes == (Box(x=253.0, y=0.0, width=122.0, height=104.0),)


def test_a_byte_order_mark_is_no_part_of_a_column(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ATTRIBUTE)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    (sample,) = read_questions(path).samples
    assert sample.question_id == ATTRIBUTE["question_id"]


def test_a_header_without_rows_has_no_samples(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ATTRIBUTE)
    path.write_text(path.read_text().splitlines()[0] + "\n")
    assert read_questions(path).samples == ()


def test_a_row_of_another_length_is_counted(tmp_path: Path) -> None:
    path = write_csv(tmp_path, ATTRIBUTE)
    with open(path, "a") as file:
        file.write("2,42\n" + ",".join(["3"] * 60) + "\n")
    read = read_questions(path)
    assert len(read.samples) == 1
    assert [row.reason for row in read.unscored] == ["malformed-row"] * 2


def test_an_id_is_used_once(tmp_path: Path) -> None:
    file = read_questions(write_csv(tmp_path, ATTRIBUTE, ATTRIBUTE))
    assert len(file.samples) == 1
    assert [row.reason for row in file.unscored] == ["duplicate-id"]


def test_a_row_of_captions_alone_needs_no_box(tmp_path: Path) -> None:
    row = ATTRIBUTE | {"central object w": "-"}
    (sample,) = read_questions(write_csv(tmp_path, row)).samples
    assert sample.image is None
    assert sample.boxes == ()


def test_a_file_without_a_needed_column_names_it(tmp_path: Path) -> None:
    row = {name: text for name, text in ATTRIBUTE.items() if name != "false option"}
    with pytest.raises(QuestionError, match="without false option") as caught:
        read_questions(write_csv(tmp_path, row))
    assert caught.value.reason == "missing-column"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("questions.csv", None, "missing-file"),
        ("questions.csv", b"", "missing-column"),
        ("questions.csv", b"\xff\xfe\x00", "unreadable-file"),
        ("questions.csv", "question_id,café\n1,2\n".encode("latin-1"), "unreadable-file"),
        ("questions.csv", "question_id,img_id\n1,2\n".encode("utf-16"), "unreadable-file"),
        ("questions.csv", "question_id,img_id\n1,2\n".encode("utf-16-le"), "unreadable-file"),
        ("questions.csv", b"\0\0\0\0", "unreadable-file"),
        ("questions.csv", b'question_id,img_id\n"1,2\n', "unreadable-file"),
        ("questions.jsonl", b"\xff\xfe\x00", "unreadable-file"),
        ("questions.xlsx", b"", "unknown-format"),
    ],
)
def test_a_file_that_is_unusable_as_a_whole_says_why(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(QuestionError) as caught:
        read_questions(path)
    assert caught.value.reason == reason
    assert name in str(caught.value)


def test_a_json_line_becomes_a_sample(tmp_path: Path, images: Path) -> None:
    (sample,) = read_questions(write_lines(tmp_path, LINE), images=images).samples
    assert sample.boxes == (Box(x=253.0, y=291.0, width=60.0, height=105.5),)
    assert sample.object_names == ("jar",)
    assert (sample.true_option, sample.caption) == ("empty", "a jar.")
    assert sample.image == images / "42.png"


@pytest.mark.parametrize("from_images", [True, False])
def test_an_image_path_is_relative_to_the_images_or_to_the_file(
    tmp_path: Path, images: Path, from_images: bool
) -> None:
    line = LINE | {"image": "42.png" if from_images else "images/42.png"}
    path = write_lines(tmp_path, line)
    (sample,) = read_questions(path, images=images if from_images else None).samples
    assert sample.image == images / "42.png"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ([], "malformed-row"),
        (LINE | {"boxs": []}, "unknown-field"),
        ({"question_id": "1"}, "missing-field"),
        (LINE | {"boxes": [[1, 2, 3]]}, "malformed-row"),
        (LINE | {"boxes": [[1, 2, 3, "4"]]}, "malformed-row"),
        (LINE | {"boxes": 7}, "malformed-row"),
        (LINE | {"object_names": "jar"}, "malformed-row"),
        (LINE | {"image_width": "wide"}, "malformed-row"),
        (LINE | {"answer": 3}, "malformed-row"),
        (LINE | {"boxes": []}, "missing-object"),
        (LINE | {"image": "nowhere.png"}, "missing-image"),
    ],
)
def test_a_bad_line_is_counted_with_its_reason(
    tmp_path: Path, images: Path, line: Any, reason: str
) -> None:
    path = write_lines(tmp_path, line, LINE | {"question_id": "2"})
    file = read_questions(path, images=images)
    assert [row.reason for row in file.unscored] == [reason]
    assert len(file.samples) == 1


def test_a_line_that_is_no_json_is_counted(tmp_path: Path) -> None:
    path = write_lines(tmp_path, LINE)
    path.write_text("{oops\n\n" + path.read_text())
    file = read_questions(path)
    assert [row.reason for row in file.unscored] == ["malformed-row"]
    assert "questions.jsonl:1" in file.unscored[0].message
    assert len(file.samples) == 1


def test_the_file_fingerprint_follows_its_bytes(tmp_path: Path) -> None:
    first = read_questions(write_csv(tmp_path, ATTRIBUTE)).fingerprint
    assert read_questions(write_csv(tmp_path, ATTRIBUTE, name="copy.csv")).fingerprint == first
    assert read_questions(write_csv(tmp_path, LOGICAL)).fingerprint != first


@pytest.mark.parametrize(
    "changes",
    [
        {"question": "Is the jar empty or full?"},
        {"boxes": ()},
        {"object_names": ("lid",)},
        {"caption": "other"},
        {"image": Image.new("RGB", (3, 4))},
        {"image": Image.new("RGB", (4, 3), "red")},
        {"image": None},
    ],
)
def test_the_sample_fingerprint_follows_everything_that_it_says(changes: dict[str, Any]) -> None:
    sample = Sample(
        question_id="1",
        image_id="42",
        task="own",
        question="Is the jar full or empty?",
        answer="empty",
        object_names=("jar",),
        boxes=(Box(x=1.0, y=2.0, width=3.0, height=4.0),),
        image=Image.new("RGB", (4, 3)),
    )
    assert sample_fingerprint(sample) == sample_fingerprint(replace(sample))
    assert sample_fingerprint(sample) != sample_fingerprint(replace(sample, **changes))


def test_the_sample_fingerprint_follows_the_content_of_a_file_and_not_its_place(
    images: Path,
) -> None:
    first, second = images / "42.png", images / "43.png"
    second.write_bytes(first.read_bytes())

    def of(path: Path) -> str:
        return sample_fingerprint(
            Sample(question_id="1", image_id="4", task="own", question="?", answer="a", image=path)
        )

    assert of(first) == of(second)
    Image.new("RGB", (2, 2)).save(second)
    assert of(first) != of(second)
    assert of(images / "none") != of(first)
