"""A pytest plugin for the planted checkpoints: fewer draws of images, `-p few_draws`.

What they do hardly varies from image to image, so that verdicts do not hang on how many draws
there are; and most of a verdict's time goes into drawing.
"""

from mmflow_bench.statistics import resampling, unseen

DRAWS = 400


def pytest_configure() -> None:
    resampling.DRAWS = unseen.DRAWS = DRAWS
