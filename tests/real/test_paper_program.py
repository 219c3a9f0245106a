"""The paper's program, written out a second time from its description, against the package.

Prompt, token ids, pixels, tiles, packing of image features, masks and windows are computed here
with PIL and torch; only the layers of the model are shared. Its weights are random, in the true
geometry.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.inputs.encoding import encode
from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.measurements.jobs import Job
from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.measurements.measuring import measure
from mmflow_bench.measurements.wants import ANSWERS

pytestmark = [pytest.mark.real, pytest.mark.slow]

LAYERS, WINDOWS, SIDE, PATCH = 5, (1, 3, 9), 336, 14
GRID = SIDE // PATCH
MEAN = (0.48145466, 0.4578275, 0.40821073)
DEVIATION = (0.26862954, 0.26130258, 0.27577711)
TILINGS = [(336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008)]
"""Width and height, in the order in which they are compared."""
QUESTION = "What color is the cup, red or blue?"
INSTRUCTION = " \nAnswer the question using a single word or phrase."
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives "
    "helpful, detailed, and polite answers to the user's questions."
)
LLAMA_3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n"
    "You are a helpful language and vision assistant. You are able to understand the visual "
    "content that the user provides, and assist the user with a variety of tasks using natural "
    "language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n"
)
LLAMA_3_END = "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n \n"


@dataclass(frozen=True)
class Case:
    tokenizer: str
    conversation: str
    size: tuple[int, int]
    tiled: bool
    before: str
    after: str


CASES = {
    "padded": Case("llama_2", "vicuna_v1", (500, 375), False, f"{SYSTEM} USER: ", " ASSISTANT:"),
    "tiled": Case("llama_3", "llava_llama_3", (500, 333), True, LLAMA_3, LLAMA_3_END),
    # Small enough that two grids of tiles tie.
    "tied": Case("llama_2", "vicuna_v1", (320, 240), True, f"{SYSTEM} USER: ", " ASSISTANT:"),
}


@dataclass(frozen=True)
class Reference:
    embeddings: Tensor
    """(1, position, hidden)."""
    roles: Mapping[str, range]


def photo(size: tuple[int, int]) -> Image.Image:
    coarse = np.random.default_rng(0).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)


def normalised(image: Image.Image) -> Tensor:
    values = torch.tensor(np.asarray(image), dtype=torch.float32) / 255
    return ((values - torch.tensor(MEAN)) / torch.tensor(DEVIATION)).permute(2, 0, 1)


def padded_views(image: Image.Image) -> Tensor:
    side = max(image.size)
    square = Image.new("RGB", (side, side), tuple(int(level * 255) for level in MEAN))
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
    return normalised(square.resize((SIDE, SIDE), Image.Resampling.BICUBIC))[None]


def best_tiling(width: int, height: int) -> tuple[int, int]:
    best, most, least = TILINGS[0], 0, math.inf
    for wide, high in TILINGS:
        scale = min(wide / width, high / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        if kept > most or (kept == most and wide * high - kept < least):
            best, most, least = (wide, high), kept, wide * high - kept
    return best


def tiled_views(image: Image.Image) -> Tensor:
    wide, high = best_tiling(*image.size)
    across, down = wide / image.width, high / image.height
    if across < down:
        fitted = (wide, min(math.ceil(image.height * across), high))
    else:
        fitted = (min(math.ceil(image.width * down), wide), high)
    canvas = Image.new("RGB", (wide, high))
    canvas.paste(image.resize(fitted), ((wide - fitted[0]) // 2, (high - fitted[1]) // 2))
    views = [image.resize((SIDE, SIDE))]
    for top in range(0, high, SIDE):
        views += [canvas.crop((x, top, x + SIDE, top + SIDE)) for x in range(0, wide, SIDE)]
    return torch.stack([normalised(view) for view in views])


def image_features(model: Any, image: Image.Image, tiled: bool) -> Tensor:
    """(image position, hidden): tower, projector, then tiles put together, unpadded, newlines."""
    views = tiled_views(image) if tiled else padded_views(image)
    tower = model.model.vision_tower(views, output_hidden_states=True)
    features = model.model.multi_modal_projector(tower.hidden_states[-2][:, 1:])
    if not tiled:
        return features[0]
    wide, high = best_tiling(*image.size)
    down, across = high // SIDE, wide // SIDE
    whole = torch.cat(
        [
            torch.cat(
                [
                    features[1 + row * across + column].reshape(GRID, GRID, -1)
                    for column in range(across)
                ],
                dim=1,
            )
            for row in range(down)
        ]
    )
    rows, columns = whole.shape[:2]
    if image.width / image.height > columns / rows:
        cut = (rows - int(image.height * (columns / image.width))) // 2
        whole = whole[cut : rows - cut]
    else:
        cut = (columns - int(image.width * (rows / image.height))) // 2
        whole = whole[:, cut : columns - cut]
    newline = model.model.image_newline[None]
    return torch.cat([features[0], *(part for row in whole for part in (row, newline))])


def token_ids(tokenizer: Any, text: str) -> list[int | None]:
    """None stands for the image; each side has a start token of its own, which is kept once."""
    sides = [tokenizer(side)["input_ids"] for side in text.split("<image>")]
    assert all(side[0] == tokenizer.bos_token_id for side in sides)
    return [sides[0][0], *sides[0][1:], None, *sides[1][1:]]


def reference(checkpoint: LoadedCheckpoint, case: Case) -> Reference:
    model, tokenizer = checkpoint.model, checkpoint.tokenizer
    ids = token_ids(tokenizer, f"{case.before}<image>\n{QUESTION}{INSTRUCTION}{case.after}")
    embed = model.get_input_embeddings()
    split = ids.index(None)
    features = image_features(model, photo(case.size), case.tiled)
    sides = [embed(torch.tensor(side)) for side in (ids[:split], ids[split + 1 :])]
    embeddings = torch.cat([sides[0], features, sides[1]])[None]
    first = split + len(features)
    # The question among the tokens after the image, by decoding one more of them at a time.
    ends = [len(tokenizer.decode(ids[split + 1 : end])) for end in range(split + 1, len(ids) + 1)]
    start = tokenizer.decode(ids[split + 1 :]).index(QUESTION)
    inside = [
        index
        for index, (before, after) in enumerate(pairwise(ends))
        if after > start and before < start + len(QUESTION)
    ]
    roles = {
        "image": range(split, first),
        "question": range(first + inside[0], first + inside[-1] + 1),
        "last": range(embeddings.shape[1] - 1, embeddings.shape[1]),
    }
    return Reference(embeddings=embeddings, roles=roles)


@contextmanager
def masked_in(layers: Any, window: range, mask: Tensor) -> Iterator[None]:
    """The layers of the window get another mask."""

    def replaced(_: object, arguments: Any, keywords: dict[str, Any]) -> Any:
        return arguments, {**keywords, "attention_mask": mask}

    hooks = [layers[i].register_forward_pre_hook(replaced, with_kwargs=True) for i in window]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


@torch.inference_mode()
def probabilities(
    checkpoint: LoadedCheckpoint, case: Case
) -> tuple[int, float, dict[tuple[str, int, int], float]]:
    """The answer token, its probability, and that under each (edge, window, layer)."""
    found = reference(checkpoint, case)
    model = checkpoint.model
    layers = model.get_decoder().layers

    def last() -> Tensor:
        logits = model(inputs_embeds=found.embeddings, use_cache=False).logits[0, -1]
        return torch.softmax(logits.double(), dim=-1)

    base = last()
    token = int(base.argmax())
    length = found.embeddings.shape[1]
    knocked = {}
    for edge in ("image->question", "question->last", "image->last"):
        source, target = (list(found.roles[name]) for name in edge.split("->"))
        open_cells = torch.ones(length, length).tril()
        open_cells[torch.tensor(target)[:, None], torch.tensor(source)[None]] = 0
        mask = ((1 - open_cells) * torch.finfo(torch.float32).min)[None, None]
        for width in WINDOWS:
            for layer in range(LAYERS):
                window = range(max(0, layer - width // 2), min(LAYERS, layer - (-width // 2)))
                with masked_in(layers, window, mask):
                    knocked[edge, width, layer] = float(last()[token])
    return token, float(base[token]), knocked


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture(scope="module")
def checkpoint(
    case: Case, random_llava: Callable[..., LoadedCheckpoint], request: pytest.FixtureRequest
) -> LoadedCheckpoint:
    tokenizer = request.getfixturevalue(f"{case.tokenizer}_tokenizer")
    loaded = random_llava(tokenizer, case.conversation, tiled=case.tiled, layers=LAYERS)
    with torch.no_grad():
        # As initialised, attention is all but uniform and no knockout moves anything.
        for parameter in loaded.model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(5.0)
    return loaded


@pytest.fixture
def sample(case: Case) -> Sample:
    return Sample(
        question_id="1",
        image_id="photo",
        task="ChooseAttr",
        question=QUESTION,
        answer="red",
        true_option="red",
        false_option="blue",
        object_names=("cup",),
        boxes=(Box(x=10.0, y=20.0, width=60.0, height=50.0),),
        image=photo(case.size),
    )


def test_the_decoder_sees_what_the_paper_s_program_shows_it(
    case: Case, checkpoint: LoadedCheckpoint, sample: Sample
) -> None:
    expected = reference(checkpoint, case)
    encoded = encode(sample, checkpoint)
    seen: list[Tensor] = []

    def remember(_: object, __: Any, keywords: dict[str, Any]) -> None:
        seen.append(keywords["inputs_embeds"])

    hook = checkpoint.model.get_decoder().register_forward_pre_hook(remember, with_kwargs=True)
    with torch.inference_mode():
        checkpoint.model(input_ids=encoded.input_ids[None], **encoded.model_inputs)
    hook.remove()
    assert seen[0].shape == expected.embeddings.shape
    assert torch.allclose(seen[0], expected.embeddings, rtol=1e-4, atol=1e-5)


def test_probabilities_are_those_of_the_paper_s_program(
    case: Case, checkpoint: LoadedCheckpoint, sample: Sample
) -> None:
    token, base, knocked = probabilities(checkpoint, case)
    edges = dict.fromkeys(edge for edge, _, _ in knocked)
    sweeps = [Sweep.of(edge, width=width) for edge in edges for width in WINDOWS]
    job = Job(sample=sample, key="k", wants=tuple(sweeps), keep_incorrect=True)
    (measured,) = measure(checkpoint, [job], batch_size=1)
    found = {
        (edge, width, row["layer"]): row
        for edge in edges
        for width in WINDOWS
        for row in measured.rows[Sweep.of(edge, width=width).shard]
    }
    assert set(found) == set(knocked)
    (answer,) = measured.rows[ANSWERS]
    assert answer["answer_token_id"] == token
    assert answer["base_probability"] == pytest.approx(base, rel=1e-4)
    for key, expected in knocked.items():
        assert found[key]["knockout_probability"] == pytest.approx(expected, rel=1e-4), key
    assert max(abs(expected / base - 1) for expected in knocked.values()) > 0.05
