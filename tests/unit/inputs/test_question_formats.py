"""Question files as tables, folders and patterns; what was written is read back the same."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmflow_bench.errors import QuestionError, StoreError
from mmflow_bench.inputs.published import csv_rows
from mmflow_bench.inputs.question_sets import SHIPPED, question_path
from mmflow_bench.inputs.questions import QuestionFile, read_questions
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.inputs.writing import write_published, write_samples

PUBLISHED = Path(__file__).parents[2] / "data" / "gqa_six_tasks.csv"
SAMPLE = Sample(
    question_id="007",
    image_id="0042",
    task="own",
    question="Is the “jar” full,\nor empty?\u2028",
    answer="empty",
    answers=("void",),
    true_option="empty",
    false_option="full",
    object_names=("jar", "lid"),
    boxes=(Box(x=0.1, y=2.0, width=3.0, height=4.5),),
    image_width=375,
    image_height=500,
    caption="a jar.",
)


def parquet(folder: Path, name: str = "questions.parquet", **columns: Any) -> Path:
    pq.write_table(pa.table(columns), folder / name)
    return folder / name


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_samples_that_are_written_are_read_back_the_same(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"questions.{suffix}"
    bare = Sample(question_id="8", image_id="9", task="own", question="?", answer="a")
    write_samples([SAMPLE, bare], path)
    file = read_questions(path)
    assert file.unscored == ()
    assert file.samples == (replace(SAMPLE, question=SAMPLE.question.strip()), bare)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(question=texts, answer=texts, names=st.lists(texts), caption=st.none() | texts)
def test_any_text_survives_json_lines_and_parquet(
    tmp_path_factory: pytest.TempPathFactory,
    question: str,
    answer: str,
    names: list[str],
    caption: str | None,
) -> None:
    sample = Sample(
        question_id="1",
        image_id="2",
        task="own",
        question=question,
        answer=answer,
        object_names=tuple(names),
        caption=caption,
    )
    folder = tmp_path_factory.mktemp("written")
    files: list[QuestionFile] = []
    for suffix in ("jsonl", "parquet"):
        write_samples([sample], folder / f"q.{suffix}")
        files.append(read_questions(folder / f"q.{suffix}"))
    assert files[0].samples == files[1].samples
    for read in files[0].samples:
        assert (read.question, read.answer) == (question.strip(), answer.strip())
        assert read.caption == ((caption or "").strip() or None)
        assert read.object_names == tuple(
            dict.fromkeys(name.strip() for name in names if name.strip())
        )
    assert bool(files[0].samples) == bool(question.strip() and answer.strip())


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_published_rows_that_are_written_are_read_back_the_same(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"questions.{suffix}"
    write_published([row for _, row in csv_rows(PUBLISHED)], path)
    assert read_questions(path).samples == read_questions(PUBLISHED).samples


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_set_without_rows_is_read_as_such(tmp_path: Path, suffix: str) -> None:
    write_published([], tmp_path / f"q.{suffix}")
    file = read_questions(tmp_path / f"q.{suffix}")
    assert (file.samples, file.unscored) == ((), ())


def test_a_file_that_cannot_be_written_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="--output"):
        write_samples([SAMPLE], tmp_path / "file" / "q.jsonl")


def test_published_parquet_with_gaps_as_other_tools_write_it(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        question_id=pa.array([7, 8]),
        img_id=pa.array(["42", "43"]).dictionary_encode(),
        question=["On which side is the jar?", "What do the jar and the lid have in common?"],
        answer=["left", "color"],
        type_structural=["query", "compare"],
        type_semantic=["attr", "attr"],
        **{"central object name": ["jar", None], "object1 name": [None, "jar"]},
        **{f"central object {edge}": pa.array([4, None], pa.int64()) for edge in "xywh"},
        **{f"object1 {edge}": pa.array([float("nan"), 5.5]) for edge in "xywh"},
        image_w=pa.array([100.0, 100.0]),
        image_h=[90, 90],
        embedding=[[1.0], [2.0]],
    )
    file = read_questions(path)
    assert file.unscored == ()
    first, second = file.samples
    assert (first.question_id, first.image_id, first.image_width) == ("7", "42", 100)
    assert first.boxes == (Box(x=4.0, y=4.0, width=4.0, height=4.0),)
    assert second.boxes == (Box(x=5.5, y=5.5, width=5.5, height=5.5),)
    assert second.object_names == ("jar",)


BASE = {
    "question_id": ["1"],
    "img_id": ["2"],
    "question": ["On which side is the jar?"],
    "answer": ["left"],
    "type_structural": ["query"],
    "type_semantic": ["attr"],
}


@pytest.mark.parametrize(
    ("columns", "reason", "text"),
    [
        (BASE, "missing-column", "object1 name"),
        ({"a": [1]}, "missing-column", "question_id"),
        (BASE | {"img_id": [2.0]}, "wrong-type", "img_id"),
        (BASE | {"question": [["a", "list"]]}, "wrong-type", "question"),
        (BASE | {"image_w": [True]}, "wrong-type", "image_w"),
        ({"question_id": [1.5], "image_id": ["2"]}, "wrong-type", "question_id"),
    ],
)
def test_parquet_of_another_schema_says_which_column(
    tmp_path: Path, columns: dict[str, Any], reason: str, text: str
) -> None:
    with pytest.raises(QuestionError, match=text) as caught:
        read_questions(parquet(tmp_path, **columns))
    assert caught.value.reason == reason


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"question_id"])
def test_a_damaged_parquet_file_is_refused_as_a_whole(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "questions.parquet"
    path.write_bytes(content)
    with pytest.raises(QuestionError, match=r"questions\.parquet") as caught:
        read_questions(path)
    assert caught.value.reason == "unreadable-file"


def test_own_fields_of_a_wrong_type_in_parquet_are_counted(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        question_id=["1"],
        image_id=["2"],
        task=["own"],
        question=["?"],
        answer=["a"],
        boxes=["none"],
    )
    assert [row.reason for row in read_questions(path).unscored] == ["malformed-row"]


def test_a_folder_and_a_pattern_are_all_their_files(tmp_path: Path) -> None:
    for name, sample in {"b": SAMPLE, "a": replace(SAMPLE, question_id="006")}.items():
        write_samples([sample], tmp_path / f"{name}.jsonl")
    write_samples([replace(SAMPLE, question_id="005")], tmp_path / "c.parquet")
    (tmp_path / "notes.txt").write_text("no questions")
    whole = read_questions(tmp_path)
    assert [sample.question_id for sample in whole.samples] == ["006", "007", "005"]
    some = read_questions(tmp_path / "*.jsonl")
    assert [sample.question_id for sample in some.samples] == ["006", "007"]
    assert len({whole.fingerprint, some.fingerprint}) == 2


def test_an_id_in_two_files_is_a_duplicate(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_samples([SAMPLE], tmp_path / f"{name}.jsonl")
    file = read_questions(tmp_path)
    assert len(file.samples) == 1
    assert [row.reason for row in file.unscored] == ["duplicate-id"]
    assert "b.jsonl:1" in file.unscored[0].message


@pytest.mark.parametrize("name", [".", "*.csv", "nothing.csv", "gqb"])
def test_a_path_without_question_files_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(QuestionError) as caught:
        question_path(name, tmp_path)
    assert caught.value.reason == "missing-file"


def test_a_file_of_ones_own_wins_over_a_shipped_set(tmp_path: Path) -> None:
    assert question_path("gqa", tmp_path) == SHIPPED["gqa"]
    (tmp_path / "gqa" / "images").mkdir(parents=True)
    assert question_path("gqa", tmp_path) == SHIPPED["gqa"]
    write_samples([SAMPLE], tmp_path / "gqa" / "q.jsonl")
    assert question_path("gqa", tmp_path) == tmp_path / "gqa"


def test_a_json_array_of_rows_is_read_like_lines(tmp_path: Path) -> None:
    row = {"question_id": "1", "image_id": "2", "task": "own", "question": "?", "answer": "a"}
    path = tmp_path / "questions.json"
    path.write_text(json.dumps([row, row | {"question_id": "3"}, 7], indent=1))
    file = read_questions(path)
    assert [sample.question_id for sample in file.samples] == ["1", "3"]
    assert [bad.reason for bad in file.unscored] == ["malformed-row"]
    path.write_text(json.dumps(row, indent=1))
    assert len(read_questions(path).samples) == 1


def test_gqas_own_questions_say_how_a_set_is_made_of_them(tmp_path: Path) -> None:
    path = tmp_path / "val_balanced_questions.json"
    path.write_text(json.dumps({"05451384": {"semantic": [], "question": "?", "imageId": "1"}}))
    with pytest.raises(QuestionError, match="build-set"):
        read_questions(path)


def test_deeply_nested_json_is_one_bad_line(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text("[" * 100_000 + "\n")
    assert [row.reason for row in read_questions(path).unscored] == ["malformed-row"]
