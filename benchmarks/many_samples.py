"""What a run takes beside the model: store, statistics, verdicts and report of 5,525 samples.

The paper's six question sets about photos of one colour, with numbers that are made up (`made_up`):
one run fills the store, another decides everything from it, which loads no model. Of each it is
told where the time went (`stages`), and the most memory that it took.

    python benchmarks/many_samples.py [--suite core] [--tasks T] [--limit N] [--output FILE.json]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import machine
from PIL import Image

from mmflow_bench.checkpoints.default import DEFAULT_MODEL
from mmflow_bench.inputs.question_sets import GQA, SHIPPED
from mmflow_bench.inputs.questions import read_questions
from mmflow_bench.measurements.limits import Limit, select
from mmflow_bench.names import SUITES

ROOT = Path(__file__).parents[1]


def put_photos(folder: Path, tasks: list[str], limit: Limit | None) -> int:
    """A photo of its own colour for every image that is asked about; how many questions that is."""
    chosen = select(read_questions(SHIPPED[GQA]).samples, tasks=tasks, limit=limit)
    samples = [one for members in chosen.values() for one in members]
    sizes = {one.image_id: (one.image_width, one.image_height) for one in samples}
    for number, (image_id, size) in enumerate(sorted(sizes.items())):
        # No two alike: samples are known by what their images hold.
        colour = (number % 256, number // 256, 99)
        Image.new("RGB", size, colour).save(folder / f"{image_id}.png", compress_level=1)
    return len(samples)


def run(folder: Path, *, plugins: list[str], options: list[str]) -> dict[str, object]:
    """Wall time of one run, its processor time by stage, and the bytes of memory that it took."""
    command = [sys.executable, "-m", "pytest", "suites/", "-q", "--no-self-test", "--gate=none"]
    command += [option for name in plugins for option in ("-p", name)]
    command += [f"--questions={GQA}", f"--images={folder / 'photos'}", "--report=html,md"]
    paths = os.pathsep.join([str(ROOT), str(ROOT / "benchmarks")])
    added = {"MMFLOW_CACHE": folder / "cache", "PYTHONPATH": paths, "STAGES": folder / "stages"}
    began = time.perf_counter()
    subprocess.run(
        [*command, f"--mmflow-output={folder / 'runs'}", *options],
        cwd=ROOT,
        env=os.environ | {name: str(value) for name, value in added.items()},
        stdout=subprocess.DEVNULL,
        check=True,
    )
    whole = time.perf_counter() - began
    stages = json.loads((folder / "stages").read_text(encoding="utf-8"))
    return {"whole_seconds": whole, **stages}


def told(asked: argparse.Namespace) -> dict[str, object]:
    options = [f"--suite={asked.suite}", *(["--no-twins"] if asked.no_twins else [])]
    options += [f"--limit={asked.limit}"] if asked.limit else []
    options += [f"--tasks={asked.tasks}"] if asked.tasks else []
    options += [f"--model={asked.model}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photos").mkdir()
        limit = Limit(stop=asked.limit) if asked.limit else None
        samples = put_photos(
            folder / "photos", asked.tasks.split(",") if asked.tasks else [], limit
        )
        fill = run(folder, plugins=["made_up", "stages"], options=options)
        read = run(folder, plugins=["stages"], options=options)
        (results,) = sorted(folder.glob("runs/*/results.json"))[-1:]
        rows = len(json.loads(results.read_text(encoding="utf-8"))["mechanisms"])
        files = [path for path in (folder / "cache").rglob("*") if path.is_file()]
        return {
            "machine": machine(),
            "model": asked.model,
            "suite": asked.suite,
            "twins": not asked.no_twins,
            "samples": samples,
            "tasks": asked.tasks,
            "limit": asked.limit,
            "verdicts": rows,
            "store_bytes": sum(path.stat().st_size for path in files),
            "fill": fill,
            "from_store": read,
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--suite", choices=SUITES, default="all")
    options.add_argument("--model", default=DEFAULT_MODEL, help="whose numbers are made up")
    options.add_argument("--no-twins", action="store_true", help="without second opinions")
    options.add_argument("--tasks", help="comma-separated; all when left out")
    options.add_argument("--limit", type=int, help="images of each task")
    options.add_argument("--output", type=Path, help="write the numbers as JSON")
    asked = options.parse_args()
    text = json.dumps(told(asked), indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
