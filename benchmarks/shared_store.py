"""What a store at a URL takes, by the packs in it: to write one, to come to all of them, to return.

A pack holds what was measured of `--samples` samples in `--shards` shards. The URL is a folder of
this machine unless another is given; below it nothing is deleted.

    python benchmarks/shared_store.py [--packs N]... [--url URL] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from machine import machine

from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.shards import Shard
from mmflow_bench.store.shared import store_at
from mmflow_bench.store.store import Store

LAYERS = 32


def shards_of(count: int) -> list[Shard]:
    # As many as there are windows of an edge: their names are all that differs.
    return [Sweep.of("image->question", width=2 * n + 1).shard for n in range(count)]


def rows(sample: str) -> list[dict[str, object]]:
    return [
        {"sample": sample, "layer": layer, "knockout_probability": (layer + 1) / 99}
        for layer in range(LAYERS)
    ]


def fill(store: Store, shards: list[Shard], *, packs: int, samples: int) -> list[float]:
    """Seconds of each pack, from rows in the journal to an object at the URL."""
    seconds = []
    for pack in range(packs):
        for place in range(samples):
            name = f"{pack:05}-{place:03}"
            store.append({shard: rows(name) for shard in shards}, sample=name)
        seconds.append(timed(lambda: store.share(shards)))
    return seconds


def timed(act: Callable[[], object]) -> float:
    began = time.perf_counter()
    act()
    return time.perf_counter() - began


def told(url: str, packs: int, asked: argparse.Namespace, folder: Path) -> dict[str, object]:
    shards = shards_of(asked.shards)
    identity = {"benchmark": "shared_store", "packs": packs, "at": time.time_ns()}

    def opened(machine_name: str) -> Store:
        return store_at(StoreAddress.parse(url, beside=folder / machine_name), identity)

    def read(machine_name: str) -> None:
        store = opened(machine_name)
        wanted = packs * asked.samples * LAYERS
        assert all(store.read(shard).num_rows == wanted for shard in shards)

    writing = fill(opened("writer"), shards, packs=packs, samples=asked.samples)
    return {
        "packs": packs,
        "seconds_to_write_one": sorted(writing)[len(writing) // 2],
        "seconds_to_come": timed(lambda: read("reader")),
        "seconds_to_return": timed(lambda: read("reader")),
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--packs", type=int, action="append", help="default 20 and 100")
    options.add_argument("--shards", type=int, default=20)
    options.add_argument("--samples", type=int, default=5, help="of each pack")
    options.add_argument("--url", help="where the packs are put")
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = asked.url or f"file://{folder}/disk"
        found = [told(url, packs, asked, folder) for packs in asked.packs or (20, 100)]
    about = {"machine": machine(), "shards": asked.shards, "samples_of_a_pack": asked.samples}
    text = json.dumps({**about, "url": asked.url or "a folder", "stores": found}, indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
