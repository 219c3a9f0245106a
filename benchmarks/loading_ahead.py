"""What preparing samples ahead in threads saves, as a ratio of one run.

An accelerator is stood in for by waiting, which leaves the processor free as an accelerator does:
as long per sample as the sample takes to prepare, the case in which there is most to save. Photos
are decoded from JPEG and resized by the checkpoint's own processor.

    python benchmarks/loading_ahead.py [--samples 40] [--workers 0,1,2] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from mmflow_bench.checkpoints.loading import LoadedCheckpoint, load_checkpoint
from mmflow_bench.checkpoints.registry import resolve_checkpoint
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.measurements.ahead import encoded_ahead


def photos(folder: Path, count: int, width: int, height: int) -> list[Sample]:
    """Smooth noise as JPEG files, which decode about as slowly as photos do."""
    samples = []
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 255, (height // 8, width // 8, 3))
        image = Image.fromarray(coarse.astype(np.uint8)).resize((width, height))
        path = folder / f"{number}.jpg"
        image.save(path, quality=92)
        samples.append(
            Sample(
                question_id=str(number),
                image_id=str(number),
                task="ChooseAttr",
                question="What color is the cup, red or blue?",
                answer="red",
                image=path,
            )
        )
    return samples


def seconds(
    checkpoint: LoadedCheckpoint, samples: list[Sample], *, workers: int, busy: float
) -> float:
    """Time until every sample has been on the accelerator."""
    start = time.perf_counter()
    for _ in encoded_ahead(checkpoint, samples, workers=workers):
        time.sleep(busy)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="planted/mini")
    parser.add_argument("--samples", type=int, default=40)
    parser.add_argument("--workers", default="0,1,2")
    parser.add_argument("--size", default="1600x1200", help="of the photos, in pixels")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--output", type=Path, help="write the numbers as JSON")
    options = parser.parse_args()
    width, height = map(int, options.size.split("x"))
    checkpoint = load_checkpoint(resolve_checkpoint(options.model))
    workers = [int(number) for number in options.workers.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        samples = photos(Path(folder), options.samples, width, height)
        seconds(checkpoint, samples[:2], workers=0, busy=0.0)
        busy = seconds(checkpoint, samples, workers=0, busy=0.0) / len(samples)
        # In turns, so that what else runs on the machine slows all of them alike.
        turns = [
            {n: seconds(checkpoint, samples, workers=n, busy=busy) for n in workers}
            for _ in range(options.repeats)
        ]
        taken = {n: min(turn[n] for turn in turns) for n in workers}
    result = {
        "samples": options.samples,
        "photo": options.size,
        "cores": os.cpu_count(),
        "seconds_to_prepare_one": busy,
        "seconds": taken,
        "ratio": {number: taken[workers[0]] / value for number, value in taken.items()},
    }
    print(f"{1000 * busy:.1f} ms to prepare a sample of {options.size} pixels")
    for number, value in taken.items():
        print(f"{number} workers: {value:.2f} s, ratio {result['ratio'][number]:.2f}")
    if options.output:
        options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
