"""How many samples `--stat=anytime` takes, and how often it errs where the truth is known.

    python benchmarks/anytime.py [--only errors|samples|gate] [--runs 1000] [--output FILE.json]

`errors`: finite sets of samples whose curves are made up, in random orders. A run misses where the
interval at any of its looks is without the truth. `samples`: the core suite on all samples and by
and by, for each checkpoint. `gate`: a checkpoint against itself, and against one that has changed.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine
from suite_runs import by_mechanism, suite_run

from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.estimates import Estimate
from mmflow_bench.mechanisms.lens import LensCurve
from mmflow_bench.mechanisms.looks import looks_of
from mmflow_bench.mechanisms.verdicts import DECIDED
from mmflow_bench.statistics.betting import Drawn

LAYERS, ALPHA = 20, 0.05
Set = np.ndarray
"""Curves of all samples of a finite set, of shape (sample, layer)."""


def drop(generator: np.random.Generator, samples: int) -> Set:
    """A drop at layers 8 to 11 whose size differs from sample to sample, and noise everywhere."""
    size = -generator.beta(2, 4, (samples, 1))
    shape = np.zeros(LAYERS)
    shape[8:12] = 0.6, 1.0, 1.0, 0.6
    return np.clip(size * shape + generator.normal(0, 0.08, (samples, LAYERS)), -1, 1)


def sparse(generator: np.random.Generator, samples: int) -> Set:
    """Nothing but in one sample of twelve, which loses everything at two layers."""
    values = np.zeros((samples, LAYERS))
    values[generator.random(samples) < 1 / 12, 8:10] = -1.0
    return values


def lens(generator: np.random.Generator, samples: int) -> Set:
    """A word that becomes probable late, in most samples."""
    rise = 1 / (1 + np.exp(-(np.arange(LAYERS) - generator.normal(13, 2, (samples, 1)))))
    return np.asarray(rise * generator.beta(6, 2, (samples, 1)))


def curve_of(values: Set, drawn: Drawn) -> Curve:
    at_hand = len(drawn.rows)
    return Curve(
        name="made up",
        values=values[:at_hand],
        image_ids=tuple(map(str, range(at_hand))),
        width=1,
        alpha=ALPHA,
        drawn=drawn,
    )


def lens_of(values: Set, drawn: Drawn) -> LensCurve:
    names = tuple(map(str, range(len(drawn.rows))))
    return LensCurve(
        name="made up",
        values=values[: len(names)],
        question_ids=names,
        image_ids=names,
        alpha=ALPHA,
        drawn=drawn,
    )


def difference_of(values: Set, drawn: Drawn) -> Estimate:
    """Of two checkpoints on the same samples, as a gate asks."""
    before, after = np.split(values, 2, axis=1)
    return curve_of(after, drawn).peak - curve_of(before, drawn).peak


def pairs(generator: np.random.Generator, samples: int) -> Set:
    """Curves of two checkpoints, the second of which drops less in some samples."""
    before = drop(generator, samples)
    kept = np.where(generator.random((samples, 1)) < 0.3, 0.5, 1.0)
    return np.hstack([before, before * kept])


CASES: dict[str, tuple[Callable[..., Set], Callable[[Set, Drawn], Estimate]]] = {
    "peak of a drop": (drop, lambda v, d: curve_of(v, d).peak),
    "mean of a drop": (drop, lambda v, d: curve_of(v, d).band_mean),
    "peak, sparse": (sparse, lambda v, d: curve_of(v, d).peak),
    "centre of a drop": (drop, lambda v, d: curve_of(v, d).centre),
    "depth of the peak": (drop, lambda v, d: curve_of(v, d).peak_depth),
    "difference of two peaks": (pairs, difference_of),
    "lens, highest": (lens, lambda v, d: lens_of(v, d).max),
    "lens, onset": (lens, lambda v, d: lens_of(v, d).onset),
}
"""What is made up, and what is read off it."""


def misses(case: str, *, samples: int, runs: int, seed: int = 1) -> dict[str, float]:
    """Share of the runs in which some look has an interval without the truth."""
    make, read = CASES[case]
    generator = np.random.default_rng([seed, len(case), samples])
    looks, missed = looks_of(samples), 0
    for _ in range(runs):
        values = make(generator, samples)[generator.permutation(samples)]
        whole = read(values, Drawn(np.arange(samples), samples, 1.0, looks[0].looks))
        found = (
            read(values, Drawn(np.arange(n), samples, n / samples, looks[0].looks))
            for n in (look.images for look in looks[:-1])
        )
        missed += any(not _holds(one, whole.value) for one in found)
    return {"samples": samples, "runs": runs, "missed": missed / runs, "alpha": ALPHA}


def _holds(estimate: Estimate, truth: float) -> bool:
    """Whether the interval has the truth; what has none says nothing."""
    if np.isnan(estimate.low) or np.isnan(truth):
        return True
    return bool(estimate.low - 1e-6 <= truth <= estimate.high + 1e-6)


def samples_used(model: str) -> dict[str, Any]:
    """The core suite by and by beside the same on all samples."""
    options = ("--no-twins", "--gate=none")
    by_and_by = by_mechanism(suite_run(model, "--stat=anytime", *options))
    at_once = by_mechanism(suite_run(model, "--stat=bootstrap", *options))
    decided = [key for key, row in by_and_by.items() if row["verdict"] in DECIDED]
    both = [key for key in decided if at_once[key]["verdict"] in DECIDED]

    def share(keys: Sequence[tuple[str, str]]) -> float:
        shares = [
            by_and_by[key]["images"] / at_once[key]["images"]
            for key in keys
            if by_and_by[key]["images"] and at_once[key]["images"]
        ]
        return round(float(np.mean(shares)), 3)

    return {
        "decided at once": len(both),
        "decided by and by": len(decided),
        "of these decided otherwise": sum(
            by_and_by[key]["verdict"] != at_once[key]["verdict"] for key in both
        ),
        "share of the images, of what is decided at once": share(both),
        "share of the images, of all": share(decided),
        "images of a verdict": dict(
            sorted(Counter(by_and_by[key]["images"] for key in both).items())
        ),
    }


def gates() -> Iterator[tuple[str, dict[str, Any]]]:
    """A comparison without and with a change, by and by and at once."""
    options = ("--baseline=planted/base", "--no-twins", "--tasks=Choose*")
    for model in ("planted/base", "planted/middle-readout"):
        told = {}
        for stat in ("anytime", "bootstrap"):
            rows = suite_run(model, f"--stat={stat}", *options)["compared"]
            told[stat] = {
                "verdicts": dict(Counter(row["verdict"] for row in rows)),
                "images": dict(Counter(row["images"] for row in rows)),
            }
        yield f"{model} against planted/base", told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("errors", "samples", "gate"))
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--model", action="append", help="(default: planted/base, planted/trained)")
    parser.add_argument("--output", type=Path)
    chosen = parser.parse_args()
    found: dict[str, Any] = {"machine": machine()}
    if chosen.only in (None, "errors"):
        found["errors"] = {
            case: misses(case, samples=chosen.samples, runs=chosen.runs) for case in CASES
        }
    if chosen.only in (None, "samples"):
        models = chosen.model or ["planted/base", "planted/trained"]
        found["samples"] = {model: samples_used(model) for model in models}
    if chosen.only in (None, "gate"):
        found["gate"] = dict(gates())
    text = json.dumps(found, indent=2)
    print(text)
    if chosen.output:
        chosen.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
