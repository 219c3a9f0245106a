"""Input that cannot be measured: one clear error, or a counted reason; never a wrong number."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from forked import run_module
from PIL import Image

from mmflow_bench.cli.main import main
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.planted.models import save
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
def mmflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunMMFlow:
    """The command in the folder of the test, in this process: each start costs five seconds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = CliRunner().invoke(main, arguments)
        # What a process would end with a traceback on.
        if not isinstance(done.exception, SystemExit | None):
            raise done.exception
        return subprocess.CompletedProcess(arguments, done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def mmflow_process(tmp_path: Path) -> RunMMFlow:
    """The same in a process of its own, as a user starts it."""

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"MMFLOW_CACHE": str(tmp_path / "cache")}
        return run_module("mmflow_bench.cli", arguments, cwd=tmp_path, env=environment)

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


def image_bytes(name: str, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    """A rendered image in another encoding."""
    content = io.BytesIO()
    with Image.open(name) as image:
        image.convert("RGB").convert(mode).save(content, format=kind, **options)
    return content.getvalue()


@pytest.mark.slow
def test_images_of_every_kind_in_a_zip_file_are_measured_or_counted(
    tmp_path: Path, mmflow_process: RunMMFlow
) -> None:
    lines = [line_of(s, tmp_path) for s in scene_samples(per_task=12, tasks=["ChooseAttr"])]
    kinds: dict[str, Callable[[str], bytes]] = {
        "palette.png": lambda name: image_bytes(name, "PNG", "P", transparency=0),
        "printing.tif": lambda name: image_bytes(name, "TIFF", "CMYK"),
        "grey.png": lambda name: image_bytes(name, "PNG", "I;16"),
        "wrong.jpg": lambda name: image_bytes(name, "PNG"),
        "animated.gif": lambda name: image_bytes(
            name, "GIF", save_all=True, append_images=[Image.new("RGB", (84, 84))]
        ),
        "truncated.jpg": lambda name: image_bytes(name, "JPEG")[:300],
        "empty.png": lambda _: b"",
        "text.jpg": lambda _: b"no image",
        "bomb.png": lambda name: _claiming(image_bytes(name, "PNG"), side=60_000),
    }
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as file:
        for line, (kind, encoded) in zip(lines, kinds.items(), strict=False):
            image = str(tmp_path / f"{line['image_id']}.png")
            line["image_id"] = kind
            file.writestr(f"deep/down/{kind}", encoded(image))
    # What is left has no image in the archive at all.
    questions, output = tmp_path / "questions.jsonl", tmp_path / "table.csv"
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    done = mmflow_process(
        *("sweep", "--model=planted/mini", f"--questions={questions}", "--keep-incorrect"),
        *(f"--images={tmp_path / 'images.zip'}", "--edges=question->last", f"--output={output}"),
    )
    assert done.returncode == 0, done.stderr
    with open(output, newline="") as file:
        measured = {row["image_id"] for row in csv.DictReader(file)}
    assert measured == {"palette.png", "printing.tif", "grey.png", "wrong.jpg", "animated.gif"}
    assert "missing-image 3, unreadable-image 3" in done.stderr
    assert "image-too-large 1" in done.stderr
    assert "Traceback" not in done.stderr


def _claiming(png: bytes, *, side: int) -> bytes:
    """A PNG whose header says that it is `side` pixels wide and high."""
    header = png[12:16] + side.to_bytes(4, "big") * 2 + png[24:29]
    return png[:12] + header + zlib.crc32(header).to_bytes(4, "big") + png[33:]


def test_many_samples_without_images_are_told_in_a_few_lines(
    lines: Lines, tmp_path: Path, mmflow: RunMMFlow
) -> None:
    bad = [lines[0] | {"question_id": f"bad-{i}", "image_id": f"lost-{i}"} for i in range(9)]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("".join(json.dumps(line) + "\n" for line in [*bad, *lines]))
    done = mmflow(
        *("positions", "--model=planted/mini", f"--questions={questions}", f"--images={tmp_path}")
    )
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 4
    told = done.stderr.splitlines()
    assert [line.split(":")[0] for line in told] == [*["unscored (missing-image)"] * 3, "unscored"]
    assert told[-1] == "unscored: missing-image 9"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--questions=empty.csv", "empty.csv"),
        ("--questions=zero.parquet", "zero.parquet"),
        ("--questions=latin.csv", "UTF-8"),
        ("--questions=folder", "question files"),
        ("--questions=notes.txt", "notes.txt"),
        ("--questions=*.xlsx", "pattern"),
        ("--questions=nowhere.csv", "nowhere.csv"),
        (f"--questions={'long' * 100}.csv", "long.csv"),
        (f"--images={'long' * 100}", "not there"),
        ("--images=notes.txt", "zip file"),
        ("--images=nowhere", "nowhere"),
        ("--images=hub:", "hub:OWNER/NAME"),
    ],
)
def test_questions_and_images_that_are_none_are_one_clear_error(
    option: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))
    (tmp_path / "folder").mkdir()
    for name, content in {
        "empty.csv": b"",
        "zero.parquet": b"",
        "latin.csv": "question_id,café\n".encode("latin-1"),
        "notes.txt": b"notes",
    }.items():
        (tmp_path / name).write_bytes(content)
    done = CliRunner().invoke(main, ["sweep", "--model=planted/mini", option])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert isinstance(done.exception, SystemExit)


