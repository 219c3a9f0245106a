"""The number of images that is named decides as often as it promises.

Populations whose difference between base and fine-tune is known: at the number of images that the
formula names for them, the project's own comparison is asked, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
from scipy.stats import binom

from mmflow_bench.baselines.paired_comparison import compare_runs
from mmflow_bench.baselines.paired_records import BaselineComparison, Change
from mmflow_bench.baselines.paired_values import RunValues, SampleCurves
from mmflow_bench.baselines.power import DECIDED, power_of_comparison
from mmflow_bench.baselines.tolerances import DEFAULTS
from mmflow_bench.statistics.power import POWER, images_for_unchanged, smallest_change

pytestmark = pytest.mark.slow

Drawn = Callable[[np.random.Generator, int], np.ndarray]
ALPHA, MARGIN = 0.05, 0.05
TOLERANCE = dict(DEFAULTS) | {"fraction": MARGIN}
LAYERS, WINDOW, PLACE = 40, 9, 20
EXPERIMENT = {"prompt": "p", "pixels": "q", "window": WINDOW, "decoder_layers": LAYERS}
SURE = 0.99
"""Answers this sure make the log-odds agree, so that the interval alone decides."""
TESTED = 3
"""Rows that the comparison of one task tests: accuracy, size and place of one drop."""
REDRAWS = 60


def sparse(share: float, size: float) -> Drawn:
    """Some images lose, as many gain, and the others are as they were."""
    chances = [share / 2, share / 2, 1 - share]
    return lambda generator, n: generator.choice([-size, size, 0.0], size=n, p=chances)


NOISE: Mapping[str, tuple[Drawn, float]] = {
    "normal": (lambda generator, n: 0.15 * generator.standard_normal(n), 0.15),
    "skewed": (lambda generator, n: 0.15 * (generator.exponential(1, n) - 1), 0.15),
    "sparse": (sparse(0.08, 0.4), (0.08 * 0.4**2) ** 0.5),
    "constant": (lambda _, n: np.zeros(n), 0.0),
}
"""How images differ in what a fine-tune has done to them: mean zero, and its standard deviation."""


def compared(moved: Mapping[str, np.ndarray], generator: np.random.Generator) -> BaselineComparison:
    """The comparison of two runs whose drops differ by `moved`, image by image, task by task."""
    inside = np.abs(np.arange(LAYERS) - PLACE) <= WINDOW // 2
    answers, sweeps = {}, ({}, {})
    for task, by_image in moved.items():
        ids = tuple(map(str, range(len(by_image))))
        answers[task] = {
            one: {"sample": one, "image_id": one, "is_correct": True, "answer_token_id": 3}
            for one in ids
        }
        own = -0.45 + 0.03 * generator.standard_normal(len(ids))
        for values, drops in zip(sweeps, (own, own + by_image), strict=True):
            values[task, "question->last"] = SampleCurves(
                question_ids=ids,
                image_ids=ids,
                base_probability=np.full(len(ids), SURE),
                values=inside * drops[:, None],
            )
    base, tuned = (
        RunValues(
            name=name, experiment=EXPERIMENT, noise_floor=1e-7, answers=answers, sweeps=values
        )
        for name, values in zip(("base", "tuned"), sweeps, strict=True)
    )
    return compare_runs(base, tuned, tolerance=TOLERANCE, alpha=ALPHA)


def decided(drawn: Drawn, n: int, verdict: Change, shift: float = 0.0) -> int:
    """How often the size of the drop is given this verdict, on `n` images drawn anew."""
    generator = np.random.default_rng(n)
    found = 0
    for _ in range(REDRAWS):
        told = compared({"ChooseAttr": shift + drawn(generator, n)}, generator)
        tested = [row for row in told.rows if row.p_changed is not None]
        assert len(tested) == TESTED
        found += next(row for row in tested if row.reading == "peak").verdict == verdict
    return found


@pytest.mark.parametrize("name", NOISE)
def test_at_the_number_named_no_change_is_unchanged_as_often_as_promised(name: str) -> None:
    drawn, spread = NOISE[name]
    n = images_for_unchanged(spread, MARGIN, alpha=ALPHA, power=POWER)
    # Shares of 2000 draws tell a p-value that is all but alpha by a tenth of it.
    n += n // 50
    found = decided(drawn, n, Change.UNCHANGED)
    assert found >= binom.ppf(0.001, REDRAWS, POWER), (n, found / REDRAWS)
    if name == "normal":
        few = decided(drawn, n // 3, Change.UNCHANGED)
        assert few < found - REDRAWS / 5, (n // 3, few / REDRAWS)


def test_the_change_that_could_be_seen_is_called_one_as_often_as_promised() -> None:
    drawn, spread = NOISE["normal"]
    n = 80
    size = smallest_change(spread / n**0.5, MARGIN, n, alpha=ALPHA, power=POWER, tests=TESTED)
    found = decided(drawn, n, Change.CHANGED, size)
    low, high = (binom.ppf(level, REDRAWS, POWER) for level in (0.001, 0.999))
    assert low <= found <= high, (size, found / REDRAWS)


def test_a_gate_planned_by_a_pilot_is_decided_on_most_subsets() -> None:
    """A pilot of 20 images knows a spread to a sixth, so that some plans are too small."""
    spreads = {"ChooseAttr": 0.1, "ChooseCat": 0.15, "QueryAttr": 0.2}
    generator = np.random.default_rng(5)
    redraws, passed, planned = 20, 0, []

    def told(n: int) -> BaselineComparison:
        drawn = {t: spread * generator.standard_normal(n) for t, spread in spreads.items()}
        return compared(drawn, generator)

    for _ in range(redraws):
        needs = power_of_comparison(told(20)).needs
        assert needs is not None
        rows = told(needs).rows
        passed += sum(row.verdict == Change.UNCHANGED for row in rows) >= DECIDED * len(rows)
        planned.append(needs)
    assert passed >= binom.ppf(0.01, redraws, 0.7), (passed / redraws, sorted(planned))
    assert len(set(planned)) > 5, "what is planned must follow the pilot"
