"""How much faster the fast path is than one full forward pass per knockout, as a ratio of one run.

Geometry of LLaVA-1.5-13b: 40 decoder layers, 40 -> 8 heads, 576 image positions between prompt and
question, the six edges of the paper around every layer in windows of 9. Width is reduced and
weights are random, so that it runs on a laptop; both paths see the same model and sample.

    python benchmarks/knockout_speed.py [--layers 40] [--width 512] [--full] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
)

from mmflow_bench.checkpoints.parts import Parts, parts_of
from mmflow_bench.interventions.clean import clean_passes
from mmflow_bench.interventions.definition import definition_logits
from mmflow_bench.interventions.knockout import Knockout, layer_window
from mmflow_bench.interventions.suffixes import knockout_logits

PROMPT, QUESTION, SUFFIX = 5, 12, 22
IMAGE_TOKEN = 32000


@dataclass(frozen=True)
class Benchmarked:
    """A model and its parts, as the engine takes them."""

    model: PreTrainedModel
    parts: Parts


def random_checkpoint(layers: int, width: int, kv_heads: int, *, patches: int) -> Benchmarked:
    torch.manual_seed(0)
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=14 * patches,
            patch_size=14,
        ),
        text_config=LlamaConfig(
            hidden_size=width,
            intermediate_size=int(width * 2.7),
            num_hidden_layers=layers,
            num_attention_heads=8,
            num_key_value_heads=kv_heads,
            vocab_size=32064,
        ),
        image_token_id=IMAGE_TOKEN,
        attn_implementation="eager",
    )
    model = LlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        # Random weights of the usual scale hardly attend; larger ones make knockouts visible.
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(3.0)
    return Benchmarked(model=model, parts=parts_of(model))


def random_sample(patches: int) -> tuple[dict[str, Tensor], dict[str, tuple[tuple[int, ...], ...]]]:
    image = tuple(range(PROMPT, PROMPT + patches**2))
    question = tuple(range(image[-1] + 1, image[-1] + 1 + QUESTION))
    length = question[-1] + 1 + SUFFIX
    ids = torch.randint(5, 31000, (1, length))
    ids[0, list(image)] = IMAGE_TOKEN
    pixels = torch.randn(1, 3, 14 * patches, 14 * patches)
    related = image[len(image) // 4 : len(image) // 3]
    other = tuple(position for position in image if position not in related)
    last = (length - 1,)
    edges = {
        "question->last": (question, last),
        "image->last": (image, last),
        "last->last": (last, last),
        "image->question": (image, question),
        "related_patches->question": (related, question),
        "other_patches->question": (other, question),
    }
    return {"input_ids": ids, "pixel_values": pixels}, edges


def sweep(
    edges: dict[str, tuple[tuple[int, ...], ...]], *, layers: int, window: int
) -> dict[tuple[str, int], Knockout]:
    return {
        (name, center): Knockout(
            sources=sources, targets=targets, layers=layer_window(center, window, layers)
        )
        for name, (sources, targets) in edges.items()
        for center in range(layers)
    }


def measure(options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(options.threads)
    checkpoint = random_checkpoint(
        options.layers, options.width, options.kv_heads, patches=options.patches
    )
    inputs, edges = random_sample(options.patches)
    knockouts = sweep(edges, layers=options.layers, window=options.window)
    # One thread's processor time does not count what other programs take from it.
    clock = time.process_time if options.threads == 1 else time.perf_counter
    fast_seconds = []
    for _ in range(options.repeats):
        began = clock()
        clean = clean_passes(checkpoint, [inputs])[0]
        fast = knockout_logits(checkpoint, clean, list(knockouts.values()))
        fast_seconds.append(clock() - began)
    rows = dict(zip(knockouts, fast, strict=True))
    chosen = list(knockouts)
    if not options.full:
        step = max(1, options.layers // options.centers)
        chosen = [key for key in knockouts if key[1] % step == 0]
    definition_logits(checkpoint, inputs, knockouts[chosen[0]])
    slow_seconds, largest = [], 0.0
    for key in chosen:
        began = clock()
        slow = definition_logits(checkpoint, inputs, knockouts[key])
        slow_seconds.append(clock() - began)
        expected, got = slow.softmax(dim=-1), rows[key].softmax(dim=-1)
        answer = int(expected.argmax())
        largest = max(largest, float((got[answer] - expected[answer]).abs() / expected[answer]))
    # Every forward pass costs the same, so the best of each path is what the machine can do; means
    # would compare how busy it was.
    slow_total = sum(slow_seconds) if options.full else min(slow_seconds) * len(knockouts)
    fast_total = min(fast_seconds)
    return {
        "layers": options.layers,
        "width": options.width,
        "kv_heads": options.kv_heads,
        "image_positions": options.patches**2,
        "window": options.window,
        "knockouts": len(knockouts),
        "threads": options.threads,
        "clock": "processor" if options.threads == 1 else "wall",
        "processor": platform.processor() or platform.machine(),
        "torch": torch.__version__,
        "fast_seconds": fast_total,
        "definition_knockouts_timed": len(chosen),
        "definition_seconds": slow_total,
        "definition_is_scaled": len(chosen) < len(knockouts),
        "largest_relative_difference": largest,
        "ratio": slow_total / fast_total,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--kv-heads", type=int, default=8)
    parser.add_argument("--patches", type=int, default=24, help="patches along one side")
    parser.add_argument("--window", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="timings of the fast path")
    parser.add_argument("--centers", type=int, default=4, help="timed per edge by definition")
    parser.add_argument("--full", action="store_true", help="time every knockout by definition")
    parser.add_argument("--output", type=Path, help="write the numbers as JSON")
    options = parser.parse_args()
    result = measure(options)
    scaled = f" (scaled from {result['definition_knockouts_timed']})"
    print(
        f"{result['knockouts']} knockouts, {options.layers} layers, "
        f"{result['image_positions']} image positions, width {options.width}, "
        f"{options.threads} thread(s)\n"
        f"definition path {result['definition_seconds']:.1f} s"
        f"{scaled if result['definition_is_scaled'] else ''}, "
        f"fast path {result['fast_seconds']:.2f} s, "
        f"largest relative difference {result['largest_relative_difference']:.1e}\n"
        f"ratio {result['ratio']:.1f}"
    )
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
