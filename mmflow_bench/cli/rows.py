"""What a checkpoint gives without a verdict: `mmflow sweep`, `lens` and `positions`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from mmflow_bench.cli.options import (
    Asked,
    Parsed,
    asking,
    echo_counts,
    is_stream,
    require_output,
    saving,
    why_empty,
)
from mmflow_bench.cli.saying import say, say_json
from mmflow_bench.errors import SampleError
from mmflow_bench.files import replace_file, replacing
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.interventions.knockout import Edge
from mmflow_bench.measurements.selection import SHOWN_MESSAGES, in_words
from mmflow_bench.measurements.tables import lens_rows, sweep_rows
from mmflow_bench.options import Place, comma_separated

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.loading import LoadedCheckpoint
    from mmflow_bench.measurements.session import Measurements

DEFAULT_EDGES = (
    "question->last,image->last,last->last,image->question,"
    "related_patches->question,other_patches->question"
)
TABLES = (".parquet", ".csv")
_OUTPUT = click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="FILE.parquet or FILE.csv; CSV on standard output when left out.",
)


def parse_edges(text: str) -> tuple[str, ...]:
    """The edges of --edges as stores spell them.

    Raises:
        ValueError: There is none, or one of them is no edge.
    """
    edges = comma_separated(text)
    if not edges:
        raise ValueError(
            f"--edges takes edges such as image->question, commas between them, got {text!r}"
        )
    return tuple(dict.fromkeys(str(Edge.parse(edge)) for edge in edges))


@click.command()
@asking(Place.SWEEP)
@click.option("--edges", type=Parsed(parse_edges), default=DEFAULT_EDGES, help="source->target,...")
@click.option(
    "--method",
    type=click.Choice(["masked", "unnormalised", "counterfactual"]),
    default="masked",
    show_default=True,
)
@_OUTPUT
def sweep(asked: Asked, edges: tuple[str, ...], method: str, output: Path | None) -> None:
    """One row per sample, edge and window centre.

    `relative_change` is a fraction of the clean probability of the model's own first answer token.
    With --follow=reference both are the reference answer's, in either case, and the change is cut
    at 1.
    """
    require_output(output, TABLES)
    measurements = asked.open()
    width = asked.measurement.window
    table = sweep_rows(measurements, edges=edges, method=method, width=width)
    _tell_table(table, output, measurements, asked, edges)


@click.command()
@asking(Place.LENS)
@_OUTPUT
def lens(asked: Asked, output: Path | None) -> None:
    """One row per sample, layer, probe and variant; layer 0 is the embedding."""
    require_output(output, TABLES)
    measurements = asked.open()
    _tell_table(lens_rows(measurements), output, measurements, asked, ["lens"])


def _tell_table(
    table: pa.Table,
    output: Path | None,
    measurements: Measurements,
    asked: Asked,
    names: Sequence[str],
) -> None:
    _write(table, output)
    echo_counts(measurements, asked=names, to_error=True)
    if not table.num_rows:
        say(f"0 rows: {why_empty(measurements, asked.measurement)}", to_error=True)


def _write(table: pa.Table, output: Path | None) -> None:
    if output is None:
        csv.write_csv(table, sys.stdout.buffer)
        return
    write = pq.write_table if output.suffix == ".parquet" else csv.write_csv
    with saving(output), replacing(output) as temporary:
        write(table, temporary)
    say(f"{table.num_rows} rows: {output}", to_error=True)


@click.command()
@asking(Place.POSITIONS)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="FILE.jsonl")
def positions(asked: Asked, output: Path | None) -> None:
    """One JSON line per sample: its prompt, token ids, and the positions of every role.

    A sample that cannot be encoded is counted on standard error and has no line.
    """
    require_output(output)
    # Nothing is knocked out here, so there is nothing to prove.
    measurements = replace(asked, measurement=replace(asked.measurement, self_test=False)).open()
    unscored: Counter[str] = Counter()
    for row in measurements.samples.unreadable:
        _tell(unscored, row.reason, row.message)
    samples = (s for task in measurements.tasks for s in measurements.samples.of(task))
    lines = (json.dumps(row) for row in _rows(measurements.checkpoint, samples, unscored))
    if output is None:
        for line in lines:
            say_json(line)
    else:
        text = "".join(f"{line}\n" for line in lines)
        with saving(output):
            if is_stream(output):
                output.write_text(text, encoding="utf-8")
            else:
                replace_file(output, text)
    if unscored:
        say(f"unscored: {in_words(unscored)}", to_error=True)


def _tell(unscored: Counter[str], reason: str, message: str) -> None:
    """Count a sample without a line, and say it in full if few of its reason came before."""
    unscored[reason] += 1
    if unscored[reason] <= SHOWN_MESSAGES:
        say(f"unscored ({reason}): {message}", to_error=True)


def _rows(
    checkpoint: LoadedCheckpoint, samples: Iterator[Sample], unscored: Counter[str]
) -> Iterator[dict[str, object]]:
    # Imported here: a wrong option is said without the seconds that torch takes.
    from mmflow_bench.inputs.encoding import encode
    from mmflow_bench.positions.resolve import resolve_roles

    for sample in samples:
        try:
            encoded = encode(sample, checkpoint)
        except SampleError as error:
            _tell(unscored, error.reason, str(error))
            continue
        roles = resolve_roles(encoded, checkpoint).positions
        yield {
            "question_id": sample.question_id,
            "image_id": sample.image_id,
            "task": sample.task,
            "sequence_length": len(encoded.input_ids),
            "prompt": encoded.prompt,
            "input_ids": encoded.input_ids.tolist(),
            "roles": {str(role): list(where) for role, where in roles.items()},
        }
