"""What all knockouts of a sample cost, in plain forward passes, beside other ways to get them.

The six edges of the paper around every layer in windows of 9, of random weights in the geometry of
a checkpoint (`GEOMETRIES`) at reduced width. In the same process, on the same model and sample:

- `plain`: as many of transformers' own forward passes with SDPA, which cut nothing;
- `batched`: one forward pass for each knockout done well, the image encoded once, the six edges of
  a layer in one batch, a mask only in the layers that are cut, SDPA;
- `nnsight`: the same, set by nnsight, where it is installed;
- `published`: as the published program does it, the whole model again for each knockout, image
  included, with eager attention.

The engine's own numbers are medians of `--repeats`. Others are timed once at each of a few layers,
and the median over those is scaled to all.

    python benchmarks/knockout_speed.py [--geometry llava-1.5-13b ...] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib import util
from pathlib import Path
from typing import Any

import torch
from machine import machine, resident
from random_checkpoints import counting, in_forwards, operations, seconds
from random_sweeps import GEOMETRIES, Sweep
from torch import Tensor


@contextmanager
def masked(sweep: Sweep, layers: Sequence[int], masks: Tensor) -> Iterator[None]:
    """The attention of some layers is given these masks, in place of the model's own."""

    def before(_: object, args: tuple[Any, ...], named: dict[str, Any]) -> object:
        return args, {**named, "attention_mask": masks}

    with ExitStack() as hooks:
        for layer in layers:
            attention = sweep.checkpoint.parts.decoder_layers[layer].self_attn
            hook = attention.register_forward_pre_hook(before, with_kwargs=True)
            hooks.callback(hook.remove)
        yield


@torch.inference_mode()
def batched(sweep: Sweep, layer: int) -> Tensor:
    """One forward pass for every edge around a layer, in one batch."""
    model, knockouts = sweep.checkpoint.model, sweep.at(layer)
    rows = sweep.embeddings.expand(len(knockouts), -1, -1)
    with masked(sweep, knockouts[0].layers, sweep.masks(knockouts)):
        return model(inputs_embeds=rows, use_cache=False, logits_to_keep=1).logits[:, -1]


@torch.inference_mode()
def by_nnsight(sweep: Sweep, layer: int) -> Tensor:
    """The same, with nnsight setting the masks."""
    from nnsight import NNsight

    knockouts = sweep.at(layer)
    rows, masks = sweep.embeddings.expand(len(knockouts), -1, -1), sweep.masks(knockouts)
    traced = NNsight(sweep.checkpoint.model)
    with traced.trace(inputs_embeds=rows, use_cache=False, logits_to_keep=1):
        for cut in knockouts[0].layers:
            attention = traced.model.language_model.layers[cut].self_attn
            given, named = attention.inputs
            attention.inputs = (given, {**named, "attention_mask": masks})
        logits = traced.output.logits.save()
    return logits[:, -1]


@torch.inference_mode()
def published(sweep: Sweep, layer: int) -> Tensor:
    """The whole model for one edge around a layer, with eager attention."""
    model, knockout = sweep.checkpoint.model, sweep.at(layer)[3]
    model.set_attn_implementation("eager")
    try:
        with masked(sweep, knockout.layers, sweep.masks([knockout])):
            return model(**sweep.inputs, use_cache=False, logits_to_keep=1).logits[:, -1]
    finally:
        model.set_attn_implementation("sdpa")


PEERS: Mapping[str, tuple[Callable[[Sweep, int], Tensor], int]] = {
    "batched": (batched, 6),
    "nnsight": (by_nnsight, 6),
    "published": (published, 1),
}
"""With the knockouts that one call has."""


