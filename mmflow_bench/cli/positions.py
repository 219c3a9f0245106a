"""`mmflow positions`: where in the sequence each role of a question stands."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mmflow_bench.cli.options import SHOWN_MESSAGES, Asked, asking, in_words
from mmflow_bench.errors import SampleError
from mmflow_bench.inputs.samples import Sample
from mmflow_bench.options import Place
from mmflow_bench.reports.escaping import printable

if TYPE_CHECKING:
    from mmflow_bench.checkpoints.loading import LoadedCheckpoint


@click.command()
@asking(Place.POSITIONS)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="FILE.jsonl")
def positions(asked: Asked, output: Path | None) -> None:
    """One JSON line per sample: its prompt, token ids, and the positions of every role.

    A sample that cannot be encoded is counted on standard error and has no line.
    """
    # Nothing is knocked out here, so there is nothing to prove.
    measurements = replace(asked, measurement=replace(asked.measurement, self_test=False)).open()
    unscored: Counter[str] = Counter()
    for row in measurements.samples.unreadable:
        _tell(unscored, row.reason, row.message)
    samples = (s for task in measurements.tasks for s in measurements.samples.of(task))
    lines = (json.dumps(row) for row in _rows(measurements.checkpoint, samples, unscored))
    if output is None:
        for line in lines:
            click.echo(line)
    else:
        output.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    if unscored:
        click.echo(printable(f"unscored: {in_words(unscored)}"), err=True)


def _tell(unscored: Counter[str], reason: str, message: str) -> None:
    """Count a sample without a line, and say it in full if few of its reason came before."""
    unscored[reason] += 1
    if unscored[reason] <= SHOWN_MESSAGES:
        click.echo(printable(f"unscored ({reason}): {message}"), err=True)


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
