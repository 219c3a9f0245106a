"""LLaVA-1.5 in its true geometry: 336-pixel photos, 576 image positions, rows of the paper's files.

Weights are random and narrow, so that it runs in seconds; processor, template, positions, commands
and refusals are what a user's checkpoint meets. Nothing random answers a question, so no claim
about the flow may come out.
"""

from __future__ import annotations

import csv
import json
import math
import subprocess
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

from mmflow_bench.inputs.samples import SIX_TASKS

pytestmark = [pytest.mark.real, pytest.mark.slow]

QUESTIONS = Path(__file__).parents[1] / "data" / "gqa_six_tasks.csv"
SIDE, PATCH, LAYERS = 336, 14, 4
GRID = SIDE // PATCH
SPECIAL = ["<unk>", "<s>", "</s>", "<image>"]
PHOTOS = ("astronaut", "chelsea", "coffee", "rocket")
EDGES = (
    "question->last",
    "image->last",
    "last->last",
    "image->question",
    "related_patches->question",
    "other_patches->question",
)
COLUMNS = [
    "checkpoint",
    "task",
    "question_id",
    "image_id",
    "edge",
    "method",
    "window",
    "layer",
    "answer_token_id",
    "base_probability",
    "knockout_probability",
    "relative_change",
]
CONTROLS = {"acc-95", "causal-noop", "lens-final-consistency", "noise-floor"}
LLAVA_TEMPLATE = (
    "{% for message in messages %}{{ message['role'].upper() + ': ' }}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'image') %}"
    "{{ '<image>\n' }}{% endfor %}"
    "{% for part in message['content'] | selectattr('type', 'equalto', 'text') %}"
    "{{ part['text'] + ' ' }}{% endfor %}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'ASSISTANT:' }}{% endif %}"
)
"""That of llava-1.5-7b-hf, for a conversation of one message."""

Run = Callable[..., "subprocess.CompletedProcess[str]"]
Row = dict[str, str]


@dataclass(frozen=True)
class Case:
    model: Path
    images: Path
    cache: Path

    @property
    def options(self) -> list[str]:
        return [f"--model={self.model}", f"--questions={QUESTIONS}", f"--images={self.images}"]


def published_rows() -> list[Row]:
    with open(QUESTIONS, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def tokenizer(texts: list[str]) -> PreTrainedTokenizerFast:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        texts, BpeTrainer(vocab_size=800, initial_alphabet=alphabet, special_tokens=SPECIAL)
    )
    trained.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    trained.post_processor = TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", trained.token_to_id("<s>"))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=trained,
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )


def save_checkpoint(folder: Path, words: PreTrainedTokenizerFast) -> None:
    vision = CLIPVisionConfig(
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=SIDE,
        patch_size=PATCH,
    )
    text = LlamaConfig(
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=LAYERS,
        num_attention_heads=4,
        vocab_size=len(words),
    )
    image_token_id = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_id=image_token_id)
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor = LlavaProcessor(
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE}
        ),
        tokenizer=words,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=LLAVA_TEMPLATE,
    )
    processor.save_pretrained(folder)


def save_photos(folder: Path, rows: list[Row]) -> None:
    """Photos of the size that the boxes of each row were drawn on."""
    reason = "scikit-image is missing: pip install -e '.[real]'"
    data = pytest.importorskip("skimage.data", reason=reason)
    folder.mkdir()
    for index, row in enumerate(rows):
        photo = Image.fromarray(getattr(data, PHOTOS[index % len(PHOTOS)])())
        size = int(row["image_w"]), int(row["image_h"])
        photo.resize(size).save(folder / f"{row['img_id']}.jpg")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("geometry")
    rows = published_rows()
    save_photos(folder / "images", rows)
    texts = [row[column] for row in rows for column in ("question", "answer", "captions")]
    save_checkpoint(folder / "llava-random", tokenizer(texts))
    return Case(model=folder / "llava-random", images=folder / "images", cache=folder / "cache")


@pytest.fixture(scope="module")
def positions(
    case: Case, command: Run, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict]:
    output = tmp_path_factory.mktemp("positions") / "positions.jsonl"
    done = command("mmflow", "positions", *case.options, f"--output={output}", cache=case.cache)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    return {line["question_id"]: line["roles"] for line in lines}