def _other_size(folder: Path) -> None:
    path = folder / "processor_config.json"
    config = json.loads(path.read_text())
    other = {"size": {"shortest_edge": 70}, "crop_size": {"height": 70, "width": 70}}
    path.write_text(json.dumps(config | {"image_processor": config["image_processor"] | other}))


def _other_vocabulary(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["model"]["vocab"]["color"] = 5000
    path.write_text(json.dumps(tokenizer))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_other_size, "images of 84 x 84, as the vision tower takes them, got 70 x 70"),
        (_other_vocabulary, "the size of the model's vocabulary, got 5000 ('color'"),
    ],
)
def test_a_processor_that_does_not_fit_the_weights_is_one_clear_error(
    change: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save("planted/mini", tmp_path / "mixed")
    change(tmp_path / "mixed")
    arguments = [f"--model={tmp_path / 'mixed'}", "--limit=1", "--tasks=ChooseAttr"]
    monkeypatch.setenv("MMFLOW_CACHE", str(tmp_path / "cache"))
    done = CliRunner().invoke(main, ["sweep", *arguments])
    assert done.exit_code == 2, done.output
    assert said in done.output
    assert isinstance(done.exception, SystemExit)


def test_a_folder_that_is_no_checkpoint_says_what_it_holds(
    tmp_path: Path, mmflow_process: RunMMFlow
) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("")
    done = mmflow_process("sweep", "--model=./notes")
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


def test_a_store_is_not_emptied_by_a_command_that_may_not_fill_it(
    mmflow: RunMMFlow, tmp_path: Path
) -> None:
    asked = ("sweep", "--model=planted/mini", "--tasks=ChooseAttr", "--limit=1", "--no-self-test")
    kept = f"--mmflow-cache={tmp_path / 'store'}"
    measured = mmflow(*asked, kept)
    assert measured.returncode == 0
    refused = mmflow(*asked, kept, "--from-cache", "--refresh")
    assert refused.returncode == 2
    assert "--from-cache reads the store and --refresh empties it" in refused.stderr
    assert mmflow(*asked, kept, "--from-cache").stdout == measured.stdout


NOTHING = {
    "sweep --tasks=ChoseAttr": "got 'ChoseAttr' (--tasks); did you mean ChooseAttr?",
    "sweep --tasks=Chose*": "a task of the questions (ChooseAttr, ",
    "sweep --tasks=[": "got '[' (--tasks); check the names, or --questions",
    "sweep --tasks=Choose*,Nothing": "got 'Nothing' (--tasks)",
    "sweep --tasks=": "--tasks takes names or patterns, commas between them, got ''",
    "lens --images=empty": "which is empty",
    "sweep --device=gpu": "did you mean cuda?",
    "sweep --window=99 --limit=1": "a window of at most 12 layers",
    "sweep --model-args=revision=main": "leave out revision",
    "sweep --tasks=,": "--tasks takes names or patterns, commas between them, got ','",
    "lens --tasks=Chose*": "got 'Chose*' (--tasks)",
    "positions --tasks=chooseattr": "did you mean ChooseAttr?",
    "measure --tasks=Chose*": "got 'Chose*' (--tasks)",
    "measure --mechanisms=q-lsat": "a mechanism of the suites, got 'q-lsat' (--mechanisms)",
    "measure --mechanisms=q-last-*,typo": "got 'typo' (--mechanisms); `mmflow ls mechanisms`",
    "measure folder": "files with tests of `flow`, got none in folder",
    "sweep --edges=": "--edges takes edges such as image->question, commas between them, got ''",
    "sweep --edges=,": "commas between them, got ','",
    "sweep --edges=imag->last": "got 'imag' (edge 'imag->last'); did you mean `image`?",
    "sweep --limit=500-600": "got one that begins at 500 (--limit); the largest task has ",
    "lens --limit=500-600": "a limit that leaves an image of some task",
    "lens --questions=one.jsonl --images=folder": "got none of 1 rows (missing-image 1): the image",
    "positions --questions=none.jsonl": "questions that can be used, got no row at all",
    "lens --questions=broken.jsonl": "got none of 1 rows (malformed-row 1): one JSON object",
}


@pytest.mark.parametrize("command", NOTHING)
def test_what_matches_nothing_is_refused_and_not_everything_measured(
    command: str, tmp_path: Path, mmflow: RunMMFlow
) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "none.jsonl").write_text("")
    row = {"question_id": "1", "image_id": "1", "task": "mine", "question": "?", "answer": "a"}
    (tmp_path / "one.jsonl").write_text(json.dumps(row))
    (tmp_path / "broken.jsonl").write_text('{"question_id": "1", "image_id"\n')
    name, *arguments = command.split()
    done = mmflow(name, "--model=planted/mini", *arguments)
    assert done.returncode == 2
    assert NOTHING[command] in done.stderr
    assert done.stdout == ""


def test_an_empty_name_of_a_checkpoint_is_not_the_one_that_ships(mmflow: RunMMFlow) -> None:
    done = mmflow("sweep", "--model=", "--limit=1")
    assert done.returncode == 2
    assert "a folder or a hub id, got ''" in done.stderr


def test_patterns_mean_the_same_in_a_command_as_in_a_run(mmflow: RunMMFlow) -> None:
    done = mmflow("positions", "--model=planted/mini", "--limit=1", "--tasks=Ch*Attr,Qu?ryAttr")
    assert done.returncode == 0
    tasks = {json.loads(line)["task"] for line in done.stdout.splitlines()}
    assert tasks == {"ChooseAttr", "QueryAttr"}
