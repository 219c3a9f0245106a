"""What sweeps cost on an accelerator: random weights of full size, made there, in a few minutes.

In turn, and each is kept as soon as it is known: whether the engine agrees with one forward pass
for each knockout (float32 and bfloat16); seconds, memory and share of the device's peak for the
sweep of a sample in the size of LLaVA-1.5 and LLaVA-NeXT; whether results stay as they are when
memory runs out on the way, and when layers are offloaded. Without an accelerator the same is run
on the processor at a fraction of the size, which says that it works and nothing about speed.

    python benchmarks/on_accelerator.py [--device cuda] [--minutes 8] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import torch
from accelerate import cpu_offload
from knockout_speed import PEERS, difference
from machine import machine
from random_checkpoints import counting
from random_sweeps import GEOMETRIES, Geometry, Sweep

from mmflow_bench.measurements.memory import Throttle

WIDTHS = {"llava-1.5-7b": 4096, "llava-1.5-13b": 5120, "llava-next-7b": 4096, "llava-next-8b": 4096}
KV_HEADS = {"llava-next-8b": 8}
PEAKS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40": 181e12, "A10": 125e12}
"""Dense operations per second in bfloat16, as the vendor states them."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
FEW_LAYERS = 8


def full(name: str, device: str) -> tuple[Geometry, int]:
    """A geometry with its own heads and width; on a processor, what that can carry."""
    geometry = GEOMETRIES[name]
    if device == "cpu":
        return replace(geometry, layers=4, patches=8), 256
    width = WIDTHS[name]
    heads = width // 128
    return replace(geometry, heads=heads, kv_heads=KV_HEADS.get(name, heads)), width


def synchronised(device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(function: Callable[[], object], device: str, repeats: int = 3) -> float:
    """Median, after one that is not counted."""
    function()
    found = []
    for _ in range(repeats):
        began = synchronised(device)
        function()
        found.append(synchronised(device) - began)
    return statistics.median(found)


def agreement(device: str) -> Iterator[dict[str, object]]:
    """The engine beside masks that are set in transformers' own attention, at full width."""
    geometry, width = full("llava-1.5-7b", device)
    geometry = replace(geometry, layers=min(geometry.layers, FEW_LAYERS))
    for name, dtype in DTYPES.items():
        sweep = Sweep(geometry, width, device=device, dtype=dtype)
        fast = sweep.fast().float().softmax(dim=-1)
        for peer in ("batched", "published"):
            run, rows = PEERS[peer]
            distance = difference(sweep, fast, run, rows)
            yield {"what": "agreement", "dtype": name, "peer": peer, "difference": distance}


def cost(name: str, device: str, peak: float | None) -> dict[str, object]:
    """A sweep in bfloat16."""
    geometry, width = full(name, device)
    sweep = Sweep(geometry, width, device=device, dtype=torch.bfloat16)
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    plain, whole = seconds(sweep.plain, device), seconds(sweep.fast, device)
    with counting(sweep.checkpoint) as counted:
        sweep.fast()
        positions = counted()
    weights = sum(
        parameter.numel()
        for layer in sweep.checkpoint.parts.decoder_layers
        for parameter in layer.parameters()
    )
    operations = 2 * weights * positions / sweep.layers
    return {
        "what": "cost",
        "geometry": name,
        **asdict(geometry),
        "width": width,
        "knockouts": len(sweep.knockouts),
        "plain_seconds": plain,
        "seconds": whole,
        "forwards": whole / plain,
        "counted_forwards": positions / (sweep.layers * sweep.length),
        "clean_in_forwards": seconds(sweep.clean, device) / plain,
        "operations": operations,
        "share_of_peak": operations / whole / peak if peak else None,
        "memory": torch.cuda.max_memory_allocated() if device == "cuda" else None,
    }


def stepping(device: str) -> dict[str, object]:
    """The same sweep where little more than the weights fits."""
    geometry, width = full("llava-1.5-7b", device)
    sweep = Sweep(geometry, width, device=device, dtype=torch.bfloat16)
    clean, throttle = sweep.clean(), Throttle(sweep.checkpoint, 1)
    expected = throttle.knockout_logits(clean, sweep.knockouts)
    if device == "cuda":
        torch.cuda.empty_cache()
        total = torch.cuda.get_device_properties(0).total_memory
        # A fraction of what the whole sweep takes beside the weights.
        room = torch.cuda.memory_allocated() + (200 << 20)
        torch.cuda.set_per_process_memory_fraction(room / total)
    try:
        got = throttle.knockout_logits(clean, sweep.knockouts)
    finally:
        if device == "cuda":
            torch.cuda.set_per_process_memory_fraction(1.0)
    distance = float((got.softmax(-1) - expected.softmax(-1)).abs().max())
    positions = throttle.positions
    return {"what": "stepping", "difference": distance, "positions_at_once": positions}


def offloading(device: str) -> dict[str, object]:
    """The same sweep with every layer's weights kept on the processor."""
    geometry, width = full("llava-1.5-7b", device)
    geometry = replace(geometry, layers=min(geometry.layers, FEW_LAYERS))
    sweep = Sweep(geometry, width, device=device, dtype=torch.bfloat16)
    expected, near = sweep.fast(), seconds(sweep.fast, device, 1)
    cpu_offload(sweep.checkpoint.model, execution_device=torch.device(device))
    distance = float((sweep.fast().softmax(-1) - expected.softmax(-1)).abs().max())
    far = seconds(sweep.fast, device, 1)
    return {"what": "offloading", "difference": distance, "seconds": near, "offloaded_seconds": far}


def steps(device: str, peak: float | None) -> Iterator[dict[str, object]]:
    yield from agreement(device)
    for name in WIDTHS:
        yield cost(name, device, peak)
        # The next one needs the room.
        gc.collect()
        if device == "cuda":
            torch.cuda.empty_cache()
    yield stepping(device)
    yield offloading(device)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    chosen = "cuda" if torch.cuda.is_available() else "cpu"
    options.add_argument("--device", choices=["cuda", "cpu"], default=chosen)
    options.add_argument("--minutes", type=float, default=8.0, help="nothing begins after these")
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    name = torch.cuda.get_device_name() if asked.device == "cuda" else "processor, reduced size"
    peak = next((peak for known, peak in PEAKS.items() if known in name), None)
    told = {"device": name, "machine": machine(), "steps": []}
    began = time.monotonic()
    for step in steps(asked.device, peak):
        told["steps"].append(step)
        print(json.dumps(step), flush=True)
        if asked.output:
            asked.output.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
        if time.monotonic() - began > 60 * asked.minutes:
            print("out of time")
            break


if __name__ == "__main__":
    main()
