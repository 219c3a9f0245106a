"""Which patches of a photo show the objects asked about, in its own pixels: for readers of reports.

Only the grid of the whole photo is kept; tiles show the same objects again.
"""

from __future__ import annotations

from dataclasses import replace

from mmflow_bench.checkpoints.families.layout import ImageLayout
from mmflow_bench.inputs.encoding import EncodedSample
from mmflow_bench.measurements.described import PATCHES
from mmflow_bench.measurements.wants import Rows
from mmflow_bench.positions.image_grid import patches_overlapping


def patch_rows(encoded: EncodedSample, *, key: str) -> Rows:
    """A row with the grid and its related patches; nothing where no grid or no box is known.

    `left`, `top` and the sizes are in pixels of the photo as it went in; patches count row by row.

    Args:
        encoded: The sample as the checkpoint sees it.
        key: Content hash of the sample.
    """
    if encoded.layout is None or not encoded.layout.grids or not encoded.boxes:
        return {}
    grid = replace(encoded.layout.grids[0], first_token=0, row_tokens=None)
    related = patches_overlapping(encoded.boxes, ImageLayout(grids=(grid,)))
    horizontal, vertical = grid.horizontal, grid.vertical
    row: dict[str, object] = {
        "sample": key,
        "width": horizontal.original,
        "height": vertical.original,
        "rows": grid.rows,
        "columns": grid.columns,
        "left": -horizontal.offset / horizontal.scale,
        "top": -vertical.offset / vertical.scale,
        "cell_width": grid.patch_size / horizontal.scale,
        "cell_height": grid.patch_size / vertical.scale,
        "related": sorted(related),
    }
    return {PATCHES: [row]}
