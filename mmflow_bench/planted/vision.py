"""A CLIP tower and a projector that recognise the patches of rendered scenes.

The tower's patch convolution is a bank of matched filters: one linear read-out per fact, solved
from the finite book of patches that scenes are made of. Every fact is written twice, as b and -b
with b = +-1, so that all patches have mean 0 and variance 1 and the tower's layer norm changes
nothing. The projector turns b into exact zeros and ones and writes them where the decoder expects
them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from transformers import CLIPImageProcessorPil, CLIPVisionModel
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import LlavaNextMultiModalProjector

from mmflow_bench.planted.residual import BIAS_VALUE, dimension
from mmflow_bench.scenes.pictures import GRID, PATCH, Book, Picture, patch_book, squeezed_patch_book
from mmflow_bench.scenes.things import CATEGORIES, COLORS, GISTS, MATERIALS, SIDES

_SEEN = 1
FACTS = _SEEN + len(GISTS) + len(CATEGORIES) + len(COLORS) + len(MATERIALS)
"""Facts that a patch shows by its pixels; the side of the image is one more, by position."""
VISION_WIDTH = 2 * (FACTS + 1)
SINK_COLUMNS = 4
"""Columns that a tower with sinks has beside those: whether a patch is one of either kind."""
_STEEPNESS = 32.0
"""Scale of the projector's steps: GELU is max(x, 0) to 1e-15 at a quarter of it."""


