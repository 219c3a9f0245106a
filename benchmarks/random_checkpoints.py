"""What benchmarks share: a checkpoint of random weights, and cost beside its own forward passes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count
from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration
from transformers.image_utils import SizeDict

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, assemble_checkpoint
from mmflow_bench.checkpoints.settings import CheckpointSettings, resolve_spec
from mmflow_bench.planted.language import processor
from mmflow_bench.planted.vocabulary import BEGIN, END, IMAGE, PAD, words

VOCABULARY = 32064


def random_checkpoint(
    *,
    layers: int,
    width: int,
    patches: int,
    heads: int = 8,
    kv_heads: int = 8,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> LoadedCheckpoint:
    """Random weights, made where they are used, under the processor of the embedded checkpoint."""
    torch.manual_seed(0)
    token = {word: index for index, word in enumerate(words())}
    special = {
        "bos_token_id": token[BEGIN],
        "eos_token_id": token[END],
        "pad_token_id": token[PAD],
    }
    side = 14 * patches
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=side,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            hidden_size=width,
            intermediate_size=int(width * 2.7),
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=kv_heads,
            vocab_size=VOCABULARY,
            **special,
        ),
        image_token_index=token[IMAGE],
        image_seq_length=patches**2,
        attn_implementation="sdpa",
        **special,
    )
    with torch.device(device), default_dtype(dtype):
        model = LlavaForConditionalGeneration(config).eval()
    # In a narrow decoder, weights of the usual scale hardly attend, and no knockout would show.
    scale = 3.0 * (512 / width) ** 0.5
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "embed" not in name:
                parameter.mul_(scale)
    made = processor()
    made.image_processor.size = SizeDict(shortest_edge=side)
    made.image_processor.crop_size = SizeDict(height=side, width=side)
    spec = resolve_spec("planted/base", CheckpointSettings(device=device))
    return assemble_checkpoint(model, made, spec=spec, identity="benchmark")


@contextmanager
def default_dtype(dtype: torch.dtype) -> Iterator[None]:
    """What is made in here has this precision."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def seconds(function: Callable[[], object]) -> float:
    """Processor time: other programs take none of it."""
    began = time.process_time()
    function()
    return time.process_time() - began


def in_forwards(function: Callable[[], object], plain: Callable[[], object], repeats: int) -> float:
    """Median of its cost against that of forward passes right before and right after it.

    Shared machines are fast and slow by turns; what is measured side by side shares its turn.
    """
    found = []
    for _ in range(repeats):
        before, taken, after = seconds(plain), seconds(function), seconds(plain)
        found.append(2 * taken / (before + after))
    return statistics.median(found)


def operations(function: Callable[[], object]) -> int:
    """Multiplications and additions of its matrix products and of its attention."""
    kernel = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    with FlopCounterMode(display=False, custom_mapping={kernel: _of_attention}) as counted:
        function()
    return counted.get_total_flops()


def _of_attention(
    query: Sequence[int],
    key: Sequence[int],
    value: Sequence[int],
    _: float = 0.0,
    is_causal: bool = False,
    **__: object,
) -> int:
    whole: int = sdpa_flop_count(query, key, value)
    # Blocks above the diagonal are skipped.
    return whole // 2 if is_causal else whole


@contextmanager
def counting(checkpoint: LoadedCheckpoint) -> Iterator[Callable[[], int]]:
    """Tells how many positions have gone through decoder layers while this is open."""
    count = 0

    # Afterwards it is known what a layer was given: an intervention may replace what comes in.
    def leave(
        _: nn.Module, given: tuple[Tensor, ...], named: dict[str, Tensor], __: object
    ) -> None:
        nonlocal count
        hidden = given[0] if given else named["hidden_states"]
        count += hidden.shape[0] * hidden.shape[1]

    with ExitStack() as hooks:
        for layer in checkpoint.parts.decoder_layers:
            hook = layer.register_forward_hook(leave, with_kwargs=True)
            hooks.callback(hook.remove)
        yield lambda: count
