"""The one place where transformers is told to use attention of ours.

Transformers lets attention functions be registered by name and chosen by a configuration field, so
nothing is patched: `attention_function` registers one under a private name, points the decoder's
configuration to it, and undoes both.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PretrainedConfig
from transformers.masking_utils import eager_mask

from mmflow_bench.errors import KnockoutError

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
