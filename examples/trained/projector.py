"""Stage 1: a projector that says what a patch shows in the language model's own words.

It is fitted to the sum of the words' embeddings, as large as they are where the language model's
first layer sees them, and no larger than one word.
"""

from __future__ import annotations

import random

import torch
from runs import Progress, Recipe, Run
from scenes import training_scene
from torch import Tensor, nn
from tower import FACTS, facts, pixels, states
from transformers import LlavaConfig, PreTrainedTokenizerBase, SiglipVisionModel
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector

from mmflow_bench.scenes.pictures import GRID
from mmflow_bench.scenes.things import CATEGORIES, COLORS, MATERIALS, SIDES

WORDS = {
    "category": (*CATEGORIES, "wall"),
    "color": (*COLORS, None),
    "material": (*MATERIALS, None),
    "column": tuple(SIDES[column >= GRID // 2] for column in range(GRID)),
}
"""Fact of a patch -> the word for each of its answers; nothing is said of some."""


def word_vectors(tokenizer: PreTrainedTokenizerBase, embedding: nn.Module) -> dict[str, Tensor]:
    """Fact -> one vector per answer, as the language model's first layer sees its word."""
    found = {}
    for fact, words in WORDS.items():
        rows = []
        for word in words:
            ids = tokenizer.encode(f" {word or 'x'}", add_special_tokens=False)
            if len(ids) != 1:
                raise ValueError(f"a word of one token, got {word!r}, which has {len(ids)}")
            with torch.no_grad():
                row: Tensor = embedding(torch.tensor(ids))[0].float()
            rows.append(row * (word is not None))
        found[fact] = torch.stack(rows)
    return found


def said(vectors: dict[str, Tensor], shown: Tensor) -> Tensor:
    """What is to be said of patches: the words' sum, as long as one of them.

    Args:
        vectors: Of `word_vectors`.
        shown: (fact, patch), as `tower.facts` has it.
    """
    names = list(FACTS)
    chosen = torch.stack([table[shown[names.index(fact)]] for fact, table in vectors.items()])
    count = (chosen.abs().sum(-1) > 0).sum(0).float()
    return chosen.sum(0) / count.sqrt()[:, None]


def train_projector(
    run: Run,
    recipe: Recipe,
    tower: SiglipVisionModel,
    config: LlavaConfig,
    vectors: dict[str, Tensor],
) -> LlavaMultiModalProjector:
    """The projector after its training, from the run's folder if it was there before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        projector = LlavaMultiModalProjector(config)
    if run.restore("projector", projector):
        return projector
    optimizer = torch.optim.AdamW(projector.parameters(), lr=recipe.projector_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.projector_rate, total_steps=recipe.projector_steps, pct_start=0.1
    )
    with Progress("projector", recipe.projector_steps, run) as progress:
        for step in range(recipe.projector_steps):
            draw = random.Random(f"{recipe.seed}/projector/{step}")
            scenes = [training_scene(draw) for _ in range(recipe.projector_batch)]
            wanted = torch.cat([said(vectors, torch.from_numpy(facts(one))) for one in scenes])
            with torch.no_grad():
                seen = states(tower, pixels(scenes)).flatten(0, 1)
            error = (projector(seen) - wanted).square().sum() / wanted.square().sum()
            optimizer.zero_grad()
            error.backward()
            optimizer.step()
            schedule.step()
            progress.log(step, error=error.item())
    run.keep("projector", projector)
    return projector
