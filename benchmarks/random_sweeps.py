"""What benchmarks share: one sample of random words and pixels, and the knockouts of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from random_checkpoints import random_checkpoint
from torch import Tensor

from mmflow_bench.checkpoints.loading import LoadedCheckpoint
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.extending import extended
from mmflow_bench.interventions.knockout import Knockout, Method, around_every_layer
from mmflow_bench.interventions.recording import CleanPass
from mmflow_bench.interventions.suffixes import knockout_logits

PROMPT, QUESTION, SUFFIX = 5, 12, 22
WINDOW = 9


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Shape of a checkpoint's decoder; its width is a matter of the machine."""

    layers: int
    patches: int
    """Along one side: its square is the number of image positions."""
    heads: int = 8
    kv_heads: int = 8


GEOMETRIES = {
    "llava-1.5-7b": Geometry(layers=32, patches=24),
    "llava-1.5-13b": Geometry(layers=40, patches=24),
    "llava-next-7b": Geometry(layers=32, patches=46),
    "llava-next-8b": Geometry(layers=32, patches=46, kv_heads=2),
    "qwen2.5-vl-7b": Geometry(layers=28, patches=36, kv_heads=1),
}
"""Depth, image positions and how many heads share keys; blocks are Llama's. LLaVA-NeXT has 2,116
image positions for a photo of 4:3, Qwen2.5-VL 1,296 for one of a megapixel."""


class Sweep:
    """One sample of random pixels and words, and every knockout of it."""

    def __init__(
        self,
        geometry: Geometry,
        width: int,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        window: int = WINDOW,
    ) -> None:
        self.checkpoint: LoadedCheckpoint = random_checkpoint(
            layers=geometry.layers,
            width=width,
            patches=geometry.patches,
            heads=geometry.heads,
            kv_heads=geometry.kv_heads,
            device=device,
            dtype=dtype,
        )
        self.layers, self.window = geometry.layers, window
        torch.manual_seed(1)
        image = tuple(range(PROMPT, PROMPT + geometry.patches**2))
        question = tuple(range(image[-1] + 1, image[-1] + 1 + QUESTION))
        self.length = question[-1] + 1 + SUFFIX
        ids = torch.randint(1000, 31000, (1, self.length))
        ids[0, list(image)] = self.checkpoint.parts.image_token_id
        side = 14 * geometry.patches
        pixels = torch.randn(1, 3, side, side)
        self.image_end = image[-1] + 1
        self.inputs = {"input_ids": ids.to(device), "pixel_values": pixels.to(device, dtype)}
        related = image[len(image) // 4 : len(image) // 3]
        other = tuple(sorted({*image} - {*related}))
        last = (self.length - 1,)
        self.edges = (
            (question, last),
            (image, last),
            (last, last),
            (image, question),
            (related, question),
            (other, question),
        )

    @cached_property
    def knockouts(self) -> list[Knockout]:
        return [
            knockout
            for sources, targets in self.edges
            for knockout in around_every_layer(
                sources, targets, width=self.window, layers=self.layers
            )
        ]

    def at(self, layer: int) -> list[Knockout]:
        """Every edge, cut around one layer."""
        return self.knockouts[layer :: self.layers]

    @torch.inference_mode()
    def plain(self) -> Tensor:
        model = self.checkpoint.model
        return model(**self.inputs, use_cache=False, logits_to_keep=1).logits[:, -1]

    @torch.inference_mode()
    def generating(self) -> Tensor:
        """The plain pass that generating begins with: it keeps keys and values of all layers."""
        model = self.checkpoint.model
        return model(**self.inputs, use_cache=True, logits_to_keep=1).logits[:, -1]

    def clean(self) -> CleanPass:
        return clean_passes(self.checkpoint, [self.inputs])[0]

    def beginning(self) -> CleanPass:
        """The clean pass up to the image's end, which questions about one image share."""
        ids = self.inputs["input_ids"][:, : self.image_end]
        return clean_passes(self.checkpoint, [self.inputs | {"input_ids": ids}])[0]

    def gone_on(self, beginning: CleanPass) -> CleanPass:
        """The clean pass of the whole, from there on."""
        return extended(
            self.checkpoint, beginning, self.inputs["input_ids"][0, self.image_end :].tolist()
        )

    def fast(self) -> Tensor:
        return knockout_logits(self.checkpoint, self.clean(), self.knockouts)

    def twins(self, clean: CleanPass) -> None:
        """What second opinions ask beside that, another image's pass included."""
        for method in (Method.UNNORMALISED, Method.COUNTERFACTUAL):
            donor = self.clean() if method is Method.COUNTERFACTUAL else None
            knockout_logits(
                self.checkpoint, clean, self.knockouts, method=method, counterfactual=donor
            )

    @cached_property
    def embeddings(self) -> Tensor:
        return self.clean().embeddings[None]

    def masks(self, knockouts: Sequence[Knockout]) -> Tensor:
        """One mask for each, of shape (row, 1, query, key)."""
        states = self.embeddings
        mask = states.new_full((self.length, self.length), -torch.inf).triu(1)
        mask = mask.repeat(len(knockouts), 1, 1)
        for row, knockout in zip(mask, knockouts, strict=True):
            # A position goes on seeing itself where it is cut off itself alone, as in the engine.
            for target in knockout.targets:
                cut = [s for s in knockout.sources if s != target or not knockout.spares_self]
                row[target, cut] = -torch.inf
        return mask[:, None]
