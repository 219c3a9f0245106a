"""`mmflow positions` under the paper's input: a LLaVA-NeXT folder with Vicuna's vocabulary."""

from __future__ import annotations

import csv
import json
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tokenizers import AddedToken
from transformers import LlavaNextProcessor, PreTrainedTokenizerFast

from mmflow_bench.checkpoints.loading import LoadedCheckpoint

pytestmark = pytest.mark.real

QUESTIONS = Path(__file__).parents[1] / "data" / "gqa_six_tasks.csv"
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
IMAGE = 32000
TILINGS = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def image_tokens(width: int, height: int) -> int:
    """Of the original program: base grid, then rows of the tiles with a newline each."""

    def worth(tiling: tuple[int, int]) -> tuple[int, int]:
        scale = min(tiling[0] / width, tiling[1] / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        return kept, kept - tiling[0] * tiling[1]

    columns, rows = (side // 14 for side in max(TILINGS, key=worth))
    if width / height > columns / rows:
        rows -= (rows - int(height * columns / width)) // 2 * 2
    else:
        columns -= (columns - int(width * rows / height)) // 2 * 2
    return 576 + rows * (columns + 1)


@pytest.fixture(scope="module")
def rows() -> list[dict[str, str]]:
    with open(QUESTIONS, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def lines(
    rows: list[dict[str, str]],
    command: Run,
    random_llava: Callable[..., LoadedCheckpoint],
    llama_2_tokenizer: PreTrainedTokenizerFast,
    tmp_path_factory: pytest.TempPathFactory,
) -> list[dict[str, Any]]:
    folder = tmp_path_factory.mktemp("published")
    checkpoint = random_llava(llama_2_tokenizer, "vicuna_v1", tiled=True)
    # As on the disk: pinpoints in the order of the original file.
    own = checkpoint.processor.image_processor
    checkpoint.model.config.image_grid_pinpoints = own.image_grid_pinpoints
    checkpoint.model.save_pretrained(folder / "model")
    tokenizer = deepcopy(llama_2_tokenizer)
    tokenizer.add_tokens([AddedToken("<image>", special=True, normalized=False)])
    processor = LlavaNextProcessor(
        image_processor=own,
        tokenizer=tokenizer,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    processor.save_pretrained(folder / "model")
    (folder / "images").mkdir()
    for row in rows:
        size = int(row["image_w"]), int(row["image_h"])
        Image.new("RGB", size, "gray").save(folder / "images" / f"{row['img_id']}.jpg")
    done = command(
        *("mmflow", "positions", f"--model={folder / 'model'}", "--input=paper"),
        *("--model-args=conversation=vicuna_v1", f"--questions={QUESTIONS}"),
        *(f"--images={folder / 'images'}", f"--output={folder / 'positions.jsonl'}"),
        cache=folder / "cache",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = (folder / "positions.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_prompts_ids_and_image_positions_are_the_published_ones(
    rows: list[dict[str, str]], lines: list[dict[str, Any]]
) -> None:
    by_id = {line["question_id"]: line for line in lines}
    assert set(by_id) == {row["question_id"] for row in rows}
    for row in rows:
        line = by_id[row["question_id"]]
        assert line["prompt"] == (
            f"{SYSTEM} USER: <image>\n{row['question']} \n"
            "Answer the question using a single word or phrase. ASSISTANT:"
        )
        ids, image = line["input_ids"], line["roles"]["image"]
        assert len(ids) == line["sequence_length"]
        assert len(image) == image_tokens(int(row["image_w"]), int(row["image_h"]))
        assert image == [position for position, token in enumerate(ids) if token == IMAGE]
        assert ids[:3] == [1, 319, 13563]
        assert ids[image[-1] + 1 : image[-1] + 3] == [29871, 13]
        assert line["roles"]["last"] == [len(ids) - 1]
        assert ids[-1] == 29901


def test_roles_share_out_the_sequence(
    lines: list[dict[str, Any]], llama_2_tokenizer: PreTrainedTokenizerFast
) -> None:
    for line in lines:
        roles, ids = line["roles"], line["input_ids"]
        whole = ("prefix", "image", "question", "suffix", "last")
        everywhere = sorted(position for name in whole for position in roles[name])
        assert everywhere == list(range(len(ids)))
        parts = ("related_patches", "other_patches", "newline")
        assert sorted(position for name in parts for position in roles[name]) == roles["image"]
        asked = llama_2_tokenizer.decode([ids[position] for position in roles["question"]])
        assert asked.strip() in line["prompt"]
        assert asked.strip().endswith("?")
