"""The mean over tasks, in which every task counts the same."""

import numpy as np
import pytest

from mmflow_bench.statistics.averaged import AveragedMeans
from mmflow_bench.statistics.resampling import image_means

FEW = np.array([[1.0, 0.0]])
MANY = np.array([[0.0, 0.5], [0.2, 0.5], [0.4, 0.5]])


@pytest.fixture
def averaged():
    return AveragedMeans([image_means(FEW, ["a"]), image_means(MANY, ["a", "b", "b"])])


def test_a_task_of_one_sample_counts_as_much_as_one_of_three(averaged):
    assert averaged.images == ("a", "b")
    np.testing.assert_allclose(averaged.mean, [0.6, 0.25])
    np.testing.assert_allclose(averaged.curves(np.ones((1, 2))), [[0.6, 0.25]])


def test_a_draw_of_images_reaches_every_task(averaged):
    # The image of both tasks twice, the other one once.
    drawn = averaged.curves(np.array([[2.0, 1.0]]))
    np.testing.assert_allclose(drawn, [[(1 + (2 * 0 + 0.6) / 4) / 2, 0.25]])


def test_without_an_image_of_some_task_there_is_no_mean(averaged):
    assert np.isnan(averaged.curves(np.array([[0.0, 2.0]]))).all()


def test_an_unseen_image_has_its_curve_in_every_task(averaged):
    unseen = averaged.curves_with_unseen(np.array([1.0, 1.0]), np.array([[1.0, 1.0, 1.0]]))
    # As large as an average image: of one sample in the first task, of 1.5 in the second.
    np.testing.assert_allclose(unseen, [[(1 + (0.6 + 1.5) / 4.5) / 2, (0.5 + 3.0 / 4.5) / 2]])
