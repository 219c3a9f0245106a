"""Raw tables for people who want the numbers and not the verdicts: `mmflow sweep` and `lens`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.lens import PROBES, VARIANTS, Lens, LensTable
from mmflow_bench.measurements.session import Measurements

SWEEP_SCHEMA = pa.schema(
    dict.fromkeys(("checkpoint", "task", "question_id", "image_id", "edge", "method"), pa.string())
    | dict.fromkeys(("window", "layer", "answer_token_id"), pa.int64())
    | dict.fromkeys(("base_probability", "knockout_probability", "relative_change"), pa.float64())
)
COUNTERFACTUAL_FIELDS = (
    pa.field("counterfactual_probability", pa.float64()),
    pa.field("is_flipped", pa.bool_()),
)
LENS_SCHEMA = pa.schema(
    dict.fromkeys(("checkpoint", "task", "question_id", "image_id"), pa.string())
    | {"layer": pa.int64(), "probe": pa.string(), "variant": pa.string()}
    | {"probability": pa.float64()}
)


def sweep_rows(
    measurements: Measurements, *, edges: Sequence[str], method: str, width: int | None = None
) -> pa.Table:
    """One row per sample, edge and window centre, over all tasks; measures what is missing.

    `relative_change` is a fraction; the probability followed is that of the model's own first
    answer token, or of the reference answer, as the measurements were opened. The counterfactual
    method adds the probability of the answer to the other image, and whether it has become the
    likeliest.
    """
    schema = SWEEP_SCHEMA
    if method == Method.COUNTERFACTUAL:
        schema = pa.schema([*SWEEP_SCHEMA, *COUNTERFACTUAL_FIELDS])
    tables = []
    for task in measurements.tasks:
        sweeps = [Sweep.of(edge, width=width, method=method) for edge in edges]
        # All at once, so that a sample goes through the model once for every edge.
        measurements.ensure(task, sweeps)
        tables += [_sweep(measurements, measurements.table(task, one), schema) for one in sweeps]
    return pa.concat_tables([schema.empty_table(), *tables])


def _sweep(measurements: Measurements, table: SweepTable, schema: pa.Schema) -> pa.Table:
    columns = {
        "edge": table.edge,
        "method": str(table.method),
        "window": table.window,
        "answer_token_id": np.array(table.answer_token_ids, int)[:, None],
        "base_probability": table.base_probability[:, None],
        "knockout_probability": table.knockout_probability,
        "relative_change": table.relative_change,
        "counterfactual_probability": table.counterfactual_probability,
        "is_flipped": table.is_flipped,
    }
    return _rows(measurements, table, table.knockout_probability.shape, columns, schema)


def lens_rows(measurements: Measurements) -> pa.Table:
    """One row per sample, depth, probe and variant, over all tasks; measures what is missing."""
    lenses = [Lens(probe=probe, variant=variant) for probe in PROBES for variant in VARIANTS]
    tables = [
        _lens(measurements, measurements.table(task, lens))
        for task in measurements.tasks
        for lens in lenses
    ]
    return pa.concat_tables([LENS_SCHEMA.empty_table(), *tables])


def _lens(measurements: Measurements, table: LensTable) -> pa.Table:
    columns = {
        "probe": table.probe,
        "variant": table.variant,
        "probability": table.probability,
    }
    return _rows(measurements, table, table.probability.shape, columns, LENS_SCHEMA)


def _rows(
    measurements: Measurements,
    table: SweepTable | LensTable,
    shape: tuple[int, ...],
    columns: dict[str, Any],
    schema: pa.Schema,
) -> pa.Table:
    """A row for each sample and layer of a table: what is said of one or of all is repeated."""
    said = columns | {
        "checkpoint": measurements.name,
        "task": table.task,
        "question_id": np.array(table.question_ids, object)[:, None],
        "image_id": np.array(table.image_ids, object)[:, None],
        "layer": np.arange(shape[1]),
    }
    cells = {name: np.broadcast_to(said[name], shape).ravel() for name in schema.names}
    return pa.table(cells, schema=schema)
