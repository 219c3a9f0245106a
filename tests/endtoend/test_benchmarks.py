"""Benchmarks that take minutes elsewhere do run: here on a processor, at a fraction of the size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

KINDS = ("agreement", "cost", "stepping", "offloading")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
pytestmark = pytest.mark.slow


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(BENCHMARKS / name), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_what_is_for_an_accelerator_runs_without_one(tmp_path: Path) -> None:
    output = tmp_path / "accelerator.json"
    run("on_accelerator.py", "--device=cpu", f"--output={output}")
    told = json.loads(output.read_text())
    steps = {kind: [s for s in told["steps"] if s["what"] == kind] for kind in KINDS}
    assert all(steps.values())
    exact = [step["difference"] for step in steps["agreement"] if step["dtype"] == "float32"]
    assert max(exact) < 1e-5
    assert all(step["counted_forwards"] < step["knockouts"] / 5 for step in steps["cost"])
    assert steps["stepping"][0]["difference"] < 1e-3
    assert steps["offloading"][0]["difference"] < 1e-3


def test_many_samples_are_decided_from_a_store_of_numbers_that_are_made_up(tmp_path: Path) -> None:
    output = tmp_path / "many.json"
    run("many_samples.py", "--tasks=ChooseAttr", "--limit=12", f"--output={output}")
    told = json.loads(output.read_text())
    assert told["machine"]["torch"]
    assert told["samples"] >= 12
    # Every row that there is, of which a single task has so many.
    assert told["suite"] == "all"
    assert told["verdicts"] > 100
    for of_run in (told["fill"], told["from_store"]):
        stages = of_run["seconds"]
        assert set(stages) == {"start", "samples", "read", "verdicts", "report"}
        assert all(spent > 0 for spent in (*stages.values(), of_run["whole_seconds"]))
    # The second run loads nothing that measures.
    assert told["from_store"]["memory"] < told["fill"]["memory"]


def test_growth_is_told_of_everything_that_it_depends_on(tmp_path: Path) -> None:
    output = tmp_path / "growth.json"
    run("growth.py", "--repeats=1", "--most=2", f"--output={output}")
    told = json.loads(output.read_text())
    assert told["machine"]["torch"]
    counted = {
        name: [one["counted_forwards"] for one in series] for name, series in told["series"].items()
    }
    assert all(one["forwards"] > 0 for series in told["series"].values() for one in series)
    # Where more is cut more is computed, and of a larger whole a smaller part.
    for name in ("window", "edges", "layers"):
        assert counted[name][0] < counted[name][1]
    for name in ("image_positions", "questions_per_image"):
        assert counted[name][0] > counted[name][1]


def test_a_shared_store_is_timed_by_the_packs_in_it(tmp_path: Path) -> None:
    output = tmp_path / "packs.json"
    run("shared_store.py", "--packs=2", "--shards=2", "--samples=1", f"--output={output}")
    (store,) = json.loads(output.read_text())["stores"]
    assert store.pop("packs") == 2
    assert len(store) == 3
    assert all(spent > 0 for spent in store.values())


def test_every_verdict_is_told_in_every_precision(tmp_path: Path) -> None:
    output, page = tmp_path / "half.json", tmp_path / "half.md"
    few = ("--model=planted/mini", "--tasks=ChooseAttr", "--limit=3")
    run("half_precision.py", *few, f"--output={output}", f"--page={page}")
    found = json.loads(output.read_text())["models"]["planted/mini"]
    assert set(found["noise_floor"]) == {"float32", *found["of_float32"]}
    for counts in found["of_float32"].values():
        assert sum(counts.values()) == len(found["rows"]) > 20
        # Its weights are written, and as good as exact in any precision.
        assert "the opposite" not in counts
    lines = page.read_text().splitlines()
    assert all(any(f"| {row['id']} |" in line for line in lines) for row in found["rows"])
