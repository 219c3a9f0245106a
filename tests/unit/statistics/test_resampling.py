"""Statistics as functions of image weights: paired, deterministic, indifferent to order."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmflow_bench.statistics.resampling import (
    DRAWS,
    ImageMeans,
    ImageStatistic,
    between,
    bootstrap_weights,
    image_means,
    jackknife_weights,
    joined,
)
from mmflow_bench.statistics.unseen import unseen_weights


def first_layer(means):
    return ImageStatistic(means.images, lambda weights: means.curves(weights)[:, 0])


def test_draws_are_as_large_as_the_sample_and_the_same_every_time():
    weights = bootstrap_weights(17)
    assert weights.shape == (DRAWS, 17)
    assert (weights.sum(axis=1) == 17).all()
    bootstrap_weights.cache_clear()
    assert (bootstrap_weights(17) == weights).all()


def test_what_is_left_out_is_its_default_and_the_same_draws():
    assert bootstrap_weights(19) is bootstrap_weights(19, None)
    assert unseen_weights(19) is unseen_weights(19, None)


def test_draws_of_which_one_image_has_very_many_keep_their_numbers():
    weights = bootstrap_weights(2, 5000)
    assert weights.max() > 255
    assert (weights.sum(axis=1) == 5000).all()
    assert ImageMeans(np.eye(2), ["a", "b"]).curves(weights).sum(axis=1) == pytest.approx(1.0)


def test_a_part_of_shared_draws_is_multiplied_once_for_both_ends_of_an_unseen_image(monkeypatch):
    products = []
    totals = ImageMeans.totals

    def counted(self, weights):
        known = len(self._known)
        found = totals(self, weights)
        products.extend([weights.shape] * (len(self._known) > known))
        return found

    monkeypatch.setattr(ImageMeans, "totals", counted)
    generator = np.random.default_rng(2)
    groups = [[f"{name}{i}" for i in range(20)] for name in "ab"]
    parts = []
    for ids in groups:
        means = ImageMeans(generator.standard_normal((20, 1)), ids)
        ends = [means.with_unseen(np.array([end])) for end in (-1.0, 1.0)]
        low, high = (lambda w, end=end: end.curves(w)[:, 0] for end in ends)
        parts.append(ImageStatistic(means.images, first_layer(means).statistic, between(low, high)))
    low, high = joined(np.subtract, parts).unseen()
    assert (low < high).all()
    assert products == [(DRAWS, 21)] * 2


def test_many_images_are_left_out_in_groups_that_cover_all():
    weights = jackknife_weights(1000)
    assert weights.shape == (200, 1000)
    assert ((1 - weights).sum(axis=0) == 1).all()


@given(sizes=st.lists(st.integers(1, 4), min_size=2, max_size=8), seed=st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_a_draw_is_the_mean_over_the_samples_of_the_drawn_images(sizes, seed):
    generator = np.random.default_rng(seed)
    ids = [f"image{i}" for i, size in enumerate(sizes) for _ in range(size)]
    values = generator.standard_normal((len(ids), 3))
    means = ImageMeans(values, ids)
    weights = bootstrap_weights(len(sizes))
    drawn = [
        values[k]
        for i, times in enumerate(weights[0].astype(int))
        for _ in range(times)
        for k, image in enumerate(ids)
        if image == means.images[i]
    ]
    assert means.curves(weights)[0] == pytest.approx(np.mean(drawn, axis=0))


def test_the_order_of_samples_is_irrelevant():
    generator = np.random.default_rng(0)
    values, ids = generator.standard_normal((30, 5)), [f"image{i // 2}" for i in range(30)]
    order = generator.permutation(30)
    one = ImageMeans(values, ids)
    other = ImageMeans(values[order], [ids[i] for i in order])
    weights = bootstrap_weights(15)
    assert one.curves(weights) == pytest.approx(other.curves(weights))
    assert one.halves(weights)[0] == pytest.approx(other.halves(weights)[0])


def test_halves_share_no_image_and_make_up_the_whole():
    values = np.eye(10)
    means = ImageMeans(values, [f"image{i}" for i in range(10)])
    first, second = means.halves(np.ones((1, 10)))
    assert ((first > 0) != (second > 0)).all()
    assert (first + second) / 2 == pytest.approx(means.curves(np.ones((1, 10))))


def test_a_draw_without_images_of_one_half_uses_the_whole():
    means = ImageMeans(np.eye(2), ["a", "b"])
    first, second = means.halves(np.array([[2.0, 0.0]]))
    assert first == pytest.approx(second)


def test_equal_samples_have_no_difference_in_any_draw():
    means = ImageMeans(np.random.default_rng(0).standard_normal((20, 1)), list("abcdefghij") * 2)
    difference = joined(np.subtract, [first_layer(means), first_layer(means)])
    assert np.abs(difference.replicates()).max() == 0


def test_statistics_of_different_images_are_drawn_from_the_images_of_both():
    generator = np.random.default_rng(0)
    one = ImageMeans(generator.standard_normal((20, 1)), [f"image{i}" for i in range(20)])
    other = ImageMeans(generator.standard_normal((20, 1)), [f"image{i}" for i in range(10, 30)])
    difference = joined(np.subtract, [first_layer(one), first_layer(other)])
    assert len(difference.images) == 30
    assert difference.value == pytest.approx(one.mean[0] - other.mean[0])
    independent = joined(np.subtract, [first_layer(one), first_layer(one)])
    assert difference.replicates().std() > independent.replicates().std()


def test_equal_samples_share_their_means_and_others_do_not():
    values, ids = np.arange(8.0).reshape(4, 2), list("abca")
    assert image_means(values, ids) is image_means(values.copy(), tuple(ids))
    assert image_means(values, list("abcb")) is not image_means(values, ids)
    assert image_means(values.reshape(4, 2, order="F") + 1, ids) is not image_means(values, ids)


def test_weights_that_may_change_are_asked_anew():
    means = image_means(np.arange(6.0).reshape(3, 2), list("abc"))
    weights = np.ones((1, 3))
    whole = means.curves(weights)
    weights[0, 0] = 0.0
    assert not np.array_equal(means.curves(weights), whole)


def test_of_a_finite_set_nothing_is_guessed_once_all_of_it_is_at_hand() -> None:
    assert (bootstrap_weights(7, 7) == 1).all()
    weights = unseen_weights(7, 7)
    assert (weights[:, -1] == 0).all()
    assert np.allclose(weights[:, :-1], 8 / 7)


def test_of_a_finite_set_the_mean_spreads_as_a_sample_without_replacement() -> None:
    values = np.random.default_rng(0).normal(size=40)
    weights = bootstrap_weights(40, 80)
    means = weights @ values / weights.sum(axis=1)
    assert weights.sum(axis=1) == pytest.approx(np.full(len(weights), 80.0))
    assert means.std() == pytest.approx(values.std(ddof=1) * np.sqrt(0.5 / 40), rel=0.06)


@pytest.mark.parametrize(("seen", "of", "differing"), [(33, 64, 4), (16, 20, 2), (5, 100, 30)])
def test_an_unseen_image_weighs_what_a_draw_without_it_allows(
    seen: int, of: int, differing: int
) -> None:
    share = unseen_weights(seen, of)[:, -1] / (seen + 1)
    none_drawn = comb(of - differing, seen) / comb(of, seen)
    assert (share >= differing / of - 1e-12).mean() == pytest.approx(none_drawn, abs=1e-3)


def test_a_share_of_a_set_is_that_of_the_part_that_is_least_at_hand() -> None:
    one, two = (
        ImageStatistic(("a", "b"), lambda w: w.sum(axis=1), seen=seen) for seen in (0.5, 0.25)
    )
    assert joined(np.add, [one, two]).of == 8
    assert joined(np.add, [one, replace(two, seen=None)]).of is None
