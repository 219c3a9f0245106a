"""Numbers and norms of one sample's patches, measured."""

from __future__ import annotations

from collections.abc import Sequence

from mmflow_bench.errors import KnockoutError, SampleError
from mmflow_bench.measurements.patch_areas import PATCH_AREAS, PatchAreas
from mmflow_bench.measurements.patch_norms import PATCH_NORMS, PatchNorms
from mmflow_bench.measurements.sample_rows import SampleAtWork
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.roles import Role


def area_rows(wants: Sequence[PatchAreas], work: SampleAtWork) -> Rows:
    """The row of one sample; refused where no patch is related."""
    try:
        image, related = work.roles[Role.IMAGE], work.roles[Role.RELATED_PATCHES]
    except SampleError as error:
        return work.refused(wants[0], error)
    newlines, padding = (
        len(work.roles.positions.get(role, ())) for role in (Role.NEWLINE, Role.PADDING_PATCHES)
    )
    row: dict[str, object] = {
        "sample": work.job.key_of(wants[0]),
        "patches": len(image) - newlines,
        "related": len(related),
        "padding": padding,
    }
    return {PATCH_AREAS: [row]}


def norm_rows(wants: Sequence[PatchNorms], work: SampleAtWork) -> Rows:
    """The row of one sample; refused where there is no image, or its features cannot be told."""
    try:
        features = work.features
    except (KnockoutError, SampleError) as error:
        return work.refused(wants[0], error)
    row: dict[str, object] = {
        "sample": work.job.key_of(wants[0]),
        "threshold": features.threshold,
        "tower": features.tower.tolist(),
        "projected": features.projected.tolist(),
        "massive": features.massive.tolist(),
    }
    return {PATCH_NORMS: [row]}
