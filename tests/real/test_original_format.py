"""Original and converted checkpoints in their true geometry: the commands give the same numbers."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from original_llava import PAPER_PINPOINTS, save_lora, save_native, save_original
from PIL import Image

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTIONS = Path(__file__).parents[1] / "data" / "gqa_six_tasks.csv"
TASK = "ChooseAttr"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    reason = "scikit-image is missing: pip install -e '.[real]'"
    data = pytest.importorskip("skimage.data", reason=reason)
    folder = tmp_path_factory.mktemp("images")
    with open(QUESTIONS, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            size = int(row["image_w"]), int(row["image_h"])
            Image.fromarray(data.coffee()).resize(size).save(folder / f"{row['img_id']}.jpg")
    return folder


@pytest.fixture(params=["pad", "anyres"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    original = save_original(
        tmp_path / "original",
        aspect_ratio=request.param,
        side=336,
        patch=14,
        pinpoints=PAPER_PINPOINTS,
        weights="sharded-bin",
        # With rows to spare, as Qwen has them, the converted checkpoint has no more words.
        text={"vocab_size": 444, "max_position_embeddings": 4096},
        layers=2,
    )
    save_native(original, tmp_path / "converted")
    save_lora(tmp_path / "lora", original)
    return tmp_path


def rows(command: Run, name: str, model: Path, images: Path, *more: str) -> list[dict[str, str]]:
    """What a command writes of a checkpoint, without its name."""
    suffix = "jsonl" if name == "positions" else "csv"
    output = model.parent / f"{model.name}.{suffix}"
    options = [f"--model={model}", f"--questions={QUESTIONS}", f"--images={images}"]
    options += [f"--tasks={TASK}", "--limit=1", "--input=paper", f"--output={output}", *more]
    done = command("mmflow", name, *options, cache=model.parent / "cache")
    assert done.returncode == 0, done.stderr
    lines = output.read_text().splitlines()
    found = [json.loads(line) for line in lines] if suffix == "jsonl" else csv.DictReader(lines)
    return [{k: v for k, v in row.items() if k != "checkpoint"} for row in found]


def test_positions_and_numbers_are_those_of_the_converted_checkpoint(
    command: Run, folder: Path, images: Path
) -> None:
    names = ("original", "converted")
    original, converted = (rows(command, "positions", folder / name, images) for name in names)
    assert original == converted
    assert original
    sweep = ("--keep-incorrect", "--edges=image->question,question->last")
    ours, theirs = (rows(command, "sweep", folder / name, images, *sweep) for name in names)
    assert len(ours) == len(theirs) > 0
    for first, second in zip(ours, theirs, strict=True):
        for column in ("base_probability", "knockout_probability"):
            assert float(first[column]) == pytest.approx(float(second[column]), rel=1e-5)
        assert first["answer_token_id"] == second["answer_token_id"]


@pytest.mark.parametrize("folder", ["pad"], indirect=True)
def test_a_fine_tune_is_another_model(command: Run, folder: Path, images: Path) -> None:
    base, tuned = (
        rows(command, "lens", folder / name, images, "--keep-incorrect")
        for name in ("original", "lora")
    )
    assert len(base) == len(tuned) > 0
    assert [row["probability"] for row in base] != [row["probability"] for row in tuned]