def measured(name: str, options: argparse.Namespace) -> dict[str, object]:
    torch.set_num_threads(1)
    geometry = GEOMETRIES[name]
    sweep = Sweep(geometry, options.width)
    count, clean = len(sweep.knockouts), sweep.clean()
    fast = sweep.fast().softmax(dim=-1)
    forwards = in_forwards(sweep.fast, sweep.plain, options.repeats)
    with counting(sweep.checkpoint) as counted:
        sweep.fast()
        bound = counted() / (sweep.layers * sweep.length)
    peers: dict[str, object] = {"plain": {"forwards": count, "ratio": count / forwards}}
    layers = range(0, sweep.layers, max(1, sweep.layers // options.centres))
    for peer, (run, rows) in PEERS.items():
        own = sweep
        if peer == "nnsight":
            if util.find_spec("nnsight") is None:
                continue
            # It leaves a model changed: one of its own, of the same weights.
            own = Sweep(geometry, options.width)
            _ = own.embeddings
        of_layers = [
            in_forwards(lambda run=run, own=own, at=at: run(own, at), sweep.plain, 1)
            for at in layers
        ]
        total = statistics.median(of_layers) * count / rows
        found = {"forwards": total, "ratio": total / forwards}
        peers[peer] = found | {"largest_difference": difference(own, fast, run, rows)}
    return {
        "geometry": name,
        **asdict(geometry),
        "width": options.width,
        "positions": sweep.length,
        "knockouts": count,
        "forward_seconds": statistics.median(seconds(sweep.plain) for _ in range(3)),
        "clean_in_forwards": in_forwards(sweep.clean, sweep.plain, options.repeats),
        "forwards": forwards,
        "counted_forwards": bound,
        "share_of_bound": bound / forwards,
        "operations_in_forwards": operations(sweep.fast) / operations(sweep.plain),
        "twins_in_forwards": in_forwards(
            lambda: sweep.twins(clean), sweep.plain, min(3, options.repeats)
        ),
        "peers": peers,
        "memory_of_plain": peak_memory(name, options, "plain"),
        "memory_of_generating": peak_memory(name, options, "generating"),
        "memory": peak_memory(name, options, "fast"),
    }


def difference(sweep: Sweep, fast: Tensor, run: Callable[[Sweep, int], Tensor], rows: int) -> float:
    """Between the engine and a peer, of the probability of each knockout's likeliest token."""
    layer = sweep.layers // 4
    expected = run(sweep, layer).softmax(dim=-1)
    got = fast[layer :: sweep.layers] if rows > 1 else fast[layer :: sweep.layers][3:4]
    likeliest = expected.argmax(dim=-1, keepdim=True)
    expected, got = expected.gather(1, likeliest), got.gather(1, likeliest)
    return float(((got - expected).abs() / expected).max())


def peak_memory(name: str, options: argparse.Namespace, what: str) -> int:
    """Bytes that a process takes at most for this, beyond those of the loaded model; on Linux."""
    command = [sys.executable, __file__, f"--geometry={name}", f"--width={options.width}"]
    told = subprocess.run([*command, f"--peak={what}"], check=True, capture_output=True, text=True)
    return int(told.stdout.split()[-1])


def print_peak(name: str, options: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    sweep = Sweep(GEOMETRIES[name], options.width)
    # Linux forgets the peak of what went before, the making of the weights above all.
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = resident("VmRSS")
    getattr(sweep, options.peak)()
    print(resident("VmHWM") - before)


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--geometry", choices=GEOMETRIES, action="append")
    options.add_argument("--width", type=int, default=512)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--centres", type=int, default=3, help="layers at which others are timed")
    options.add_argument("--peak", choices=["plain", "generating", "fast"], help=argparse.SUPPRESS)
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    return options


def main() -> None:
    options = parser().parse_args()
    names = options.geometry or list(GEOMETRIES)
    if options.peak:
        print_peak(names[0], options)
        return
    found = []
    for name in names:
        found.append(one := measured(name, options))
        ratios = ", ".join(f"{peer} {of['ratio']:.0f}" for peer, of in one["peers"].items())  # type: ignore[attr-defined]
        print(
            f"{name}: {one['knockouts']} knockouts in {one['forwards']:.1f} forward passes "
            f"(counted {one['counted_forwards']:.1f}, operations "
            f"{one['operations_in_forwards']:.1f}); times less than {ratios}",
            flush=True,
        )
    if options.output:
        text = json.dumps({"machine": machine(), "geometries": found}, indent=2)
        options.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
