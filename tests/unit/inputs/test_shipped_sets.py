"""The question sets that ship with the package, against the paper and the published files."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mmflow_bench.inputs.gqa import asked
from mmflow_bench.inputs.phrases import phrase_spans
from mmflow_bench.inputs.published import csv_rows, csv_sample, task_of_types
from mmflow_bench.inputs.question_sets import SHIPPED, SHIPPED_COUNTS, question_path
from mmflow_bench.inputs.questions import QuestionFile, read_questions
from mmflow_bench.inputs.samples import CHOOSE_TASKS

DATA = Path(__file__).parents[2] / "data"
REFUSED = {
    # A box that stands more than a pixel out of its image: drawn in another scale (159*), beside it
    # or two or three pixels over the edge.
    "00781144": "box-outside-image",
    "16880898": "box-outside-image",
    "1595102": "box-outside-image",
    "13614763": "box-outside-image",
    "1594913": "box-outside-image",
    "07360036": "box-outside-image",
    "11571132": "box-outside-image",
    # An option that is only part of a word: `phone` in `telephone`, `elephant` in `elephants`.
    "11229089": "option-not-in-question",
    "10749294": "option-not-in-question",
    "03268289": "option-not-in-question",
}


@pytest.fixture(scope="module")
def table() -> list[dict[str, object]]:
    return pq.read_table(SHIPPED["gqa"]).to_pylist()


@pytest.fixture(scope="module")
def questions() -> QuestionFile:
    return read_questions(question_path("gqa", Path()))


def test_the_counts_are_those_of_table_1(table: list[dict[str, object]]) -> None:
    tasks = Counter(
        task_of_types(str(row["type_structural"]), str(row["type_semantic"])) for row in table
    )
    assert tasks == {
        "ChooseAttr": 1000,
        "ChooseCat": 1000,
        "ChooseRel": 964,
        "CompareAttr": 570,
        "LogicalObj": 991,
        "QueryAttr": 1000,
    }
    assert SHIPPED_COUNTS["gqa"] == tasks
    assert len(table) == 5525
    assert len({row["question_id"] for row in table}) == 5525


def test_half_of_the_rows_have_an_image_of_their_own(table: list[dict[str, object]]) -> None:
    uses = Counter(row["img_id"] for row in table)
    assert len(uses) == 3818
    within = Counter((row["img_id"], row["type_semantic"]) for row in table)
    assert max(n for (_, kind), n in within.items() if kind == "rel") == 5
    alone = sum(n for n in uses.values() if n == 1) / len(table)
    assert round(100 * alone, 1) == 47.6


def test_every_column_has_its_type() -> None:
    schema = pq.read_schema(SHIPPED["gqa"])
    kinds = {field.name: str(field.type) for field in schema}
    numbers = {name: kind for name, kind in kinds.items() if kind != "string"}
    prefixes = ("central object", "object1", "object2")
    assert numbers == {"image_w": "int32", "image_h": "int32"} | {
        f"{prefix} {edge}": "double" for prefix in prefixes for edge in "xywh"
    }
    assert {"question_id", "img_id", "captions", "operations"} <= kinds.keys()
    assert SHIPPED["gqa"].stat().st_size < 2_000_000


def test_captions_are_complete(table: list[dict[str, object]]) -> None:
    assert all(str(row["captions"]).count(".") > 1 for row in table)
    assert sum(len(str(row["captions"])) for row in table) == 7_063_189


def test_ten_rows_are_refused_and_counted(questions: QuestionFile) -> None:
    assert {row.question_id: row.reason for row in questions.unscored} == REFUSED
    assert len(questions.samples) == 5515


def test_boxes_lie_within_their_images(questions: QuestionFile) -> None:
    for sample in questions.samples:
        assert sample.image_width is not None
        assert sample.image_height is not None
        for box in sample.boxes:
            assert 0 <= box.x < box.x + box.width <= sample.image_width, sample
            assert 0 <= box.y < box.y + box.height <= sample.image_height, sample


def test_boxes_are_rounded_over_the_edge_by_a_pixel_at_most(
    table: list[dict[str, object]], questions: QuestionFile
) -> None:
    raw = {str(row["question_id"]): row for row in table}
    cut = 0
    for sample in questions.samples:
        row = raw[sample.question_id]
        prefixes = ("central object", "object1", "object2")
        given = [p for p in prefixes if row[f"{p} x"] is not None]
        for prefix, box in zip(given, sample.boxes, strict=True):
            values = [row[f"{prefix} {edge}"] for edge in "xywh"]
            cut += values != [box.x, box.y, box.width, box.height]
            assert [box.x, box.y] == values[:2]
            over = [float(str(values[2])) - box.width, float(str(values[3])) - box.height]
            assert all(0 <= edge <= 1 for edge in over)
    assert cut == 95


def test_most_second_objects_of_logical_questions_have_no_box(questions: QuestionFile) -> None:
    logical = [sample for sample in questions.samples if sample.task == "LogicalObj"]
    assert Counter(len(sample.boxes) for sample in logical) == {1: 910, 2: 81}
    assert {len(sample.object_names) for sample in logical} == {2}


def test_some_questions_about_relations_name_one_object_twice(questions: QuestionFile) -> None:
    relations = [sample for sample in questions.samples if sample.task == "ChooseRel"]
    assert sum(len(sample.object_names) == 1 for sample in relations) == 22


def test_options_are_found_as_words_where_a_search_for_letters_goes_wrong(
    questions: QuestionFile,
) -> None:
    wrong = Counter[str]()
    for sample in questions.samples:
        if sample.task not in CHOOSE_TASKS:
            continue
        for option in (sample.true_option, sample.false_option):
            assert option is not None
            (first, *_) = phrase_spans(sample.question, option)
            assert sample.question[slice(*first)].lower() == option
            assert re.fullmatch(r"\W?", sample.question[max(0, first[0] - 1) : first[0]])
            wrong[sample.task] += sample.question.lower().index(option) != first[0]
    # With the three refused rows these are the rows in which letters hit inside another word.
    assert wrong == {"ChooseCat": 16, "ChooseAttr": 2, "ChooseRel": 0}


def test_the_program_of_a_question_gives_its_objects_and_options(
    table: list[dict[str, object]],
) -> None:
    for row in table:
        task = task_of_types(str(row["type_structural"]), str(row["type_semantic"]))
        found = asked(task, ast.literal_eval(str(row["operations"])), str(row["answer"]))
        prefixes = [p for p in ("central object", "object1", "object2") if row[f"{p} name"]]
        assert found.objects == tuple((row[f"{p} name"], row[f"{p} id"]) for p in prefixes)
        if row["true option"] is not None:
            assert found.options == (row["true option"], row["false option"])


@pytest.mark.parametrize("name", ["gqa_choose_attr.csv", "gqa_six_tasks.csv"])
def test_rows_are_those_of_the_published_files(
    name: str, table: list[dict[str, object]], questions: QuestionFile
) -> None:
    path = DATA / name
    published = {sample.question_id: sample for sample in read_questions(path).samples}
    ours = {
        sample.question_id: sample
        for sample in questions.samples
        if sample.question_id in published
    }
    assert ours == published
    assert len(published) == sum(1 for _ in csv_rows(path))
    first = next(row for _, row in csv_rows(path))
    assert csv_sample(first, path).caption in {row["captions"] for row in table}
