"""Attention that can be cut, and the one place where transformers is told to use it.

Transformers lets attention functions be registered by name and chosen by a configuration field, so
nothing is patched: `attention_function` registers one under a private name, points the decoder's
configuration to it, and undoes both. `attend` is the arithmetic: queries of many rows over keys
that all rows share (the prefix, never copied) and keys of their own (the suffix).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.masking_utils import eager_mask

from mmflow_bench.errors import KnockoutError
from mmflow_bench.interventions.knockout import Method

AttentionFunction = Callable[..., tuple[Tensor, None]]

# What attention functions are called with and does not change their result, or is accounted for:
# masks already carry the sliding window, and evaluation has no dropout.
_UNDERSTOOD = {
    "cache_position",
    "dropout",
    "is_causal",
    "logits_to_keep",
    "output_attentions",
    "output_hidden_states",
    "position_ids",
    "return_dict",
    "scaling",
    "sliding_window",
    "softcap",
    "use_cache",
}
# Attention scores held at once: a processor is fastest when they fit its cache, an accelerator when
# they are many.
_SCORES_AT_ONCE_CPU = 2**20
_SCORES_AT_ONCE = 2**27
_numbers = itertools.count()


@contextmanager
def attention_function(
    decoder: nn.Module, function: AttentionFunction, *, with_masks: bool
) -> Iterator[None]:
    """The decoder attends through `function` while this is open; afterwards as before.

    A vision tower beside the decoder keeps its own attention. With `with_masks` the model builds
    its 4-D additive mask, also for a sequence without padding; otherwise `function` gets None.
    """
    name = f"mmflow_bench_{next(_numbers)}"
    AttentionInterface.register(name, function)
    if with_masks:
        AttentionMaskInterface.register(name, eager_mask)
    try:
        with attention_implementation(decoder, name):
            yield
    finally:
        # Interfaces can register but not unregister, hence the mapping itself.
        AttentionInterface._global_mapping.pop(name, None)
        AttentionMaskInterface._global_mapping.pop(name, None)


@contextmanager
def attention_implementation(decoder: nn.Module, name: str) -> Iterator[None]:
    """Every configuration in the decoder names this attention while this is open."""
    configs = {id(config): config for config in _configs(decoder)}.values()
    before = [(config, config._attn_implementation_internal) for config in configs]
    try:
        for config, _ in before:
            config._attn_implementation_internal = name
        yield
    finally:
        for config, implementation in before:
            config._attn_implementation_internal = implementation


def _configs(decoder: nn.Module) -> Iterator[PretrainedConfig]:
    for module in decoder.modules():
        config = getattr(module, "config", None)
        if isinstance(config, PretrainedConfig):
            yield config


def check_arguments(
    module: nn.Module, query: Tensor, key: Tensor, arguments: Mapping[str, object]
) -> None:
    """Refuse an attention layer that asks for more than scores, a cap, a softmax and values."""
    where = type(module).__name__
    unknown = [
        name for name, value in arguments.items() if name not in _UNDERSTOOD and value is not None
    ]
    if unknown:
        raise KnockoutError(
            f"attention from scores, softmax and values alone, got the argument {unknown[0]!r} "
            f"({where}); this kind of decoder cannot be measured"
        )
    if arguments.get("dropout"):
        raise KnockoutError(
            f"a model in evaluation mode, got attention dropout {arguments['dropout']} ({where}); "
            "call `model.eval()`"
        )
    if key.shape[0] != query.shape[0] or key.shape[2] != query.shape[2]:
        raise KnockoutError(
            f"one key for every query of the pass, got {tuple(key.shape)} keys for "
            f"{tuple(query.shape)} queries ({where}); layers that reuse other layers' keys cannot "
            "be measured"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """The edges that one row of the batch is without."""

    edges: Bool[Tensor, "query key"]
    """True where cut; queries of the suffix, keys of prefix and suffix."""
    sources: Tensor
    """Key positions, for replaced values."""
    targets: Tensor
    """Query positions counted from the start of the suffix, for replaced values."""
    heads: tuple[int, ...] | None = None
    """Where they are cut; None for every head."""

    def in_heads(self, count: int, kv_heads: int) -> Bool[Tensor, "kv_head group query key"]:
        """The edges by head, of which `count` share `kv_heads` keys and values."""
        if self.heads is None:
            return self.edges[None, None]
        is_cut = torch.zeros(count, dtype=torch.bool, device=self.edges.device)
        is_cut[list(self.heads)] = True
        return is_cut.view(kv_heads, -1, 1, 1) & self.edges


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What all rows of a batch have in common at one layer."""

    keys: Float[Tensor, "kv_head prefix dim"]
    values: Float[Tensor, "kv_head prefix dim"]
    hidden: Bool[Tensor, "query key"]
    """True where the model's own mask hides a key of prefix or suffix from a query."""
    hides_prefix: bool
    """Whether any of that is in the prefix, as with sliding windows."""
    replaced_values: Float[Tensor, "kv_head other_key dim"] | None
    """Values of the counterfactual sample."""
    method: Method
    """What cutting means."""
    scaling: float
    """Factor on scores."""
    softcap: float | None
    """Bound that scores are squeezed into, where the family has one."""


