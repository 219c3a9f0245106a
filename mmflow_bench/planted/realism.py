"""Planted weights that look less written: rotated, and with noise where the circuit never reads.

The answer to "compiled weights are unrealistic" (InterpBench: Gupta et al. 2024,
arXiv:2407.14494): the flow stays known, but no dimension has a meaning of its own any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from mmflow_bench.planted.architecture import Model
from mmflow_bench.planted.residual import WIDTH, dimension

_READ = 0.05
"""Deviation of the weights by which noise reads the residual stream; the circuit's facts are 1."""
_RANK = 4
"""Rows of noise in every MLP; a head of noise has the rank of a head."""


@torch.no_grad()
def disguise(model: Model, seed: int) -> None:
    """Write noise that the circuit cannot read, then rotate the residual stream.

    The last head and the last rows of every MLP must be free of instructions, and dimensions from
    `WIDTH` on free of facts. The constant keeps its dimension, as massive activations of trained
    models do: rotated, it would cost the others their precision.
    """
    generator = torch.Generator().manual_seed(seed)
    _write_noise(model, generator)
    width = model.lm_head.in_features
    drawn = torch.randn(width - 1, width - 1, generator=generator, dtype=torch.float64)
    rotation = torch.eye(width, dtype=torch.float64)
    others = [dim for dim in range(width) if dim != dimension("bias")]
    rotation[torch.tensor(others)[:, None], torch.tensor(others)] = torch.linalg.qr(drawn)[0]
    for weight in readers(model):
        weight.copy_(weight.double() @ rotation.T)
    for weight in writers(model):
        weight.copy_(rotation @ weight.double())
    embeddings, bias = _inputs(model)
    embeddings.copy_(embeddings.double() @ rotation.T)
    bias.copy_(rotation @ bias.double())


def readers(model: Model) -> Iterator[Tensor]:
    """Weights whose columns are the dimensions of the residual stream."""
    for layer in _layers(model):
        attention, mlp = layer.self_attn, layer.mlp
        for module in (attention.q_proj, attention.k_proj, attention.v_proj):
            yield module.weight
        yield from (mlp.gate_proj.weight, mlp.up_proj.weight)
    yield model.lm_head.weight


def writers(model: Model) -> Iterator[Tensor]:
    """Weights whose rows are the dimensions of the residual stream."""
    for layer in _layers(model):
        yield from (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight)
    yield model.model.multi_modal_projector.linear_2.weight


def _write_noise(model: Model, generator: torch.Generator) -> None:
    """Random words, patches, heads and rows that write to free dimensions only."""

    def drawn(like: Tensor, scale: float) -> Tensor:
        return scale * torch.randn(like.shape, generator=generator)

    embeddings, bias = _inputs(model)
    embeddings[:, WIDTH:] = drawn(embeddings[:, WIDTH:], 1.0)
    bias[WIDTH:] = drawn(bias[WIDTH:], 1.0)
    # as many patches differ as facts do
    projected = model.model.multi_modal_projector.linear_2.weight[WIDTH:]
    projected.copy_(drawn(projected, 0.02))
    facts = slice(dimension("bias") + 1, None)
    for layer in _layers(model):
        attention, mlp = layer.self_attn, layer.mlp
        head = slice(-attention.head_dim, None)
        for module in (attention.q_proj, attention.k_proj, attention.v_proj):
            module.weight[head, facts] = drawn(module.weight[head, facts], _READ)
        written = attention.o_proj.weight[WIDTH:, head]
        written.copy_(drawn(written, 0.1))
        for module in (mlp.gate_proj, mlp.up_proj):
            module.weight[-_RANK:, facts] = drawn(module.weight[-_RANK:, facts], _READ)
        written = mlp.down_proj.weight[WIDTH:, -_RANK:]
        written.copy_(drawn(written, 0.1))


def _layers(model: Model) -> Iterator[LlamaDecoderLayer]:
    for layer in model.model.language_model.layers:
        yield cast(LlamaDecoderLayer, layer)


def _inputs(model: Model) -> tuple[Tensor, Tensor]:
    embeddings = cast(nn.Embedding, model.get_input_embeddings()).weight
    bias = model.model.multi_modal_projector.linear_2.bias
    assert bias is not None
    return embeddings, bias
