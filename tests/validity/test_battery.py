"""Verdicts are wrong no oftener than they say, at ten images as at four hundred.

Under every noise model, with thresholds on the truth itself (docs/statistics.md shows the table).
"""

from __future__ import annotations

import battery
import pytest
from battery import GAINS, SIZES, at_most_alpha, curve_of, draws_of

from mmflow_bench.mechanisms.verdicts import Verdict

pytestmark = pytest.mark.slow

DRAWS = 100


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("noise", GAINS)
def test_what_is_lost_is_hardly_ever_misjudged(noise: str, n: int) -> None:
    draws = draws_of(n, DRAWS)
    for claim, wrong in battery.magnitudes(noise, n, draws).items():
        assert at_most_alpha(wrong, draws), (claim, wrong / draws)


@pytest.mark.parametrize("n", SIZES[:-1])
def test_places_are_hardly_ever_misjudged(n: int) -> None:
    draws = draws_of(n, DRAWS) // 2
    for claim, wrong in battery.places(n, draws).items():
        assert at_most_alpha(wrong, draws), (claim, wrong / draws)


@pytest.mark.parametrize("n", SIZES)
def test_a_fall_of_accuracy_by_the_tolerance_is_hardly_ever_called_unchanged(n: int) -> None:
    draws = 2 * DRAWS
    for claim, wrong in battery.answers(n, draws).items():
        assert at_most_alpha(wrong, draws), (claim, wrong / draws)


def test_noise_does_not_pull_a_centre_to_the_middle() -> None:
    """The true centre is .150; weighing every layer it read .198 at 14 samples."""
    draw = battery.np.random.default_rng(0)
    centres = []
    for _ in range(50):
        noise = 0.1 * draw.standard_normal((14, 40))
        values = -0.3 * battery.hit(6, 4, 40) + noise
        centres.append(curve_of(values, 14, width=9).centre.value)
    assert battery.np.mean(centres) == pytest.approx(0.15, abs=0.005)


def test_what_is_clear_is_decided_with_few_images_and_a_null_with_sixty() -> None:
    """No battery of errors shows that anything is decided at all."""
    for n, null in ((14, Verdict.INCONCLUSIVE), (60, Verdict.HOLDS)):
        clear = [battery.sampled("normal", n, seed, depth=0.4).peak <= -0.1 for seed in range(10)]
        assert [one.verdict for one in clear].count(Verdict.HOLDS) >= 7
        nothing = battery.sampled("constant", n, 0, depth=0.0).equivalent_to_zero(battery.MARGIN)
        assert nothing.verdict is null
