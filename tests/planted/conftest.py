"""Planted checkpoints and an independent, slow way to ask them and to cut their edges."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import LlavaForConditionalGeneration, LlavaProcessor

from mmflow_bench.inputs.samples import Box, Sample
from mmflow_bench.planted.models import build

INSTRUCTION = "\nAnswer the question using a single word or phrase."
PATCH = 14
GRID = 6


@dataclass(frozen=True)
class Planted:
    name: str
    model: LlavaForConditionalGeneration
    processor: LlavaProcessor

    @property
    def layers(self) -> int:
        return int(self.model.config.text_config.num_hidden_layers)

    def prompt(self, sample: Sample) -> str:
        text = sample.question + INSTRUCTION
        content = [{"type": "image"}, {"type": "text", "text": text}]
        if sample.image is None:
            content = [{"type": "text", "text": f"{sample.caption}\n{text}"}]
        message = {"role": "user", "content": content}
        rendered = self.processor.apply_chat_template([message], add_generation_prompt=True)
        assert isinstance(rendered, str)
        return rendered

    def encode(self, *samples: Sample) -> Mapping[str, Tensor]:
        return self.processor(
            images=[sample.image for sample in samples if sample.image] or None,
            text=[self.prompt(sample) for sample in samples],
            padding=True,
            return_tensors="pt",
        ).to(dtype=self.model.dtype)

    def token(self, word: str) -> int:
        return int(self.processor.tokenizer.encode(word, add_special_tokens=False)[0])

    @torch.inference_mode()
    def answers(self, *samples: Sample) -> list[str]:
        inputs = self.encode(*samples)
        tokens = self.model.generate(**inputs, max_new_tokens=5, do_sample=False)
        new = tokens[:, inputs["input_ids"].shape[1] :]
        return self.processor.tokenizer.batch_decode(new, skip_special_tokens=True)

    def positions(self, sample: Sample) -> dict[str, list[int]]:
        """Positions by role; the question is found by the words around it."""
        tokens = self.encode(sample)["input_ids"][0].tolist()
        text = self.processor.tokenizer.convert_ids_to_tokens(tokens)
        image = [position for position, token in enumerate(text) if token == "<image>"]
        caption = list(range(text.index(":") + 1, text.index("\n")))
        start, end = text.index("\n") + 1, text.index("?") + 1
        # A photo that is wider than high has padding above and below.
        above = (GRID * PATCH - (sample.image_height or GRID * PATCH)) // 2
        related = [image[patch] for patch in _patches(sample.boxes, above)]
        newlines: list[int] = []
        if hasattr(self.model.config, "image_grid_pinpoints"):
            related, newlines = _tiled(image, sample)
        words = text[start:end]
        options = {
            role: [start + words.index(option)]
            for role, option in (
                ("true_option", sample.true_option),
                ("false_option", sample.false_option),
            )
            if option is not None
        }
        objects = [start + words.index(name) for name in sample.object_names]
        taken = {position for found in options.values() for position in found}
        return {
            **options,
            "objects": objects,
            "question_without_options": [i for i in range(start, end) if i not in taken],
            "question_without_objects": [i for i in range(start, end) if i not in objects],
            "suffix": list(range(end, len(tokens) - 1)),
            "image": image,
            "caption": caption if sample.caption else [],
            "question": list(range(start, end)),
            "last": [len(tokens) - 1],
            "related_patches": related,
            "other_patches": [
                position for position in image if position not in (*related, *newlines)
            ],
        }

    def knocked_out(self, sample: Sample, edge: str, windows: Sequence[range]) -> Tensor:
        """Next-token probabilities, one row per window, by dense masks in full forwards."""
        positions = self.positions(sample)
        sources, targets = (
            sorted({position for role in side.split("+") for position in positions[role]})
            for side in edge.split("->")
        )
        return self.without(sample, sources, targets, windows)

    @torch.inference_mode()
    def without(
        self,
        sample: Sample,
        sources: Sequence[int],
        targets: Sequence[int],
        windows: Sequence[range],
    ) -> Tensor:
        """The same for any positions."""
        inputs = self.encode(sample)
        length = inputs["input_ids"].shape[1]
        lowest = torch.finfo(torch.float32).min
        causal = torch.full((length, length), lowest).triu(1)
        blocked = causal.clone()
        blocked[torch.tensor(targets)[:, None], torch.tensor(sources, dtype=torch.long)] = lowest
        handles = []
        for layer, module in enumerate(self.model.model.language_model.layers):
            rows = [blocked if layer in window else causal for window in windows]
            hook = _mask_hook(torch.stack(rows)[:, None])
            handles.append(module.register_forward_pre_hook(hook, with_kwargs=True))
        try:
            copies = {
                name: value.expand(len(windows), *value.shape[1:]) for name, value in inputs.items()
            }
            logits = self.model(**copies).logits[:, -1]
        finally:
            for handle in handles:
                handle.remove()
        return torch.softmax(logits.double(), dim=-1)


def _mask_hook(mask: Tensor) -> Callable[..., tuple[object, dict[str, object]]]:
    return lambda module, args, kwargs: (args, kwargs | {"attention_mask": mask})  # noqa: ARG005


def _patches(boxes: Sequence[Box], above: int = 0) -> list[int]:
    return [
        row * GRID + column
        for row in range(GRID)
        for column in range(GRID)
        if any(
            box.x < (column + 1) * PATCH
            and box.x + box.width > column * PATCH
            and box.y + above < (row + 1) * PATCH
            and box.y + above + box.height > row * PATCH
            for box in boxes
        )
    ]


def _tiled(image: list[int], sample: Sample) -> tuple[list[int], list[int]]:
    """Related and newline positions of an overview, and of tiles whose rows a newline ends."""
    assert sample.image_width is not None
    columns = sample.image_width // PATCH
    narrow = columns // GRID
    squeezed = [
        Box(x=box.x / narrow, y=box.y, width=box.width / narrow, height=box.height)
        for box in sample.boxes
    ]
    tiles = image[GRID * GRID :]
    assert len(tiles) == GRID * (columns + 1)
    rows = [tiles[start : start + columns + 1] for start in range(0, len(tiles), columns + 1)]
    native = [
        rows[row][column]
        for row in range(GRID)
        for column in range(columns)
        if any(
            box.x < (column + 1) * PATCH
            and box.x + box.width > column * PATCH
            and box.y < (row + 1) * PATCH
            and box.y + box.height > row * PATCH
            for box in sample.boxes
        )
    ]
    overview = [image[patch] for patch in _patches(squeezed)]
    return overview + native, [row[-1] for row in rows]


@contextmanager
def _silenced(modules: Sequence[nn.Module], positions: Sequence[int]) -> Iterator[None]:
    """The modules' output set to zero at some positions."""

    def zero(_: nn.Module, __: object, output: Any) -> Any:
        first = output[0] if isinstance(output, tuple) else output
        first[:, positions] = 0.0
        return output

    handles = [module.register_forward_hook(zero) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@cache
def _planted(name: str) -> Planted:
    model, processor = build(name)
    model.set_attn_implementation("eager")
    return Planted(name, model, processor)


@pytest.fixture
def planted() -> Callable[[str], Planted]:
    """`planted("planted/mini")`, built once."""
    return _planted


@pytest.fixture
def silenced() -> Callable[..., Any]:
    """`with silenced(modules, positions):` their output is zero there."""
    return _silenced
