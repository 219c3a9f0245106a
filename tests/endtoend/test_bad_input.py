"""Input that cannot be measured: one clear error, or a counted reason; never a wrong number."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mmflow_bench.inputs.samples import Sample
from mmflow_bench.scenes.questions import scene_samples

Lines = list[dict[str, Any]]
RunMMFlow = Callable[..., subprocess.CompletedProcess[str]]


def line_of(sample: Sample, folder: Path) -> dict[str, Any]:
    sample.image.save(folder / f"{sample.image_id}.png")
    return {
        "question_id": sample.question_id,
        "image_id": sample.image_id,
        "task": sample.task,
        "question": sample.question,
        "answer": sample.answer,
        "true_option": sample.true_option,
        "false_option": sample.false_option,
        "object_names": list(sample.object_names),
        "boxes": [[box.x, box.y, box.width, box.height] for box in sample.boxes],
    }


@pytest.fixture
def lines(tmp_path: Path) -> Lines:
    """Four good questions with their images in a folder."""
    return [line_of(sample, tmp_path) for sample in scene_samples(per_task=4, tasks=["ChooseAttr"])]


@pytest.fixture
def mmflow(tmp_path: Path) -> RunMMFlow:
    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mmflow_bench.cli", *arguments],
            env=os.environ | {"MMFLOW_CACHE": str(tmp_path / "cache")} | environment,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )

    return run


def sweep_of(lines: Lines, tmp_path: Path, mmflow: RunMMFlow) -> tuple[set[str], str]:
    """Ids of the questions that were measured, and what was said of the others."""
    questions, output = tmp_path / "questions.jsonl", tmp_path / "table.csv"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = mmflow(
        *("sweep", "--model=planted/mini", f"--questions={questions}", f"--images={tmp_path}"),
        *("--edges=related_patches->question", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    rows = output.read_text().splitlines()
    column = rows[0].replace('"', "").split(",").index("question_id")
    return {row.split(",")[column].strip('"') for row in rows[1:]}, done.stderr


def broken_image(line: dict[str, Any], folder: Path) -> None:
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n but no more")
    line["image_id"] = "broken"


def box_outside(line: dict[str, Any], _folder: Path) -> None:
    line["boxes"] = [[1000.0, 1000.0, 5.0, 5.0]]


def option_not_in_question(line: dict[str, Any], _folder: Path) -> None:
    line["false_option"] = "transparent"


def no_objects(line: dict[str, Any], _folder: Path) -> None:
    line["object_names"], line["boxes"] = [], []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (broken_image, "unreadable-image"),
        (box_outside, "box-outside-image"),
        (option_not_in_question, "option-not-in-question"),
        (no_objects, "missing-object"),
    ],
)
def test_a_bad_sample_is_counted_and_the_others_are_measured(
    damage: Callable[[dict[str, Any], Path], None],
    reason: str,
    lines: Lines,
    tmp_path: Path,
    mmflow: RunMMFlow,
) -> None:
    damage(lines[1], tmp_path)
    measured, said = sweep_of(lines, tmp_path, mmflow)
    assert measured == {line["question_id"] for line in lines} - {lines[1]["question_id"]}
    assert f"{reason} 1" in said
    assert lines[1]["question_id"] in said


def test_a_folder_that_is_no_checkpoint_says_what_it_holds(
    tmp_path: Path, mmflow: RunMMFlow
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("")
    done = mmflow("sweep", "--model=./notes")
    assert done.returncode == 2
    assert "config.json" in done.stderr
    assert "todo.txt" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["sweep", "lens", "measure"])
def test_a_cache_that_cannot_be_written_is_one_clear_error(
    command: str, tmp_path: Path, mmflow: RunMMFlow
) -> None:
    (tmp_path / "file").write_text("")
    done = mmflow(command, "--model=planted/mini", f"--mmflow-cache={tmp_path / 'file' / 'cache'}")
    assert done.returncode == 2
    assert str(tmp_path / "file") in done.stderr
    assert "Traceback" not in done.stderr


def test_a_limit_that_is_none_is_refused_before_anything_is_loaded(mmflow: RunMMFlow) -> None:
    done = mmflow("sweep", "--model=planted/mini", "--limit=abc")
    assert done.returncode == 2
    assert "abc" in done.stderr
