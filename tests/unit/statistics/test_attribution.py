"""Effects of parts from random halves that were cut, against plain loops and known truths."""

from __future__ import annotations

import numpy as np
import pytest

from mmflow_bench.statistics.attribution import attribution, ridge

PAIRS = 16


def measured(effects, samples, *, seed=0, noise=0.0, whole=lambda cut, effects: cut @ effects):
    """Masks of some samples, and what each costs."""
    generator = np.random.default_rng(seed)
    halves = generator.random((samples, PAIRS, len(effects))) < 0.5
    costs = np.stack([whole(cut.astype(float), effects) for cut in (halves, ~halves)], axis=-1)
    return halves, costs + noise * generator.standard_normal(costs.shape)


def alternating(samples):
    return np.arange(samples) % 2 == 0


def test_of_enough_observations_without_noise_the_regression_is_exact():
    generator = np.random.default_rng(1)
    signs = generator.choice([-1.0, 1.0], (60, 20))
    effects = generator.standard_normal(20)
    np.testing.assert_allclose(ridge(signs, signs @ effects), effects, atol=1e-6)


def test_of_few_noisy_observations_it_predicts_better_than_without_a_penalty():
    generator = np.random.default_rng(2)
    effects = np.r_[np.ones(3), np.zeros(47)]
    signs = generator.choice([-1.0, 1.0], (55, 50))
    values = signs @ effects + 2 * generator.standard_normal(55)
    plain = np.linalg.lstsq(signs, values, rcond=None)[0]
    error = np.linalg.norm(ridge(signs, values) - effects)
    assert error < 0.5 * np.linalg.norm(plain - effects)


def test_of_no_effect_there_is_none():
    assert not ridge(np.ones((4, 3)), np.zeros(4)).any()


def test_effects_that_add_up_are_found_exactly():
    effects = np.r_[4.5, 2.9, np.zeros(10)]
    halves, costs = measured(effects, 12)
    found = attribution(halves, costs, alternating(12))
    np.testing.assert_allclose(found.effects, np.tile(effects, (12, 1)), atol=1e-6)
    np.testing.assert_allclose(found.added[:, :2], np.tile([4.5, 7.4], (12, 1)), atol=1e-6)


def test_it_is_what_a_plain_loop_gives():
    halves, costs = measured(np.arange(5.0), 6, noise=0.5)
    is_first = alternating(6)
    found = attribution(halves, costs, is_first)
    for sample in range(6):
        others = [i for i in range(6) if is_first[i] != is_first[sample]]
        rows = [(np.where(m, 1.0, -1.0), c[0] - c[1]) for i in others for m, c in pairs_of(i)]
        guess = ridge(np.array([signs for signs, _ in rows]), np.array([d for _, d in rows]))
        effect = guess.copy()
        for mask, (one, other) in pairs_of(sample, halves, costs):
            signs = np.where(mask, 1.0, -1.0)
            effect += signs * (one - other - signs @ guess) / PAIRS
        np.testing.assert_allclose(found.effects[sample], effect)
        order = sorted(range(5), key=lambda part: -guess[part])
        np.testing.assert_allclose(found.added[sample], np.cumsum(effect[order]))


def pairs_of(sample, halves=None, costs=None):
    if halves is None:
        halves, costs = measured(np.arange(5.0), 6, noise=0.5)
    return list(zip(halves[sample], costs[sample], strict=True))


def test_it_is_unbiased_where_there_are_more_parts_than_observations():
    effects = np.r_[np.ones(5), np.zeros(195)]
    means = []
    for seed in range(20):
        halves, costs = measured(effects, 4, seed=seed, noise=0.2)
        means.append(attribution(halves, costs, alternating(4)).effects.mean(axis=0))
    error = np.std(means, axis=0) / 20**0.5
    bias = (np.mean(means, axis=0) - effects) / error
    assert abs(bias[:5].mean()) < 1.5
    assert abs(bias[5:].mean()) < 0.3


def test_the_constant_and_the_interactions_of_pairs_do_not_matter():
    effects = np.array([1.0, 0.5, 0.0, 0.0])

    def whole(cut, own):
        return 7.0 + cut @ own - 0.4 * cut[..., 0] * cut[..., 1]

    halves, costs = measured(effects, 400, whole=whole)
    found = attribution(halves, costs, alternating(400)).effects.mean(axis=0)
    # An interaction of two is shared between them, so that all effects make the whole.
    np.testing.assert_allclose(found, [0.8, 0.3, 0.0, 0.0], atol=0.02)


def test_what_looks_large_by_chance_is_not_added_first():
    generator = np.random.default_rng(5)
    halves = generator.random((40, PAIRS, 100)) < 0.5
    costs = generator.standard_normal((40, PAIRS, 2))
    found = attribution(halves, costs, alternating(40))
    greedy = np.sort(found.effects.mean(axis=0))[::-1].cumsum()
    honest = found.added.mean(axis=0)
    assert greedy[19] > 1.0
    assert abs(honest[19]) < 0.8 * greedy[19]


@pytest.mark.parametrize("is_first", [[True, True], [False, False]])
def test_a_single_half_is_its_own_other(is_first):
    halves, costs = measured(np.array([1.0, 0.0]), 2)
    found = attribution(halves, costs, np.array(is_first))
    np.testing.assert_allclose(found.effects, [[1.0, 0.0]] * 2, atol=1e-6)
