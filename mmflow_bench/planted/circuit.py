"""Attention heads and gates as instructions, written into the weights of a Llama decoder.

An instruction takes a free head or free rows of a layer's MLP. Weights that no instruction wrote
are zero, so every other layer passes the residual stream on unchanged.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import torch
from transformers import LlamaModel
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from mmflow_bench.planted.residual import BIAS_VALUE, Form, dimension

MATCH_SCORE = 40.0
"""Attention score of one fulfilled match; what is not attended to leaks exp(-20) at most."""
SHARPNESS = 40.0
"""Scale at which SwiGLU's gate is a step: silu(40 x) / 40 is max(x, 0) to 1e-8 at half integers."""


class Circuit:
    """A decoder under construction: all weights zero but for norms and written instructions."""

    def __init__(self, decoder: LlamaModel) -> None:
        """Empty the layers of a decoder."""
        self._layers = [cast(LlamaDecoderLayer, layer) for layer in decoder.layers]
        self._heads: Counter[int] = Counter()
        self._rows: Counter[int] = Counter()
        self._slots: Counter[tuple[int, int]] = Counter()
        self._values: Counter[tuple[int, int]] = Counter()
        self._head_count = int(decoder.config.num_attention_heads)
        self._head_dim = int(self._layers[0].self_attn.head_dim)
        self._group = int(self._layers[0].self_attn.num_key_value_groups)
        identity = BIAS_VALUE / math.sqrt(decoder.config.hidden_size)
        with torch.no_grad():
            for parameter in decoder.parameters():
                parameter.zero_()
            for layer in self._layers:
                layer.input_layernorm.weight.fill_(identity)
                layer.post_attention_layernorm.weight.fill_(identity)
            decoder.norm.weight.fill_(identity)

    @torch.no_grad()
    def head(
        self,
        layer: int,
        *,
        match: Sequence[tuple[Form, Form]],
        copy: Iterable[tuple[int, int, float]],
        needed: float = 1.0,
        rivals: int = 0,
    ) -> None:
        """A head that copies facts from the keys that match; it copies nothing when none does.

        Args:
            layer: 0-based decoder layer.
            match: Pairs of a form on the query and a form on the key; the score of a key is the
                sum over pairs of their product.
            copy: Triples of a dimension read at the key, a dimension written at the query and the
                gain.
            needed: Number of fulfilled pairs that a match takes: half a pair less, and the query
                attends to the first token instead.
            rivals: Keys whose attention the first token draws beside those that match.

        Raises:
            ValueError: The layer has no free head, or the head no room for the instruction.
        """
        attention = self._layers[layer].self_attn
        head = self._free_head(layer)
        # heads that share keys and values (grouped-query attention) use different rows of them
        shared = (layer, head // self._group)
        start, shared_start = head * self._head_dim, shared[1] * self._head_dim
        scale = math.sqrt(MATCH_SCORE * math.sqrt(self._head_dim))
        level = needed + math.log(rivals) / MATCH_SCORE if rivals else needed - 0.5
        sink = ({dimension("bias"): 1 / BIAS_VALUE}, {dimension("begin"): level})
        slots = [*match, sink]
        first_slot = self._slots[shared]
        if first_slot + len(slots) > self._head_dim // 4:
            raise ValueError(f"at most {self._head_dim // 4 - 1} pairs, got {len(match)}")
        for slot, (query, key) in enumerate(slots, first_slot):
            # the first components of the slowest rotary pairs: position hardly turns them
            row = self._head_dim // 2 - 1 - slot
            _add(attention.q_proj.weight, start + row, query, scale)
            _add(attention.k_proj.weight, shared_start + row, key, scale)
        rows: dict[int, int] = {}
        for source, target, gain in copy:
            row = rows.setdefault(source, self._values[shared] + len(rows))
            if row >= self._head_dim:
                raise ValueError(f"at most {self._head_dim} facts per head (layer {layer})")
            attention.v_proj.weight[shared_start + row, source] = 1.0
            attention.o_proj.weight[target, start + row] += gain
        self._slots[shared] += len(slots)
        self._values[shared] += len(rows)

    @torch.no_grad()
    def when(self, layer: int, condition: Form, minus: float, amounts: Mapping[int, float]) -> None:
        """Adds `max(condition - minus, 0)` times the amounts; exact at integer conditions.

        Raises:
            ValueError: The layer's MLP has no free row.
        """
        bias = dimension("bias")
        mlp, row = self._layers[layer].mlp, self._free_row(layer)
        _add(mlp.gate_proj.weight, row, condition, SHARPNESS)
        mlp.gate_proj.weight[row, bias] -= SHARPNESS * minus / BIAS_VALUE
        mlp.up_proj.weight[row, bias] = 1 / (SHARPNESS * BIAS_VALUE)
        for target, amount in amounts.items():
            mlp.down_proj.weight[target, row] += amount

    def move(self, layer: int, *, flag: int, source: int, target: int, fraction: float) -> None:
        """Moves a fraction of one dimension to another wherever a flag of 1 is set.

        Raises:
            ValueError: The layer's MLP has no free row.
        """
        self.spread(layer, flag=flag, source=source, amounts={target: fraction, source: -fraction})

    @torch.no_grad()
    def spread(self, layer: int, *, flag: int, source: int, amounts: Mapping[int, float]) -> None:
        """Adds multiples of one dimension to others wherever a flag of 1 is set.

        Raises:
            ValueError: The layer's MLP has no free row.
        """
        mlp, row = self._layers[layer].mlp, self._free_row(layer)
        mlp.gate_proj.weight[row, flag] = SHARPNESS
        mlp.up_proj.weight[row, source] = 1 / SHARPNESS
        for target, amount in amounts.items():
            mlp.down_proj.weight[target, row] += amount

    def _free_head(self, layer: int) -> int:
        head = self._heads[layer]
        if head >= self._head_count:
            raise ValueError(f"at most {self._head_count} heads, got one more (layer {layer})")
        self._heads[layer] += 1
        return head

    def _free_row(self, layer: int) -> int:
        row = self._rows[layer]
        if row >= self._layers[layer].mlp.gate_proj.out_features:
            raise ValueError(f"at most {row} rows of the MLP, got one more (layer {layer})")
        self._rows[layer] += 1
        return row


def _add(weight: torch.Tensor, row: int, form: Form, scale: float) -> None:
    for column, coefficient in form.items():
        weight[row, column] += scale * coefficient
