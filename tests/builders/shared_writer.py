"""A process that measures made-up rows into a store at a URL, until it ends or is killed.

python tests/builders/shared_writer.py URL FOLDER SAMPLES
"""

from __future__ import annotations

import sys
from pathlib import Path

from mmflow_bench.measurements.knockout_sweep import Sweep
from mmflow_bench.store import shared
from mmflow_bench.store.address import StoreAddress
from mmflow_bench.store.shards import Shard
from mmflow_bench.store.shared import store_at

IDENTITY = {"checkpoint": "made-up"}
SHARDS = tuple(
    Sweep.of(edge, width=9).shard for edge in ("image->question", "question->last", "image->last")
)
READY = "ready"


def rows(shard: Shard, sample: int) -> list[dict[str, object]]:
    seed = 2 + sample + len(shard.name)
    return [
        {"sample": f"{sample:04}", "layer": layer, "knockout_probability": 1 / (seed + layer)}
        for layer in range(4)
    ]


def write(place: Path | StoreAddress, samples: int) -> None:
    """Measure what is missing, and share it every few samples."""
    store = store_at(place, IDENTITY)
    store.remember({"decoder_layers": 4})
    print(READY, flush=True)
    missing = [n for n in range(samples) if f"{n:04}" not in store.finished(SHARDS[-1])]
    for count, sample in enumerate(missing):
        store.append({shard: rows(shard, sample) for shard in SHARDS}, sample=f"{sample:04}")
        if count % 5 == 4:
            store.share(SHARDS)
    store.compact(SHARDS)
    store.share(SHARDS)


if __name__ == "__main__":
    shared.SECONDS_BETWEEN_PACKS = 0.0
    url, folder, samples = sys.argv[1:]
    write(StoreAddress.parse(url, beside=Path(folder)), int(samples))
