"""`mmflow sweep` and `mmflow lens`: the raw numbers, for people who want no verdicts."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from mmflow_bench.cli.counts import echo_counts
from mmflow_bench.cli.options import OUTPUT, Asked, asking
from mmflow_bench.cli.parsed import Parsed
from mmflow_bench.errors import StoreError
from mmflow_bench.files import refusing, replacing
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.measurements.tables import lens_rows, sweep_rows
from mmflow_bench.options import Place, comma_separated

DEFAULT_EDGES = (
    "question->last,image->last,last->last,image->question,"
    "related_patches->question,other_patches->question"
)


@click.command()
@asking(Place.SWEEP)
@click.option(
    "--edges", type=Parsed(comma_separated), default=DEFAULT_EDGES, help="source->target,..."
)
@click.option(
    "--method",
    type=click.Choice(["masked", "unnormalised", "counterfactual"]),
    default="masked",
    show_default=True,
)
@OUTPUT
def sweep(asked: Asked, edges: tuple[str, ...], method: str, output: Path | None) -> None:
    """One row per sample, edge and window centre.

    `relative_change` is a fraction of the clean probability of the model's own first answer token.
    With --follow=reference both are the reference answer's, in either case, and the change is cut
    at 1.
    """
    _check_output(output)
    names = [str(Edge.parse(edge)) for edge in edges]
    measurements = asked.open()
    width = asked.measurement.window
    _write(sweep_rows(measurements, edges=names, method=method, width=width), output)
    echo_counts(measurements, asked=names, to_error=True)


@click.command()
@asking(Place.LENS)
@OUTPUT
def lens(asked: Asked, output: Path | None) -> None:
    """One row per sample, layer, probe and variant; layer 0 is the embedding."""
    _check_output(output)
    measurements = asked.open()
    _write(lens_rows(measurements), output)
    echo_counts(measurements, asked=["lens"], to_error=True)


def _check_output(output: Path | None) -> None:
    """Refuse a wrong file name before an hour of measuring, not after it."""
    if output is not None and output.suffix not in {".parquet", ".csv"}:
        raise click.BadParameter(f"FILE.parquet or FILE.csv, got {output}", param_hint="--output")


def _write(table: pa.Table, output: Path | None) -> None:
    """Write a table as its file name says; complete or not at all.

    Raises:
        StoreError: The file cannot be written.
    """
    if output is None:
        csv.write_csv(table, sys.stdout.buffer)
        return
    advice = "what was measured is in the store, so the same command with another --output is quick"
    write = pq.write_table if output.suffix == ".parquet" else csv.write_csv
    saved = refusing(StoreError, "a file that can be written", output, advice)
    with saved, replacing(output) as temporary:
        write(table, temporary)
    click.echo(f"{table.num_rows} rows: {output}", err=True)