def expected_patches(row: Row) -> set[int]:
    """Patches under the boxes of a row, from the definition of CLIP's resize and centre crop."""
    width, height = int(row["image_w"]), int(row["image_h"])
    scale = SIDE / min(width, height)
    left, top = (width * scale - SIDE) / 2, (height * scale - SIDE) / 2
    patches = set()
    for name in ("central object", "object1", "object2"):
        edges = [row[f"{name} {edge}"] for edge in "xywh"]
        if "-" in edges:
            continue
        x, y, across, down = (float(edge) * scale for edge in edges)
        columns = _overlapped(x - left, x - left + across)
        lines = _overlapped(y - top, y - top + down)
        patches |= {GRID * line + column for line in lines for column in columns}
    return patches


def _overlapped(start: float, end: float) -> range:
    return range(max(0, math.floor(start / PATCH)), min(GRID, math.ceil(end / PATCH)))


def test_an_image_is_576_positions_and_boxes_cut_them_in_two(positions: dict[str, dict]) -> None:
    rows = published_rows()
    assert set(positions) == {row["question_id"] for row in rows}
    for roles in positions.values():
        image = roles["image"]
        assert len(image) == GRID * GRID == 576
        assert image == list(range(image[0], image[0] + len(image)))
        related, other = set(roles["related_patches"]), set(roles["other_patches"])
        assert related
        assert other
        assert not related & other
        assert related | other == set(image)
        assert image[-1] < min(roles["question"]) < max(roles["question"]) < roles["last"][0]


def test_related_patches_are_those_under_the_boxes(positions: dict[str, dict]) -> None:
    # Of this size both sides come out whole after resizing, so that no rounding is in between.
    rows = [row for row in published_rows() if (row["image_w"], row["image_h"]) == ("500", "375")]
    assert len(rows) == len(SIX_TASKS)
    for row in rows:
        roles = positions[row["question_id"]]
        found = {position - roles["image"][0] for position in roles["related_patches"]}
        assert found == expected_patches(row), row["question"]


def test_a_sweep_has_a_finite_row_for_every_sample_edge_and_layer(
    case: Case, command: Run, tmp_path: Path
) -> None:
    output = tmp_path / "sweep.parquet"
    done = command(
        "mmflow", "sweep", "--keep-incorrect", *case.options, f"--output={output}", cache=case.cache
    )
    assert done.returncode == 0, done.stderr
    table = pq.read_table(output)
    assert table.column_names == COLUMNS
    rows = published_rows()
    assert table.num_rows == len(rows) * len(EDGES) * LAYERS
    keys = Counter(
        zip(*(table[name].to_pylist() for name in ("question_id", "edge", "layer")), strict=True)
    )
    assert keys == Counter(
        (row["question_id"], edge, layer)
        for row in rows
        for edge in EDGES
        for layer in range(LAYERS)
    )
    assert set(table["task"].to_pylist()) == set(SIX_TASKS)
    for name in ("base_probability", "knockout_probability", "relative_change"):
        assert pc.all(pc.is_finite(table[name])).as_py(), name
    of_image = table.filter(pc.field("edge") == "image->question")["relative_change"]
    assert pc.max(pc.abs(of_image)).as_py() > 1e-4


def test_nothing_is_claimed_of_a_model_that_answers_nothing(
    case: Case, command: Run, tmp_path: Path
) -> None:
    done = command(
        *("pytest", "suites/", "-p", "no:cacheprovider", *case.options),
        f"--mmflow-output={tmp_path}",
        cache=case.cache,
    )
    (path,) = tmp_path.glob("*/results.json")
    results = json.loads(path.read_text())
    assert {count["correct"] for count in results["data"]["tasks"].values()} == {0}
    verdicts = {row["verdict"] for row in results["mechanisms"] if row["id"] not in CONTROLS}
    assert verdicts == {"precondition-failed", "not-applicable"}, done.stdout
    controls = {row["verdict"] for row in results["mechanisms"] if row["id"] in CONTROLS}
    assert controls == {"precondition-failed", "fails"}, done.stdout
    # That it answers nothing is all that is said of it.
    assert [row["id"] for row in results["mechanisms"] if row["verdict"] == "fails"] == ["acc-95"]
    assert done.returncode == 1, done.stdout + done.stderr
    assert "gate (mechanisms): failed: nothing was decided" in done.stdout
    # The instrument itself was proved on these photos and questions, and it works.
    checks = {check["name"]: check for check in results["self_test"]}
    assert all(check["passed"] for check in checks.values()), checks
    assert "576 of 576 image positions and 0 others" in checks["image-positions"]["detail"]