def write_tower(
    tower: CLIPVisionModel, *, sees_overviews: bool = False, sees_padding: bool = False
) -> None:
    """Write the filters and positions; attention and MLP pass everything on unchanged.

    Args:
        tower: Its weights are overwritten.
        sees_overviews: Recognise wide scenes that are squeezed to a square as well.
        sees_padding: Recognise that nothing of the photo is shown.
    """
    book = patch_book() + (squeezed_patch_book() if sees_overviews else [])
    book += [(padding_picture(), None, None)] if sees_padding else []
    kernel = torch.from_numpy(_filters(book)).float()
    with torch.no_grad():
        for parameter in tower.parameters():
            parameter.zero_()
        for module in tower.modules():
            if isinstance(module, nn.LayerNorm):
                module.weight.fill_(math.sqrt(1 + module.eps))
        embeddings = tower.embeddings
        known = slice(VISION_WIDTH)
        both = torch.cat([kernel, -kernel])[_interleaved()]
        embeddings.patch_embedding.weight[known].copy_(both)
        embeddings.class_embedding[known].copy_(antipodal(torch.ones(FACTS + 1)))
        columns = torch.arange(GRID * GRID) % GRID
        sides = torch.zeros(GRID * GRID + 1, FACTS + 1)
        sides[1:, -1] = torch.where(columns < GRID // 2, 1.0, -1.0)
        embeddings.position_embedding.weight[:, known].copy_(antipodal(sides))


def write_projector(projector: LlavaMultiModalProjector | LlavaNextMultiModalProjector) -> None:
    """Write the steps that clean every fact and the map of facts to residual dimensions."""
    with torch.no_grad():
        for parameter in projector.parameters():
            parameter.zero_()
        projector.linear_2.bias[dimension("bias")] = BIAS_VALUE
    for step, (column, targets) in enumerate(_facts_to_dimensions()):
        write_step(projector, step, column, dict.fromkeys(targets, 1.0))


STEPS = 1 + _SEEN + len(GISTS) + len(CATEGORIES) + len(COLORS) + len(MATERIALS) + len(SIDES)
"""Steps of the projector that read what patches show."""


@torch.no_grad()
def write_step(
    projector: LlavaMultiModalProjector | LlavaNextMultiModalProjector,
    step: int,
    column: int,
    amounts: Mapping[int, float],
) -> None:
    """Add amounts to residual dimensions where a vision column is 1, and nothing where it is -1."""
    first, second = projector.linear_1, projector.linear_2
    low, high = 2 * step, 2 * step + 1
    # two ramps whose difference is 0 below a quarter and 1 above three quarters
    first.weight[[low, high], column] = _STEEPNESS / 2
    first.bias[low], first.bias[high] = _STEEPNESS / 4, -_STEEPNESS / 4
    for target, amount in amounts.items():
        second.weight[target, low] = 2 * amount / _STEEPNESS
        second.weight[target, high] = -2 * amount / _STEEPNESS


@torch.no_grad()
def write_newline(newline: nn.Parameter, *, is_known: bool = False) -> None:
    """The feature that ends a row of tiles says nothing, or only that it is one."""
    newline.zero_()
    newline[dimension("bias")] = BIAS_VALUE
    if is_known:
        newline[dimension("row_end")] = 1.0


def padding_picture() -> Picture:
    """A patch of what fills a photo up to a square: the mean colour of CLIP's photos."""
    colour = [int(255 * mean) for mean in CLIPImageProcessorPil.image_mean]
    return np.full((PATCH, PATCH, 3), colour, dtype=np.uint8)


def _facts_to_dimensions() -> list[tuple[int, list[int]]]:
    """Vision columns (b or -b of a fact) and the residual dimensions that they set to 1."""
    groups = (
        ("gist", len(GISTS)),
        ("first_category", len(CATEGORIES)),
        ("first_color", len(COLORS)),
        ("first_material", len(MATERIALS)),
    )
    names = [(name, index) for name, size in groups for index in range(size)]
    steps = [
        (2 * fact, [dimension(name, index)]) for fact, (name, index) in enumerate(names, _SEEN)
    ]
    seen = (0, [dimension("first_seen"), dimension("object_patch")])
    sides = [(2 * FACTS + index, [dimension("first_side", index)]) for index in range(len(SIDES))]
    return [seen, (1, [dimension("background")]), *steps, *sides]


def _filters(book: Book) -> NDArray[np.float64]:
    """One filter per fact and a blank one for the side."""
    facts = np.stack([_facts(gist, shown) for _, gist, shown in book])
    blank = np.zeros((1, 3, PATCH, PATCH))
    return np.concatenate([solved_filters([picture for picture, _, _ in book], facts), blank])


def solved_filters(pictures: Sequence[Picture], facts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filters on the normalised pixels of a patch that tell the facts of every picture.

    Raises:
        ValueError: Two patches with different facts look alike to every filter.
    """
    mean, deviation = CLIPImageProcessorPil.image_mean, CLIPImageProcessorPil.image_std
    normalised = (np.stack(pictures) / 255 - np.array(mean)) / np.array(deviation)
    inputs = normalised.transpose(0, 3, 1, 2).reshape(len(pictures), -1)
    filters, *_ = np.linalg.lstsq(inputs, facts, rcond=1e-10)
    error = float(np.abs(inputs @ filters - facts).max())
    if error > 1e-6:
        raise ValueError(
            f"patches that linear filters tell apart, got a fact that is off by {error:.2g}; "
            "draw the objects or the wallpaper more differently"
        )
    return np.asarray(filters.T.reshape(facts.shape[1], 3, PATCH, PATCH))


def _facts(gist: int | None, shown: tuple[str, str, str] | None) -> NDArray[np.float64]:
    """The facts of a patch as +1 and -1."""
    category, color, material = shown or (None, None, None)
    truths = [shown is not None]
    truths += [gist == index for index in range(len(GISTS))]
    truths += [category == name for name in CATEGORIES]
    truths += [color == name for name in COLORS]
    truths += [material == name for name in MATERIALS]
    return np.where(truths, 1.0, -1.0)


def _interleaved() -> torch.Tensor:
    """Order that puts b and -b of each fact next to each other."""
    return torch.arange(VISION_WIDTH).reshape(2, -1).T.flatten()


def antipodal(facts: torch.Tensor) -> torch.Tensor:
    """Every fact as b and -b, next to each other."""
    return torch.stack([facts, -facts], dim=-1).flatten(-2)
