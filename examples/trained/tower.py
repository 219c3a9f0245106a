"""Stage 0: a vision tower that can say of every patch what it shows.

Supervised, on rendered scenes: linear heads read colour, category, material, the side of the image,
row, column, and which quarter of an object it is off each patch's state. Only the tower is kept.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import torch
from runs import Progress, Recipe, Run
from scenes import training_scene
from torch import Tensor, nn
from transformers import SiglipVisionModel

from mmflow_bench.learned.anatomy import vision_config
from mmflow_bench.scenes.pictures import GRID
from mmflow_bench.scenes.rendering import Scene
from mmflow_bench.scenes.things import CATEGORIES, COLORS, MATERIALS

FACTS = {
    "category": len(CATEGORIES) + 1,
    "color": len(COLORS) + 1,
    "material": len(MATERIALS) + 1,
    "quarter": 5,
    "row": GRID,
    "column": GRID,
}
"""What is asked of a patch, and of how many answers; the last but for places is wallpaper."""


def facts(scene: Scene) -> np.ndarray:
    """The answers for every patch of a scene: (fact, patch)."""
    grid = np.full((len(FACTS), GRID, GRID), -1)
    for index, (name, count) in enumerate(FACTS.items()):
        grid[index] = count - 1
        if name in ("row", "column"):
            grid[index] = np.indices((GRID, GRID))[int(name == "column")]
    for thing in scene.objects:
        for down in (0, 1):
            for across in (0, 1):
                grid[:4, thing.row + down, thing.column + across] = (
                    CATEGORIES.index(thing.category),
                    COLORS.index(thing.color),
                    MATERIALS.index(thing.material),
                    2 * down + across,
                )
    return grid.reshape(len(FACTS), -1)


def pixels(scenes: Sequence[Scene]) -> Tensor:
    """As SigLIP's processor makes them of pictures of the right size."""
    pictures = np.stack([np.asarray(scene.rendered()) for scene in scenes])
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def states(tower: SiglipVisionModel, images: Tensor) -> Tensor:
    """What LLaVA's projector sees of images."""
    hidden: Tensor = tower(images, output_hidden_states=True).hidden_states[-1]
    return hidden


def train_tower(run: Run, recipe: Recipe) -> SiglipVisionModel:
    """The tower after its training, from the run's folder if it was there before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        tower = SiglipVisionModel._from_config(vision_config(), attn_implementation="sdpa")
        heads = nn.ModuleDict(
            {name: nn.Linear(tower.config.hidden_size, count) for name, count in FACTS.items()}
        )
    if run.restore("tower", tower):
        return tower
    weights = [*tower.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=recipe.tower_rate, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.tower_rate, total_steps=recipe.tower_steps, pct_start=0.1
    )
    with Progress("tower", recipe.tower_steps, run) as progress:
        for step in range(recipe.tower_steps):
            draw = random.Random(f"{recipe.seed}/tower/{step}")
            scenes = [training_scene(draw) for _ in range(recipe.tower_batch)]
            shown = torch.from_numpy(np.stack([facts(scene) for scene in scenes], axis=1))
            read = states(tower, pixels(scenes))
            losses, right = [], []
            for name, answers in zip(FACTS, shown, strict=True):
                logits = heads[name](read).flatten(0, 1)
                losses.append(nn.functional.cross_entropy(logits, answers.flatten()))
                right.append((logits.argmax(-1) == answers.flatten()).float().mean())
            loss = torch.stack(losses).sum()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            progress.log(step, loss=loss.item(), accuracy=min(right).item())
    run.keep("tower", tower)
    return tower
