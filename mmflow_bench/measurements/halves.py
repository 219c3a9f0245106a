"""Samples in two halves that share no image: one to choose by, one to try the choice on."""

from __future__ import annotations

from collections.abc import Collection
from copy import copy
from zlib import crc32

from mmflow_bench.errors import SelectionError
from mmflow_bench.measurements.selection import SampleSet

FEWEST = 4
"""Images: two in either half, for one says nothing of others."""


def halves(samples: SampleSet) -> tuple[SampleSet, SampleSet]:
    """Every second image, of all tasks together, in an order that no file decides; and the others.

    Raises:
        SelectionError: There are too few images to hold half of them out.
    """
    images = {
        sample.image_id
        for task in samples.tasks
        for sample in samples.of(task)
        if sample.image is not None
    }
    if len(images) < FEWEST:
        raise SelectionError(
            f"at least {FEWEST} images, half of them to hold out, got {len(images)}; use more "
            "samples that have an image, or a larger --limit"
        )
    order = sorted(images, key=lambda image: (crc32(image.encode(errors="replace")), image))
    return _of_images(samples, order[::2]), _of_images(samples, order[1::2])


def _of_images(samples: SampleSet, images: Collection[str]) -> SampleSet:
    chosen, part = frozenset(images), copy(samples)
    part.by_task = {
        task: tuple(sample for sample in samples.of(task) if sample.image_id in chosen)
        for task in samples.tasks
    }
    return part
