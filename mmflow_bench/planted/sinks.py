"""Patches that stand out without showing anything of their own: attention sinks, planted.

A sink of the tower has a feature of outstanding norm, as high-norm patches of real towers do. A
sink of the decoder is massive in the one dimension in which the first token is. Each says nothing,
or gathers what all the wallpaper suggests, and then the question reads the context from it alone.
"""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import nn
from transformers import CLIPVisionModel
from transformers.models.clip.modeling_clip import CLIPEncoderLayer
from transformers.models.llava.modeling_llava import LlavaMultiModalProjector
from transformers.models.llava_next.modeling_llava_next import LlavaNextMultiModalProjector

from mmflow_bench.planted.architecture import Model
from mmflow_bench.planted.circuit import Circuit
from mmflow_bench.planted.designs import Design
from mmflow_bench.planted.residual import BIAS_VALUE, dimension, total
from mmflow_bench.planted.stages import read_context
from mmflow_bench.planted.vision import (
    STEPS,
    VISION_WIDTH,
    antipodal,
    padding_picture,
    solved_filters,
    write_step,
)
from mmflow_bench.planted.vocabulary import BEGIN, words
from mmflow_bench.scenes.pictures import GRID, patch_book
from mmflow_bench.scenes.things import GISTS

TOWER_PATCH, DECODER_PATCH = 0, GRID - 1
"""The patches in the upper corners, which objects rarely cover."""
_TOWER_COLUMN, _DECODER_COLUMN = VISION_WIDTH, VISION_WIDTH + 2
_SEEN_COLUMN, _GIST_COLUMNS = 0, range(2, 2 + 2 * len(GISTS), 2)
_NORM = 60.0
"""About the norm of the tower's sink; that of other patches is below 20."""
_OPEN = 50.0
"""What a row of the MLP gives at a sink; elsewhere it gives nothing."""
_SCORE = 60.0


def read_context_by_sink(circuit: Circuit, design: Design) -> None:
    """Question tokens read from the sink which answer the wallpaper suggests."""
    name = "tower_sink" if design.tower_sink == "context" else "decoder_sink"
    read_context(circuit, design, key=total(name))


@torch.no_grad()
def write_sinks(model: Model, design: Design) -> None:
    """Write a design's sinks into a tower, projector and vocabulary that are otherwise written."""
    _write_tower(model.model.vision_tower, design)
    _write_projector(model.model.multi_modal_projector, is_massive=bool(design.decoder_sink))
    if not design.decoder_sink:
        return
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
    first = words().index(BEGIN)
    embeddings[first, dimension("massive")] = embeddings[first, dimension("bias")]
    embeddings[first, dimension("bias")] = 0.0


def _write_projector(
    projector: LlavaMultiModalProjector | LlavaNextMultiModalProjector, *, is_massive: bool
) -> None:
    """What is massive takes the place of the constant, so that every state keeps its norm."""
    write_step(projector, STEPS, _TOWER_COLUMN, {dimension("tower_sink"): 1.0})
    if not is_massive:
        return
    massive = {dimension("massive"): BIAS_VALUE, dimension("bias"): -BIAS_VALUE}
    write_step(projector, STEPS + 1, _DECODER_COLUMN, {dimension("decoder_sink"): 1.0, **massive})


def _write_tower(tower: CLIPVisionModel, design: Design) -> None:
    """Sinks know themselves; the layer whose output is read makes them sinks."""
    _write_flags(tower, design)
    layer = _first_layer(tower)
    sinks = ((design.tower_sink, _TOWER_COLUMN), (design.decoder_sink, _DECODER_COLUMN))
    for row, (kind, column) in enumerate(sinks):
        layer.mlp.fc1.weight[row, column] = 2 * _OPEN
        layer.mlp.fc1.bias[row] = -_OPEN
        if kind == "idle":
            # no fact is true any more, nor its opposite
            layer.mlp.fc2.weight[:VISION_WIDTH, row] = -2 / _OPEN
        if kind == "context":
            _write_gathering(tower, column)
    if not design.is_padded:
        layer.mlp.fc2.weight[_TOWER_COLUMN, 0] = _NORM / _OPEN


def _write_flags(tower: CLIPVisionModel, design: Design) -> None:
    """A corner is known by its place, and padding by its colour; none of it is the class token."""
    embeddings, columns = tower.embeddings, slice(VISION_WIDTH, None)
    embeddings.class_embedding[columns] = antipodal(torch.full((2,), -1.0))
    is_sink = torch.full((GRID * GRID + 1, 2), -1.0)
    # the class token is at the first place
    is_sink[0] = 0.0
    is_sink[1 + DECODER_PATCH, 1] = 1.0
    if design.is_padded:
        is_sink[:, 0] = 0.0
        pictures = [picture for picture, _, _ in patch_book()]
        shows_padding = np.array([[-1.0]] * len(pictures) + [[1.0]])
        kernel = torch.from_numpy(solved_filters([*pictures, padding_picture()], shows_padding))
        both = torch.cat([kernel, -kernel]).float()
        embeddings.patch_embedding.weight[_TOWER_COLUMN : _TOWER_COLUMN + 2] = both
    else:
        is_sink[1 + TOWER_PATCH, 0] = 1.0
    embeddings.position_embedding.weight[:, columns] = antipodal(is_sink)


def _write_gathering(tower: CLIPVisionModel, column: int) -> None:
    """A sink attends to all wallpaper and learns its gist; all others attend to the class token."""
    attention = _first_layer(tower).self_attn
    heads, size = attention.num_heads, attention.head_dim
    scale = _SCORE * math.sqrt(size)
    for head, start in enumerate(range(0, heads * size, size)):
        # a sink looks for what is no object and no sink, and others for what has two gists
        attention.q_proj.weight[start, column] = scale / 2
        attention.q_proj.weight[start + 1, column] = -scale / 2
        attention.q_proj.bias[start : start + 2] = scale / 2
        attention.k_proj.weight[start, [_SEEN_COLUMN, column]] = -0.5
        attention.k_proj.weight[start + 1, [_GIST_COLUMNS[0], _GIST_COLUMNS[1]]] = 0.5
        for value, gist in enumerate(_GIST_COLUMNS[head::heads], start + 2):
            # nothing from the class token, for which everything is true
            attention.v_proj.weight[value, [gist, _SEEN_COLUMN]] = torch.tensor([1.0, -1.0])
            attention.out_proj.weight[[gist, gist + 1], value] = torch.tensor([1.0, -1.0])


def _first_layer(tower: CLIPVisionModel) -> CLIPEncoderLayer:
    return cast(CLIPEncoderLayer, tower.encoder.layers[0])