def attend(
    query: Float[Tensor, "row head query dim"],
    key: Float[Tensor, "row kv_head query dim"],
    value: Float[Tensor, "row kv_head query dim"],
    *,
    shared: Shared,
    cuts: Mapping[int, Sequence[Cut]],
) -> Float[Tensor, "row query head dim"]:
    """What every query of the suffix reads, each row without its own cut edges.

    Keys and values of the prefix are in `shared`. Rows that `cuts` does not name are whole.
    """
    rows, heads, queries, _ = query.shape
    per_row = max(1, heads * queries * (shared.keys.shape[1] + queries))
    at_once = _SCORES_AT_ONCE_CPU if query.device.type == "cpu" else _SCORES_AT_ONCE
    step = max(1, at_once // per_row)
    read = []
    for start in range(0, rows, step):
        part = slice(start, start + step)
        here = {row - start: cut for row, cut in cuts.items() if start <= row < start + step}
        read.append(_Block(shared, query[part], key[part], value[part]).read(here))
    return torch.cat(read)


class _Block:
    """Some rows of `attend`; scores of prefix and suffix are kept apart, so nothing is joined."""

    def __init__(self, shared: Shared, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Compute the scores, the model's own mask included."""
        rows, heads, queries, dim = query.shape
        kv_heads = key.shape[1]
        self.shared = shared
        self.value = value
        self.shape = (kv_heads, rows, heads // kv_heads, queries)
        # One GEMM per key-value head over the queries of all rows: the prefix is read once.
        grouped = query.reshape(rows, kv_heads, -1, queries, dim).transpose(0, 1)
        length = shared.keys.shape[1]
        common = _scores(grouped.flatten(1, 3), shared.keys, shared)
        self.prefix = common.view(*self.shape, length)
        own = _scores(query.reshape(rows * kv_heads, -1, dim), key.flatten(0, 1), shared)
        self.suffix = own.view(rows, kv_heads, -1, queries, queries).transpose(0, 1)
        self.suffix.masked_fill_(shared.hidden[:, length:], -torch.inf)
        if shared.hides_prefix:
            self.prefix.masked_fill_(shared.hidden[:, :length], -torch.inf)

    def read(self, cuts: Mapping[int, Sequence[Cut]]) -> Float[Tensor, "row query head dim"]:
        """Softmax and values; scores become weights in place."""
        method = self.shared.method
        if method is Method.MASKED:
            self._fill(cuts, -torch.inf)
        total = self._softmax()
        replaced = {}
        if method is not Method.MASKED:
            if method is Method.COUNTERFACTUAL:
                replaced = {
                    row: (cut.targets, self._replaced(row, cut))
                    for row, of_row in cuts.items()
                    for cut in of_row
                }
            self._fill(cuts, 0.0)
        output = self._values()
        for row, (targets, read) in replaced.items():
            output[:, row].index_add_(2, targets, read)
        output /= total
        kv_heads, rows, group, queries = self.shape
        joined = output.permute(1, 3, 0, 2, 4).reshape(rows, queries, kv_heads * group, -1)
        return joined.to(self.value.dtype)

    def _fill(self, cuts: Mapping[int, Sequence[Cut]], value: float) -> None:
        kv_heads, _, group, _ = self.shape
        length = self.prefix.shape[-1]
        for row, of_row in cuts.items():
            for cut in of_row:
                edges = cut.in_heads(kv_heads * group, kv_heads)
                self.prefix[:, row].masked_fill_(edges[..., :length], value)
                self.suffix[:, row].masked_fill_(edges[..., length:], value)

    def _softmax(self) -> Float[Tensor, "kv_head row group query 1"]:
        """Exponentials in place; the sum that they are yet to be divided by."""
        most = self.suffix.amax(dim=-1, keepdim=True)
        if self.prefix.shape[-1]:
            most = torch.maximum(most, self.prefix.amax(dim=-1, keepdim=True))
        self.prefix.sub_(most).exp_()
        self.suffix.sub_(most).exp_()
        return self.prefix.sum(dim=-1, keepdim=True) + self.suffix.sum(dim=-1, keepdim=True)

    def _replaced(self, row: int, cut: Cut) -> Float[Tensor, "kv_head group target dim"]:
        """What the targets of one row read from the sources' counterfactual values."""
        assert self.shared.replaced_values is not None
        weights = torch.cat([self.prefix[:, row], self.suffix[:, row]], dim=-1)
        weights = weights[:, :, cut.targets][..., cut.sources]
        values = self.shared.replaced_values[:, None, cut.sources]
        return weights @ values.to(weights.dtype)

    def _values(self) -> Float[Tensor, "kv_head row group query dim"]:
        dtype, wide = self.value.dtype, self.prefix.dtype
        prefix = torch.bmm(self.prefix.flatten(1, 3).to(dtype), self.shared.values)
        suffix = torch.einsum("krgqs,rksd->krgqd", self.suffix.to(dtype), self.value)
        return suffix.to(wide) + prefix.view_as(suffix).to(wide)


def _scores(
    query: Float[Tensor, "batch query dim"], key: Float[Tensor, "batch key dim"], shared: Shared
) -> Float[Tensor, "batch query key"]:
    """Scaled scores in float32 or wider; the scaling rides on the GEMM."""
    nothing = query.new_zeros(1, 1, 1)
    scores = torch.baddbmm(nothing, query, key.transpose(1, 2), beta=0, alpha=shared.scaling)
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    cap = shared.softcap
    return scores if cap is None else scores.div_(cap).tanh_().mul_(cap)
