"""Raw tables for people who want the numbers and not the verdicts: `mmflow sweep` and `lens`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from mmflow_bench.interventions.knockout import Method
from mmflow_bench.measurements.knockout_sweep import Sweep, SweepTable
from mmflow_bench.measurements.lens import PROBES, VARIANTS, Lens, LensTable
from mmflow_bench.measurements.session import Measurements

SWEEP_SCHEMA = pa.schema(
    {
        "checkpoint": pa.string(),
        "task": pa.string(),
        "question_id": pa.string(),
        "image_id": pa.string(),
        "edge": pa.string(),
        "method": pa.string(),
        "window": pa.int64(),
        "layer": pa.int64(),
        "answer_token_id": pa.int64(),
        "base_probability": pa.float64(),
        "knockout_probability": pa.float64(),
        "relative_change": pa.float64(),
    }
)
COUNTERFACTUAL_FIELDS = (
    pa.field("counterfactual_probability", pa.float64()),
    pa.field("is_flipped", pa.bool_()),
)
LENS_SCHEMA = pa.schema(
    {
        "checkpoint": pa.string(),
        "task": pa.string(),
        "question_id": pa.string(),
        "image_id": pa.string(),
        "layer": pa.int64(),
        "probe": pa.string(),
        "variant": pa.string(),
        "probability": pa.float64(),
    }
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
        for sweep in sweeps:
            rows = list(_sweep_rows(measurements.name, measurements.table(task, sweep)))
            tables.append(pa.Table.from_pylist(rows, schema=schema))
    return pa.concat_tables([schema.empty_table(), *tables])


def _sweep_rows(checkpoint: str, table: SweepTable) -> Iterator[dict[str, object]]:
    change = table.relative_change
    for i, question_id in enumerate(table.question_ids):
        for layer in range(change.shape[1]):
            row: dict[str, object] = {
                "checkpoint": checkpoint,
                "task": table.task,
                "question_id": question_id,
                "image_id": table.image_ids[i],
                "edge": table.edge,
                "method": str(table.method),
                "window": table.window,
                "layer": layer,
                "answer_token_id": table.answer_token_ids[i],
                "base_probability": float(table.base_probability[i]),
                "knockout_probability": float(table.knockout_probability[i, layer]),
                "relative_change": float(change[i, layer]),
            }
            if table.counterfactual_probability is not None and table.is_flipped is not None:
                probability = table.counterfactual_probability[i, layer]
                row["counterfactual_probability"] = float(probability)
                row["is_flipped"] = bool(table.is_flipped[i, layer])
            yield row


def lens_rows(measurements: Measurements) -> pa.Table:
    """One row per sample, depth, probe and variant, over all tasks; measures what is missing."""
    tables = []
    for task in measurements.tasks:
        for probe in PROBES:
            for variant in VARIANTS:
                table = measurements.table(task, Lens(probe=probe, variant=variant))
                rows = list(_lens_rows(measurements.name, table))
                tables.append(pa.Table.from_pylist(rows, schema=LENS_SCHEMA))
    return pa.concat_tables([LENS_SCHEMA.empty_table(), *tables])


def _lens_rows(checkpoint: str, table: LensTable) -> Iterator[dict[str, object]]:
    for i, question_id in enumerate(table.question_ids):
        for layer, probability in enumerate(table.probability[i].tolist()):
            yield {
                "checkpoint": checkpoint,
                "task": table.task,
                "question_id": question_id,
                "image_id": table.image_ids[i],
                "layer": layer,
                "probe": table.probe,
                "variant": table.variant,
                "probability": probability,
            }
