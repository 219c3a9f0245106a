"""How often verdicts are wrong where the truth is known: `python tests/builders/battery.py`.

Samples are drawn from populations whose every number is known, and asked claims that are just not
true: thresholds lie on the truth itself, where a verdict either way is an error. What is counted is
what docs/statistics.md shows; the printed table is the one there.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from functools import cache

import numpy as np
from scipy import stats

from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_values import RunValues
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.mechanisms.curves import Curve
from mmflow_bench.mechanisms.verdicts import Verdict

ALPHA, MARGIN = 0.05, 0.05
LAYERS, WIDTH = 16, 5
SIZES = (10, 14, 30, 60, 120, 400)
DEEP = 0.2
Gains = Callable[[np.random.Generator, int], np.ndarray]

GAINS: Mapping[str, Gains] = {
    "normal": lambda draw, n: 1 + 0.4 * draw.standard_normal(n),
    "skewed": lambda draw, n: draw.exponential(1.0, n),
    "clustered": lambda draw, n: np.repeat(draw.gamma(2.0, 0.5, n), 3) * draw.gamma(4, 0.25, 3 * n),
    "zero-inflated": lambda draw, n: (draw.random(n) < 0.5) * draw.gamma(4.0, 0.5, n),
    "sparse 8%": lambda draw, n: (draw.random(n) < 0.08) / DEEP,
    "sparse 15%": lambda draw, n: (draw.random(n) < 0.15) / DEEP,
    "constant": lambda draw, n: np.ones(n),  # noqa: ARG005
}
"""How much more or less a sample drops than the mean; of `n` images."""
QUIET = {"sparse 8%", "sparse 15%", "constant"}
"""Without noise between layers."""


def hit(layer: float, reach: int = WIDTH // 2, layers: int = LAYERS) -> np.ndarray:
    """One at the windows that hold a layer, zero elsewhere."""
    return 1.0 * (np.abs(np.arange(layers) - layer) <= reach)


def values_of(gain: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """What samples lose: never more than everything."""
    return np.maximum(-1.0, gain[:, None] * curve)


@cache
def deepest(noise: str, depth: float) -> float:
    """The true minimum of the mean curve of a population."""
    gain = GAINS[noise](np.random.default_rng(0), 400_000)
    return float(np.maximum(-1.0, -depth * gain).mean())


def sampled(noise: str, n: int, seed: int, depth: float = DEEP) -> Curve:
    """A curve of `n` images of a population; sparse ones lose everything, whatever the depth."""
    draw = np.random.default_rng([seed, n])
    gain = GAINS[noise](draw, n)
    values = values_of(gain, -depth * hit(6))
    if noise not in QUIET:
        values = values + 0.05 * draw.standard_normal(values.shape)
    return curve_of(values, n)


def curve_of(values: np.ndarray, n: int, width: int = WIDTH) -> Curve:
    per_image = len(values) // n
    return Curve(
        name="question->last on ChooseAttr",
        values=values,
        image_ids=tuple(f"image{i // per_image}" for i in range(len(values))),
        width=width,
        alpha=ALPHA,
        noise_floor=1e-6,
    )


@cache
def magnitudes(noise: str, n: int, draws: int) -> Mapping[str, int]:
    """False verdicts about how much is lost, by claim."""
    wrong: Counter[str] = Counter()
    is_sparse = noise.startswith("sparse")
    peak = deepest(noise, DEEP)
    mean = peak * hit(6).sum() / LAYERS
    for seed in range(draws):
        curve = sampled(noise, n, seed)
        for name, estimate, truth in (
            ("mean", curve.band_mean, mean),
            ("peak", curve.peak, peak),
        ):
            # Neither is shown of what is exactly there; a hair beyond it, for constants.
            wrong[f"{name} too deep"] += (estimate <= truth - 1e-4).verdict == Verdict.HOLDS
            wrong[f"{name} too shallow"] += (estimate >= truth + 1e-4).verdict == Verdict.HOLDS
        # Sparse ones lose more than the margin; the others are brought to it.
        depth = DEEP if is_sparse else DEEP * (MARGIN + 1e-4) / -peak
        null = curve if is_sparse else sampled(noise, n, seed, depth)
        wrong["null"] += null.equivalent_to_zero(MARGIN).verdict == Verdict.HOLDS
    return wrong


@cache
def places(n: int, draws: int) -> Mapping[str, int]:
    """False verdicts about where something is lost, by claim; and how far centres are off."""
    draw, wrong = np.random.default_rng(n), Counter[str]()
    layers, one_layer = 40, 1 / 40

    def noisy(curve: np.ndarray, noise: float) -> Curve:
        gain = 1 + 0.3 * draw.standard_normal(n)
        values = gain[:, None] * curve + noise * draw.standard_normal((n, layers))
        return curve_of(np.maximum(-1.0, values), n, width=9)

    early, late = hit(6, 4, layers), hit(25, 8, layers)
    for _ in range(draws):
        deep, shallow = noisy(-0.3 * early, 0.1), noisy(-0.15 * early, 0.15)
        apart = shallow.centre - deep.centre
        wrong["order"] += (apart >= one_layer / 2).verdict == Verdict.HOLDS
        wrong["order"] += (apart <= -one_layer / 2).verdict == Verdict.HOLDS
        centre = deep.centre
        wrong["centre"] += (centre >= 0.15 + 1e-3).verdict == Verdict.HOLDS
        wrong["centre"] += (centre <= 0.15 - 1e-3).verdict == Verdict.HOLDS
        disjoint = deep.overlap(noisy(-0.2 * late, 0.1))
        wrong["overlap of disjoint drops"] += (disjoint <= 0.35).verdict == Verdict.FAILS
        alike = noisy(-0.3 * hit(20, 3, layers), 0.1).overlap(noisy(-0.2 * hit(23, 3, layers), 0.1))
        wrong["overlap of 4 in 7"] += (alike <= 4 / 7 - 1e-3).verdict == Verdict.HOLDS
    return wrong


@cache
def answers(n: int, draws: int) -> Mapping[str, int]:
    """How often accuracy is called unchanged that has fallen by the tolerance, and more, or less
    than it is said to have changed."""
    draw, wrong = np.random.default_rng(n), Counter[str]()
    for _ in range(draws):
        fallen, slightly = draw.random(n) < 0.95 - 1e-6, draw.random(n) < 0.95
        wrong["100 to 95%: unchanged"] += _change(fallen) == "unchanged"
        wrong["100 to 95%: changed"] += _change(slightly) == "changed"
    return wrong


def _change(is_correct: np.ndarray) -> str:
    before, after = (
        RunValues(name=name, experiment={"window": 5}, data="d", answers={"task": of(kept)})
        for name, kept in (("base", np.ones(len(is_correct), bool)), ("tuned", is_correct))
    )
    told = compare_runs(before, after, tolerance=dict(DEFAULTS), alpha=ALPHA)
    return next(row.verdict for row in told.rows if row.reading == "accuracy")


def of(kept: np.ndarray) -> dict:
    return {
        str(i): {
            "sample": str(i),
            "image_id": f"image {i}",
            "is_correct": bool(one),
            "answer_token_id": 3,
        }
        for i, one in enumerate(kept)
    }


def draws_of(n: int, draws: int) -> int:
    """Fewer where each costs more."""
    return draws if n <= 60 else draws // 2


def at_most_alpha(wrong: int, draws: int) -> bool:
    """Whether so many errors are likely (99.9%) where their rate is alpha at most."""
    return bool(wrong <= stats.binom.ppf(0.999, draws, ALPHA))


def table(draws: int) -> str:
    """The largest share of false verdicts over all noise models, by claim and number of images."""
    rows: dict[str, list[str]] = {}
    for n in SIZES:
        count = draws_of(n, draws)
        worst: dict[str, float] = {}
        for noise in GAINS:
            for claim, wrong in magnitudes(noise, n, count).items():
                worst[claim] = max(worst.get(claim, 0.0), wrong / count)
        for more in (places(n, count // 2), answers(n, count)):
            halves = count // 2 if "order" in more else count
            worst |= {claim: wrong / halves for claim, wrong in more.items()}
        for claim, share in worst.items():
            rows.setdefault(claim, []).append(f"{share:.1%}")
    head = "| false verdict at images | " + " | ".join(map(str, SIZES)) + " |"
    lines = [head, "|---" * (len(SIZES) + 1) + "|"]
    lines += [f"| {claim} | " + " | ".join(shares) + " |" for claim, shares in rows.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(int(sys.argv[1]) if len(sys.argv) > 1 else 100))
