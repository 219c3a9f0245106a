"""What became of the samples, in words: every command that measures says it at its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping

import click

from mmflow_bench.measurements.session import Measurements
from mmflow_bench.reports.escaping import printable

SHOWN_MESSAGES = 3


def echo_counts(
    measurements: Measurements, *, asked: Collection[str] = (), to_error: bool = False
) -> None:
    """Say of each task how many samples were right, and why others could not be measured.

    Args:
        measurements: After measuring.
        asked: Edges (or `lens`) to speak of; those that some samples have when empty.
        to_error: Write to standard error.
    """
    for line in _lines(measurements, asked):
        click.echo(printable(line), err=to_error)


def _lines(measurements: Measurements, asked: Collection[str]) -> Iterator[str]:
    for task in measurements.tasks:
        count = measurements.accuracy(task)
        yield (
            f"{task}: {count.correct} of {count.scored} answered correctly"
            + (f"; unscored: {in_words(count.unscored)}" if count.unscored else "")
        )
        kept = count.correct if measurements.follow == "answer" else count.scored
        for edge, reasons in measurements.refusals(task).items():
            if edge.partition(" ")[0] not in asked and (asked or sum(reasons.values()) >= kept):
                continue
            yield f"{task}: {edge} unscored: {in_words(reasons)}"
    lost = Counter(
        (bad.task, bad.reason)
        for bad in measurements.samples.unreadable
        if bad.task not in measurements.tasks
    )
    yield from (f"{task}: unscored: {reason} {n}" for (task, reason), n in sorted(lost.items()))
    yield from (f"  {message}" for message in measurements.messages(limit=SHOWN_MESSAGES))


def in_words(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{reason} {number}" for reason, number in sorted(counts.items()))
